/** Products as text: a record, a table, CSV, NDJSON, and one line for each change. Pure. */
import type { ImportResult } from '../products/import.js';
import type { ProductPage } from '../products/list.js';
import type { Product } from '../products/output.js';
import type { ProductRead, ProductWritten } from '../products/service.js';
import type { Style } from './color.js';
import { formatCount } from './format.js';
import { renderTable } from './table.js';

export const PRODUCT_FORMATS = ['table', 'json', 'csv', 'ndjson'] as const;

const CELL_WIDTH = 40;
/** What a person looks for first; the other formats have every column. */
const TABLE_COLUMNS = ['sku', 'name', 'price', 'currency', 'stock', 'version', 'updated_at'];
const OPTIONAL_COLUMNS = ['version', 'updated_at'];

/** A value as one line of text; control characters cannot reach the terminal. */
export function cell(value: unknown, width = Number.POSITIVE_INFINITY): string {
  if (value === null || value === undefined) return '';
  const text = typeof value === 'string' ? value : JSON.stringify(value);

  const line = text.replaceAll(/[\u0000-\u001F\u007F-\u009F\u2028\u2029]/gu, (control) =>
    control === '\n' ? '⏎' : '·',
  );
  const characters = width === Number.POSITIVE_INFINITY ? [] : Array.from(line);
  return characters.length > width ? `${characters.slice(0, width - 1).join('')}…` : line;
}

const isNumber = (rows: readonly Product[], name: string): boolean =>
  rows.length > 0 && rows.every((row) => row[name] === null || /^-?\d+(?:\.\d+)?$/.test(cell(row[name])));

/** `columns` are those asked for; without, the usual ones of them that the table has. */
export function renderProducts(
  page: ProductPage,
  columns: readonly string[],
  chosen: boolean,
  style: Style,
): string {
  if (page.products.length === 0) return 'No products.';
  const usual = columns.filter((name) => TABLE_COLUMNS.includes(name));
  const shown = chosen || usual.length < 3 ? columns : usual;
  return renderTable(
    shown.map((head) => ({
      head,
      align: isNumber(page.products, head) ? ('right' as const) : ('left' as const),
      // Asked for by name, a column stays whatever the width.
      optional: !chosen && OPTIONAL_COLUMNS.includes(head),
    })),
    page.products.map((product) => shown.map((name) => cell(product[name], CELL_WIDTH))),
    style,
  );
}

/** One column a line. */
export function renderProduct({ product }: ProductRead, { c }: Style): string {
  const names = Object.keys(product);
  const width = Math.max(...names.map((name) => name.length));
  return names.map((name) => `${c.bold(name.padEnd(width))}  ${cell(product[name])}`.trimEnd()).join('\n');
}

/** RFC 4180, as COPY writes it: null is an empty field, an empty text is "". */
function csvField(value: unknown): string {
  if (value === null || value === undefined) return '';
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return text === '' || /[",\n\r]/.test(text) || /^\s|\s$/.test(text)
    ? `"${text.replaceAll('"', '""')}"`
    : text;
}

export function productsCsv(page: ProductPage, columns: readonly string[]): string {
  const lines = page.products.map((product) => columns.map((name) => csvField(product[name])).join(','));
  return `${[columns.map(csvField).join(','), ...lines].join('\n')}\n`;
}

export const productsNdjson = (page: ProductPage): string =>
  page.products.map((product) => `${JSON.stringify(product)}\n`).join('');

const DONE = { create: 'created', update: 'updated', adjust: 'adjusted', delete: 'deleted' } as const;

export function renderWritten({ action, product, replayed, node }: ProductWritten, { c }: Style): string {
  const name = cell(product['sku'] ?? Object.values(product)[0], CELL_WIDTH);
  const facts = ['name', 'price', 'currency', 'stock', 'version']
    .filter((column) => product[column] !== undefined && product[column] !== null)
    .map((column) =>
      column === 'name' ? cell(product[column], CELL_WIDTH) : `${column} ${cell(product[column])}`,
    )
    .join(', ');
  const once = replayed ? c.yellow(' (done before under this request id; nothing more was changed)') : '';
  return `${c.green('✓')} ${name} ${DONE[action]} on ${node}${facts === '' ? '' : c.dim(`: ${facts}`)}${once}`;
}

export function renderImport(
  result: ImportResult & { node: string; rejectFile: string | null },
  { c }: Style,
): string {
  const { read, created, updated, unchanged, rejected, dryRun, node } = result;
  const counts = `${formatCount(read)} read: ${formatCount(created)} created, ${formatCount(updated)} updated, ${formatCount(unchanged)} unchanged`;
  const left =
    rejected === 0 ? '' : c.yellow(`, ${formatCount(rejected)} rejected (${result.rejectFile ?? ''})`);
  return `${c.green('✓')} ${counts}${left} on ${node}${dryRun ? c.yellow(' (dry run: nothing was changed)') : ''}`;
}

/** `1,200,000 rows read` or a bar, where the end is known. */
export function renderImportProgress(
  progress: { phase: 'reading' | 'writing'; rows: number; total?: number },
  { c, width }: Style,
): string {
  const { phase, rows, total } = progress;
  if (total === undefined || total === 0) return `${phase} ${formatCount(rows)} rows`;
  const share = Math.min(1, rows / total);
  const room = Math.max(10, Math.min(40, width - 40));
  const filled = Math.round(share * room);
  return `${phase} ${c.green('█'.repeat(filled))}${c.dim('░'.repeat(room - filled))} ${String(Math.floor(share * 100))}% of ${formatCount(total)} rows`;
}
