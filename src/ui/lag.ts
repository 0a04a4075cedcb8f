/** `repctl lag`: one line a replica; with --watch a sparkline of what was seen so far. */
import type { Crossed, LagReport, ReplicaLag } from '../cluster/lag.js';
import type { Style } from './color.js';
import { formatBytes, formatCount, formatDuration } from './format.js';
import { sparkline } from './sparkline.js';
import { renderTable } from './table.js';

const NONE = '–';

/** `history`: earlier figures by node, oldest first; shown when given. */
export function renderLag(
  report: LagReport,
  style: Style,
  history?: ReadonlyMap<string, readonly (number | null)[]>,
): string {
  const probed = report.replicas.some((replica) => replica.probe !== null);
  const columns = [
    { head: 'Replica' },
    { head: 'State' },
    { head: 'Bytes', align: 'right' as const },
    { head: 'Time', align: 'right' as const },
    { head: 'Txns', align: 'right' as const },
    ...(probed ? ['Min', 'p50', 'p95', 'Max'].map((head) => ({ head, align: 'right' as const })) : []),
    ...(history ? [{ head: probed ? 'Delay so far' : 'Behind so far' }] : []),
  ];
  // What the other columns leave; a narrow terminal still shows the last few figures.
  const room = Math.max(8, Math.min(40, style.width - (probed ? 76 : 44)));
  const over = new Set(report.crossed.map((it) => it.node));
  const rows = report.replicas.map((replica) => [
    over.has(replica.node) ? style.c.red(replica.node) : replica.node,
    replica.state,
    replica.behindBytes === null ? NONE : formatBytes(replica.behindBytes),
    replica.behindMs === null ? NONE : formatDuration(replica.behindMs),
    replica.behindTransactions === null ? NONE : formatCount(replica.behindTransactions),
    ...(probed ? probeCells(replica) : []),
    ...(history ? [style.c.cyan(sparkline(history.get(replica.node) ?? [], room))] : []),
  ]);
  const samples = Math.max(0, ...report.replicas.map((replica) => replica.probe?.samples ?? 0));
  const head =
    `${style.c.bold(report.cluster)}   leader ${report.leader}` +
    (probed
      ? `   ${style.c.dim(`delay of ${formatCount(samples)} rows, commit on ${report.leader} until visible`)}`
      : '');
  return [
    head,
    renderTable(columns, rows, style),
    ...(report.crossed.length > 0 ? [report.crossed.map((it) => crossedText(it, style)).join('\n')] : []),
  ].join('\n\n');
}

/** The figure that a sparkline shows of a replica. */
export const sparkValue = (replica: ReplicaLag): number | null =>
  replica.probe ? replica.probe.p50Ms : replica.behindBytes;

function probeCells({ probe }: ReplicaLag): readonly string[] {
  if (!probe || probe.samples === 0) return [NONE, NONE, NONE, NONE];
  const late = probe.timeouts > 0;
  const cell = (ms: number | null): string => (ms === null ? NONE : delay(ms));
  return [cell(probe.minMs), cell(probe.p50Ms), cell(probe.p95Ms), late ? 'timeout' : cell(probe.maxMs)];
}

/** Below 100 ms a tenth matters. */
const delay = (ms: number): string => (ms < 100 ? `${ms.toFixed(1)} ms` : formatDuration(ms));

function crossedText(crossed: Crossed, { c }: Style): string {
  const bytes = crossed.limit === 'max-bytes';
  const figure = (value: number): string => (bytes ? formatBytes(value) : formatDuration(value * 1000));
  const actual = crossed.actual === null ? 'not known' : figure(crossed.actual);
  return c.red(
    `✗ ${crossed.node} ${crossed.limit}: ${actual}, at most ${figure(crossed.allowed)} is allowed`,
  );
}
