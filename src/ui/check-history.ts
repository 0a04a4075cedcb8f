/** `check --history`: since when what is equal, or not. */
import type { CheckHistory, TableHistory } from '../consistency/history.js';
import type { Style } from './color.js';
import { formatCount, formatDuration } from './format.js';
import { renderTable } from './table.js';

/** Minutes are enough, and seconds in --json. */
const when = (time: string): string => `${time.slice(0, 16).replace('T', ' ')}Z`;

export function renderCheckHistory({ tables, runs, file }: CheckHistory, style: Style): string {
  const { c } = style;
  if (runs.length === 0) return `No check was made from this machine yet.\n  ${c.cyan('repctl check')}`;
  const mark = (verdict: string) =>
    verdict === 'equal'
      ? `${c.green('✓')} equal`
      : `${verdict === 'diverged' ? c.red('✗') : c.yellow('?')} ${verdict}`;
  const last = renderTable(
    [{ head: 'Check' }, { head: 'Leader' }, { head: 'Verdict' }, { head: 'Took', align: 'right' }],
    runs.map((run) => [
      when(run.at),
      run.leader,
      `${mark(run.verdict)}${run.partial ? c.dim(' (some rows)') : ''}`,
      formatDuration(run.durationMs),
    ]),
    style,
  );
  return [...tables.map((table) => line(table, style)), '', last, '', c.dim(file)].join('\n');
}

function line({ schema, name, node, verdict, since, equalUntil, rows }: TableHistory, { c }: Style): string {
  const what = `${schema}.${name} on ${node}`;
  if (verdict === 'equal')
    return `${c.green('✓')} ${what}: equal since ${when(since)}, last seen ${when(equalUntil ?? since)}`;
  const before = equalUntil === null ? 'never seen equal' : `equal until ${when(equalUntil)}`;
  return `${c.red('✗')} ${what}: ${before}, diverged since ${when(since)} (${formatCount(rows)} ${rows === 1 ? 'row' : 'rows'})`;
}
