/** How far each node was behind what clients had been told, from looks at it. Pure. */
import { groupBy } from './group.js';
import type { History, LookLine, WriteLine } from '../history.js';
import { type Distribution, distribution } from './service.js';

export interface NodeLag extends Distribution {
  readonly looks: number;
  /** Looks that were not answered. */
  readonly unanswered: number;
}

/**
 * Milliseconds since the oldest row was acknowledged that a look did not show; 0 when it showed all. Rows of strays,
 * which only one node has, do not count.
 */
export function lagOf(look: LookLine, byClient: ReadonlyMap<string, readonly WriteLine[]>): number | null {
  if (look.seen === null) return null;
  let oldest = look.begin;
  for (const [client, writes] of byClient) {
    const top = look.seen[client]?.[0] ?? 0;
    const missing = writes.find((write) => write.n > top);
    if (missing !== undefined && missing.end < oldest) oldest = missing.end;
  }
  return look.begin - oldest;
}

/** Acknowledged rows by client, ascending. */
export const ackedRows = ({ writes }: History): Map<string, WriteLine[]> =>
  groupBy(
    writes.filter(
      (write) => write.op === 'insert' && write.outcome === 'ok' && !write.client.startsWith('s'),
    ),
    (write) => write.client,
  );

export function judgeLag(history: History): Record<string, NodeLag> {
  const byClient = ackedRows(history);
  return Object.fromEntries(
    [...groupBy(history.looks, (look) => look.node)]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([node, looks]) => {
        const answered = looks.map((look) => lagOf(look, byClient)).filter((lag) => lag !== null);
        return [
          node,
          { looks: looks.length, unanswered: looks.length - answered.length, ...distribution(answered) },
        ];
      }),
  );
}
