/** `repair`: the rows as they are shown before the question, and what became of them. */
import type { Differences, SetRightResult } from '../operations/repair/model.js';
import type { Style } from './color.js';
import { rowLines } from './check.js';
import { formatCount } from './format.js';

/** A line per row, as `check` prints them; `differences` hold the first of each table and replica. */
export function rowsToShow(differences: readonly Differences[], style: Style): string[] {
  return differences.flatMap((one) => {
    const total = one.missing + one.extra + one.differing + one.undecided;
    const more = total - one.rows.length;
    return [
      ...one.rows.flatMap((row) =>
        rowLines(row, one.node, style).map((line) => `${one.schema}.${one.name} ${line.trim()}`),
      ),
      ...(more > 0 && one.rows.length > 0
        ? [`… and ${formatCount(more)} more of ${one.schema}.${one.name} on ${one.node}`]
        : []),
    ];
  });
}

interface DoneStep {
  readonly id: string;
  readonly node: string;
  readonly result?: Readonly<Record<string, unknown>> | null;
}

export const resultsOf = (steps: readonly DoneStep[]): (SetRightResult & { readonly node: string })[] =>
  steps.flatMap(({ id, node, result }) =>
    id.startsWith('set-right:') && result ? [{ node, ...(result as unknown as SetRightResult) }] : [],
  );

/** Lines below the summary. */
export function renderRepaired(steps: readonly DoneStep[], { c }: Style): string[] {
  const cleared = steps.flatMap(({ id, node, result }) => {
    if (!id.startsWith('clear-way:') || !result) return [];
    const removed = Number(result['removed'] ?? 0);
    const file = result['overwritten'];
    return [
      `${node}: the stream goes on; ${formatCount(removed)} ${removed === 1 ? 'row' : 'rows'} removed that stood in its way`,
      ...(typeof file === 'string' ? [`  what they were: ${file}`] : []),
    ];
  });
  const settled = resultsOf(steps).flatMap((one) => {
    const counts = (['inserted', 'updated', 'deleted'] as const)
      .filter((kind) => one[kind] > 0)
      .map((kind) => `${formatCount(one[kind])} ${kind}`);
    const equal = one.equal > 0 ? [`${formatCount(one.equal)} equal already`] : [];
    const open = one.open > 0 ? [c.yellow(`${formatCount(one.open)} left as they were`)] : [];
    const verdict =
      one.stillDiffering > 0
        ? c.red(`✗ ${formatCount(one.stillDiffering)} still differ`)
        : one.unverified > 0
          ? c.yellow(`? ${formatCount(one.unverified)} could not be verified`)
          : c.green('✓ compared again: equal');
    return [
      `${one.node}: ${[...counts, ...equal, ...open].join(', ') || 'nothing differs any more'}; ${verdict}`,
      ...(one.why === null ? [] : [`  ${one.why}`]),
      ...(one.overwritten === null ? [] : [`  what they were: ${one.overwritten}`]),
    ];
  });
  return [...cleared, ...settled];
}
