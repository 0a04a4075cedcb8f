/** What the run measured, as text. Pure. */
import type { Style } from '../ui/color.js';
import { formatCount, formatDuration } from '../ui/format.js';

export interface Figures {
  readonly acknowledged: number;
  readonly byNode: readonly { readonly node: string; readonly writes: number }[];
  readonly kept: number;
  readonly lost: number;
  /** Writes whose answer never came, and how many of them are there all the same. */
  readonly unknown: number;
  readonly unknownKept: number;
  /** The longest time between two acknowledged writes around the kill. */
  readonly withoutWritesMs: number;
  /** The same during the switchover back. */
  readonly switchoverMs: number;
  /** From the start of `repctl failover` to the first acknowledged write. */
  readonly failoverToWriteMs: number;
  /** Rows that the replicas of the new leader got by a copy. */
  readonly copied: number;
  readonly replicas: readonly string[];
  readonly removedMs: number;
  readonly totalMs: number;
}

export function renderSummary(figures: Figures, { c }: Style): string {
  const { unknown, unknownKept } = figures;
  const good = (count: number): string => (count === 0 ? c.green('0') : c.red(formatCount(count)));
  const lines: [string, string, string][] = [
    [
      'writes acknowledged',
      formatCount(figures.acknowledged),
      figures.byNode.map(({ node, writes }) => `${formatCount(writes)} by ${node}`).join(', '),
    ],
    ['kept', formatCount(figures.kept), 'found on the leader in the end, by number'],
    ['lost', good(figures.lost), figures.lost === 0 ? '' : 'not sent when n1 died; rejoin saved them'],
    ...(unknown === 0
      ? []
      : [
          [
            'never answered',
            formatCount(unknown),
            `in flight at the kill; ${formatCount(unknownKept)} of them kept`,
          ] as [string, string, string],
        ]),
    ['without writes', formatDuration(figures.withoutWritesMs), 'failover: between two acknowledged writes'],
    ['', formatDuration(figures.failoverToWriteMs), 'of it from "repctl failover" to the first write'],
    ['', formatDuration(figures.switchoverMs), 'switchover: between two acknowledged writes'],
    ['rows copied', good(figures.copied), `to attach ${figures.replicas.join(' and ')} to the new leader`],
    ['removed in', formatDuration(figures.removedMs), ''],
    ['all of it', formatDuration(figures.totalMs), ''],
  ];
  const names = Math.max(...lines.map(([name]) => name.length));
  return [
    c.bold('Measured in this run'),
    ...lines.map(([name, value, note]) => {
      // Colour has no width.
      const plain = value.replaceAll(/\u001B\[\d+m/g, '');
      return `  ${name.padEnd(names)}  ${' '.repeat(Math.max(0, 8 - plain.length))}${value}  ${c.dim(note)}`.trimEnd();
    }),
  ].join('\n');
}
