/** What `rejoin` says at its end: where the stranded writes went, what was replayed, what to type next. */
import type { Style } from './color.js';
import { formatBytes, formatCount } from './format.js';
import { renderTable } from './table.js';

interface DoneStep {
  readonly id: string;
  readonly result?: Readonly<Record<string, unknown>> | null;
}

interface Shown {
  readonly table: string;
  readonly op: string;
  readonly key: string;
  readonly reason: string;
}

const text = (value: unknown): string => (typeof value === 'string' ? value : String(Number(value ?? 0)));

const counted = (value: unknown, what: string): string =>
  `${formatCount(Number(value ?? 0))} ${what}${Number(value) === 1 ? '' : 's'}`;

/** Lines to print below the summary; empty when there is nothing to tell. */
export function renderRejoined(steps: readonly DoneStep[], style: Style): string[] {
  const resultOf = (kind: string) => steps.find(({ id }) => id.startsWith(`${kind}:`))?.result ?? undefined;
  const saved = resultOf('save-stranded');
  const replayed = resultOf('replay-stranded');
  const compared = resultOf('reconcile') ?? resultOf('rejoin');
  const lines: string[] = [];
  if (saved !== undefined && typeof saved['file'] === 'string')
    lines.push(
      `stranded: ${counted(saved['rows'], 'change')} in ${counted(saved['transactions'], 'transaction')}, ${formatBytes(Number(saved['bytes'] ?? 0))}, in ${saved['file']}`,
    );
  else if (saved !== undefined) lines.push('stranded: nothing');
  if (typeof compared?.['overwritten'] === 'string')
    lines.push(`rows that were there otherwise, before they were replaced: ${compared['overwritten']}`);
  if (replayed !== undefined) {
    const conflicts = Number(replayed['conflicts'] ?? 0);
    lines.push(
      `replayed: ${text(replayed['applied'])} applied, ${text(replayed['already'])} there already, ${String(conflicts)} in conflict and left alone`,
    );
    if (conflicts > 0) {
      const shown = (replayed['shown'] ?? []) as readonly Shown[];
      lines.push(
        '',
        renderTable(
          [{ head: 'Table' }, { head: 'Change' }, { head: 'Key' }, { head: 'Why not applied' }],
          shown.map(({ table, op, key, reason }) => [table, op, key, reason]),
          style,
        ),
        ...(conflicts > shown.length ? [`… and ${String(conflicts - shown.length)} more`] : []),
        `all of them: ${text(replayed['conflictsFile'])}`,
      );
    }
  }
  return lines;
}

/** What to type next. */
export function nextAfterRejoin(node: string, steps: readonly DoneStep[]): string {
  const saved = steps.find(({ id }) => id.startsWith('save-stranded:'))?.result;
  const replayed = steps.some(({ id }) => id.startsWith('replay-stranded:'));
  return typeof saved?.['file'] === 'string' && !replayed
    ? `repctl rejoin ${node} --replay --file ${saved['file']}`
    : 'repctl status';
}
