/** Lists of products: filters, order and the place to go on from, as one statement with parameters. Pure. */
import { RepctlError } from '../errors.js';
import { ident, qualified } from '../postgres/quote.js';
import { outputList } from './output.js';
import type { Statement } from './statements.js';
import { type ProductColumn, type ProductTable, columnOf } from './table.js';
import { checkValue } from './values.js';

const OPERATORS = ['>=', '<=', '!=', '<>', '=', '>', '<', '~'] as const;
type Operator = (typeof OPERATORS)[number] | 'is null' | 'is not null';

export interface Filter {
  readonly column: ProductColumn;
  readonly operator: Operator;
  readonly value: string;
}

export interface SortKey {
  readonly column: ProductColumn;
  readonly descending: boolean;
}

export interface ListRequest {
  readonly filters: readonly Filter[];
  /** Ends with the table's key, so that the order is total. */
  readonly sort: readonly SortKey[];
  readonly columns: readonly ProductColumn[];
  readonly limit: number;
  /** The sort values of the last product of the page before. */
  readonly after?: readonly (string | null)[] | undefined;
}

const usage = (message: string, hint?: string): RepctlError =>
  new RepctlError('usage', message, hint === undefined ? {} : { hint });

/**
 * `price>=10`, `name~mug` (contains, whatever the case), `description is null`. The column is the longest known
 * name that the text begins with, so a name may hold spaces and operators. Throws `usage`, `unknown-column` or
 * `value-invalid` (exit 2).
 */
export function parseFilter(table: ProductTable, text: string): Filter {
  const column = table.columns
    .filter(({ name }) => text.startsWith(name) && /^\s*(?:[<>=!~]|is\s)/i.test(text.slice(name.length)))
    .reduce<ProductColumn | undefined>(
      (best, one) => (best === undefined || one.name.length > best.name.length ? one : best),
      undefined,
    );
  if (column === undefined) {
    const name = /^([^<>=!~]*?)\s*(?:[<>=!~]|\sis\s|$)/i.exec(text)?.[1] ?? text;
    columnOf(table, name);
    throw usage(
      `--filter takes column=value, not ${JSON.stringify(text)}.`,
      `Operators: ${OPERATORS.join(' ')}, is null, is not null.`,
    );
  }
  const rest = text.slice(column.name.length).trimStart();
  const nullness = /^is\s+(not\s+)?null$/i.exec(rest.trimEnd());
  if (nullness) return { column, operator: nullness[1] ? 'is not null' : 'is null', value: '' };
  const operator = OPERATORS.find((one) => rest.startsWith(one));
  if (operator === undefined)
    throw usage(
      `--filter takes column=value, not ${JSON.stringify(text)}.`,
      `Operators: ${OPERATORS.join(' ')}`,
    );
  const value = rest.slice(operator.length);
  if (operator !== '~' && (column.kind === 'integer' || column.kind === 'numeric')) {
    if (!/^[+-]?\d{1,200}(?:\.\d{1,200})?$/.test(value.trim()))
      throw new RepctlError(
        'value-invalid',
        `${column.name} is compared with a number, not ${JSON.stringify(value)}.`,
      );
  } else if (value.includes('\0') || !value.isWellFormed()) {
    throw new RepctlError('value-invalid', `The value for ${column.name} is no valid text.`);
  }
  return { column, operator, value };
}

/** `price`, `-price` or `price:desc`, several with commas. The key is added at the end. */
export function parseSort(table: ProductTable, texts: readonly string[]): SortKey[] {
  const keys = texts
    .flatMap((text) => text.split(','))
    .map((text): SortKey => {
      const exact = table.columns.find((column) => column.name === text);
      if (exact) return { column: exact, descending: false };
      const descending = text.startsWith('-') || text.endsWith(':desc');
      return { column: columnOf(table, text.replace(/^-|:(?:asc|desc)$/g, '')), descending };
    });
  return keys.some((key) => key.column.name === table.key.name)
    ? keys
    : [...keys, { column: table.key, descending: false }];
}

/** Comma-separated names; all columns when undefined. */
export function parseColumns(table: ProductTable, text: string | undefined): readonly ProductColumn[] {
  if (text === undefined) return table.columns;
  const names = text.split(',').map((name) => name.trim());
  return [...new Set(names)].map((name) => columnOf(table, name));
}

/** Throws `usage` (exit 2) for anything but a whole number from 1 to 1,000,000. */
export function parseLimit(text: string): number {
  if (!/^\d{1,7}$/.test(text) || Number(text) < 1 || Number(text) > 1_000_000)
    throw usage(`--limit takes a whole number from 1 to 1000000, not ${JSON.stringify(text)}.`);
  return Number(text);
}

const isKeyOrder = (table: ProductTable, sort: readonly SortKey[]): boolean =>
  sort.length === 1 && sort[0]?.column.name === table.key.name;

/** The place after a row: the key itself in key order, else its sort values as one opaque word. */
export function cursorOf(
  table: ProductTable,
  sort: readonly SortKey[],
  values: readonly (string | null)[],
): string {
  return isKeyOrder(table, sort)
    ? (values[0] ?? '')
    : Buffer.from(JSON.stringify([sort.map(sortName), values])).toString('base64url');
}

const sortName = (key: SortKey): string => `${key.descending ? '-' : ''}${key.column.name}`;

/** Throws `usage` (exit 2) when the word was not made by a list in this order. */
export function parseCursor(
  table: ProductTable,
  sort: readonly SortKey[],
  text: string,
): readonly (string | null)[] {
  if (isKeyOrder(table, sort)) return [checkValue(table.key, text, true)];
  try {
    const [names, values] = JSON.parse(Buffer.from(text, 'base64url').toString()) as [unknown, unknown];
    if (JSON.stringify(names) === JSON.stringify(sort.map(sortName)) && Array.isArray(values)) {
      if (
        values.length === sort.length &&
        values.every((value) => value === null || typeof value === 'string')
      )
        return values as (string | null)[];
    }
  } catch {
    // falls through to the one message
  }
  throw usage(
    '--after does not fit this order.',
    'Give the word that the page before printed, and the same --sort.',
  );
}

/**
 * Texts are ordered bytewise: collations differ between servers, and the next page may come from another node.
 */
const comparable = (column: ProductColumn): string =>
  column.kind === 'json'
    ? `${ident(column.name)}::text collate "C"`
    : `${ident(column.name)}${column.collatable ? ' collate "C"' : ''}`;

const comparisonType = (column: ProductColumn): string =>
  column.kind === 'json' || column.kind === 'text'
    ? 'text'
    : column.kind === 'integer' || column.kind === 'numeric'
      ? 'numeric'
      : column.cast;

const SORT_ALIAS = 'repctl.sort';

/** One row more than the limit is asked for: it tells whether there is a next page. */
export function listStatement(table: ProductTable, request: ListRequest): Statement {
  const params: (string | null)[] = [];
  const add = (value: string, type: string): string => `$${String(params.push(value))}::${type}`;
  const conditions = request.filters.map((filter) => filterSql(filter, add));
  if (request.after) conditions.push(afterSql(request.sort, request.after, add));
  const where = conditions.length === 0 ? '' : `\nwhere ${conditions.join('\n  and ')}`;
  const order = request.sort
    .map(({ column, descending }) => `${comparable(column)} ${descending ? 'desc' : 'asc'} nulls last`)
    .join(', ');
  const place = request.sort.map(({ column }) => `${ident(column.name)}::text`).join(', ');
  return {
    sql: `select ${outputList(request.columns)}, array[${place}] as ${ident(SORT_ALIAS)}
from ${qualified(table)}${where}
order by ${order}
limit ${String(request.limit + 1)}`,
    params,
  };
}

function filterSql(
  { column, operator, value }: Filter,
  add: (value: string, type: string) => string,
): string {
  switch (operator) {
    case 'is null':
    case 'is not null':
      return `${ident(column.name)} ${operator}`;
    case '~':
      return `${ident(column.name)}::text ilike ${add(`%${value.replaceAll(/[\\%_]/g, '\\$&')}%`, 'text')}`;
    case '!=':
    case '<>':
      return `${comparable(column)} is distinct from ${add(value, comparisonType(column))}`;
    case '=':
    case '<':
    case '<=':
    case '>':
    case '>=':
      return `${comparable(column)} ${operator} ${add(value, comparisonType(column))}`;
  }
}

/** Rows strictly after `values` in the order: (a past x) or (a = x and b past y) …; nulls come last. */
function afterSql(
  sort: readonly SortKey[],
  values: readonly (string | null)[],
  add: (value: string, type: string) => string,
): string {
  const terms = sort.map(({ column, descending }, index) => {
    const value = values[index] ?? null;
    const name = comparable(column);
    if (value === null) return { past: 'false', same: `${ident(column.name)} is null` };
    const parameter = add(value, comparisonType(column));
    const past = `${name} ${descending ? '<' : '>'} ${parameter}`;
    return {
      past: column.notNull ? past : `(${past} or ${ident(column.name)} is null)`,
      same: `${name} = ${parameter}`,
    };
  });
  const alternatives = terms.map((term, index) =>
    [...terms.slice(0, index).map(({ same }) => same), term.past].join(' and '),
  );
  return `(${alternatives.join(' or ')})`;
}

export interface ProductPage {
  readonly products: readonly Readonly<Record<string, unknown>>[];
  /** For --after; null on the last page. */
  readonly next: string | null;
}

/** Rows of listStatement → a page. */
export function pageOf(
  table: ProductTable,
  request: ListRequest,
  rows: readonly Record<string, unknown>[],
): ProductPage {
  const kept = rows.slice(0, request.limit);
  const place = kept.at(-1)?.[SORT_ALIAS] as (string | null)[] | undefined;
  return {
    products: kept.map((row) =>
      Object.fromEntries(Object.entries(row).filter(([name]) => name !== SORT_ALIAS)),
    ),
    next: rows.length > request.limit && place ? cursorOf(table, request.sort, place) : null,
  };
}
