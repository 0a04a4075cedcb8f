/** What statements answered, as tables. Pure. */
import type { SqlAnswer } from '../routing/sql.js';
import type { Style } from './color.js';
import { cell } from './products.js';
import { renderTable } from './table.js';

export interface SqlFailure {
  readonly node: string;
  readonly error: { readonly code: string; readonly message: string };
}

export interface SqlReport {
  readonly nodes: readonly (SqlAnswer | SqlFailure)[];
}

const CELL_WIDTH = 60;
/** Text beside null would look like nothing. */
const NULL_SIGN = '∅';

export function renderSql({ nodes }: SqlReport, style: Style): string {
  const { c } = style;
  return nodes
    .map((answer) => {
      const head = nodes.length > 1 ? [c.bold(c.cyan(answer.node))] : [];
      if ('error' in answer) return [...head, `${c.red('✗')} ${answer.error.message}`].join('\n');
      return [...head, ...answer.results.map((result) => renderResult(result, style))].join('\n');
    })
    .join('\n\n');
}

function renderResult(result: SqlAnswer['results'][number], style: Style): string {
  const { c } = style;
  if (result.columns.length === 0) {
    const count = result.count === null ? '' : ` ${String(result.count)}`;
    return c.dim(`${result.command}${count}`);
  }
  const numeric = result.columns.map(
    (_, index) =>
      result.rows.some((row) => row[index] !== null) &&
      result.rows.every((row) => row[index] === null || /^-?\d+(?:\.\d+)?$/.test(cell(row[index]))),
  );
  const table = renderTable(
    result.columns.map((head, index) => ({
      head,
      align: numeric[index] ? ('right' as const) : ('left' as const),
    })),
    result.rows.map((row) =>
      row.map((value) => (value === null ? c.dim(NULL_SIGN) : cell(value, CELL_WIDTH))),
    ),
    style,
  );
  const count = result.rows.length;
  return `${table}\n${c.dim(`(${String(count)} ${count === 1 ? 'row' : 'rows'})`)}`;
}
