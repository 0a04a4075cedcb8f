/** How evenly reads were spread over the replicas. Pure. */
import type { History } from '../history.js';

export interface Balance {
  /** Reads that each replica answered; one that answered none is there with 0. */
  readonly byReplica: Readonly<Record<string, number>>;
  /** What the least-read replica answered, as a share of what the most-read did: 1 is even. Null: nothing to compare. */
  readonly share: number | null;
}

/**
 * Of reads that were answered well. Nodes that led at any time answer other reads than replicas do, and are left out;
 * a replica that was down for a while counts, since clients had to do with the others.
 */
export function judgeBalance({ reads, looks, writes, steps, finals }: History): Balance {
  const led = new Set([
    ...writes.flatMap((write) => (write.outcome === 'ok' && write.node !== undefined ? [write.node] : [])),
    ...steps.map((step) => step.leader),
    ...finals.filter((final) => final.leader).map((final) => final.node),
  ]);
  const replicas = [...new Set(looks.map((look) => look.node))].filter((node) => !led.has(node)).sort();
  const counts = replicas.map(
    (node) => reads.filter((read) => read.outcome === 'ok' && read.node === node).length,
  );
  const most = Math.max(0, ...counts);
  return {
    byReplica: Object.fromEntries(replicas.map((node, index) => [node, counts[index] ?? 0])),
    share: replicas.length < 2 || most === 0 ? null : Math.min(...counts) / most,
  };
}
