/**
 * What sessions were promised, against what their reads returned. Pure.
 *
 * A row that is gone in the end is a loss and counted there; one that a rejoin saved was away for a while. Neither is
 * held against a read. Of concurrent operations nothing is demanded: a read must show what had been answered before
 * it began.
 */
import { groupBy } from './group.js';
import type { ReadLevel } from '../../routing/route.js';
import type { History, ReadLine, Seen, WriteLine } from '../history.js';
import { keyOf, leaderOf, presentAt } from './rows.js';

export interface Violations {
  readonly readYourWrites: readonly string[];
  readonly monotonicReads: readonly string[];
  readonly consistentPrefix: readonly string[];
  /** A read at level strong missed what was acknowledged before it began. */
  readonly strongReads: readonly string[];
  /** A transfer that was seen half. */
  readonly transfers: readonly string[];
}

/** Reads that missed something which their level does not promise, by level. */
export type Stale = Readonly<Partial<Record<ReadLevel, number>>>;

const OWN: readonly ReadLevel[] = ['read-your-writes', 'session', 'strong'];
const MONOTONIC: readonly ReadLevel[] = ['monotonic', 'session', 'strong'];

export function judgeGuarantees(history: History): Violations {
  const final = leaderOf(history.finals);
  const present = final && presentAt(final);
  const away = new Set(history.stranded.flatMap(({ rows }) => rows.map(([client, n]) => keyOf(client, n))));
  /** Rows that every later read must show. */
  const lasting = history.writes.filter(
    (write) =>
      write.op === 'insert' &&
      write.outcome === 'ok' &&
      !away.has(keyOf(write.client, write.n)) &&
      (present === undefined || present.has(keyOf(write.client, write.n))),
  );
  const byClient = new Map(
    [...groupBy(lasting, (write) => write.client)].map(([client, writes]) => [
      client,
      writes.toSorted((a, b) => a.n - b.n),
    ]),
  );
  const reads = history.reads.filter((read) => read.outcome === 'ok' && read.seen !== undefined);
  return {
    readYourWrites: reads
      .filter(({ level }) => OWN.includes(level))
      .flatMap((read) => missed(read, byClient.get(read.session) ?? [])),
    monotonicReads: backwards(
      reads.filter(({ level }) => MONOTONIC.includes(level)),
      byClient,
    ),
    consistentPrefix: holes(reads, history, byClient),
    strongReads: reads
      .filter(({ level }) => level === 'strong')
      .flatMap((read) => [...byClient.values()].flatMap((writes) => missed(read, writes)).slice(0, 1)),
    transfers: reads
      .filter(
        ({ total }) => total !== undefined && history.start !== undefined && total !== history.start.total,
      )
      .map(
        (read) => `${where(read)} saw ${String(read.total)} of ${String(history.start?.total)} in transfers`,
      ),
  };
}

const where = (read: ReadLine): string =>
  `${read.client} (${read.level}) at ${String(Math.round(read.begin))} ms on ${read.node ?? '?'}`;

/** The newest of `writes` (ascending) that was acknowledged before `time`. */
function newestBefore(writes: readonly WriteLine[], time: number): WriteLine | undefined {
  let low = 0;
  let high = writes.length;
  // Of one client the next is sent after the answer to the last: ends ascend with numbers.
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((writes[middle]?.end ?? Infinity) < time) low = middle + 1;
    else high = middle;
  }
  return writes[low - 1];
}

const topOf = (seen: Seen | undefined, client: string): number => seen?.[client]?.[0] ?? 0;

function missed(read: ReadLine, writes: readonly WriteLine[]): string[] {
  const newest = newestBefore(writes, read.begin);
  if (newest === undefined || topOf(read.seen, newest.client) >= newest.n) return [];
  return [
    `${where(read)} saw ${newest.client} up to ${String(topOf(read.seen, newest.client))}, though ${String(newest.n)} was acknowledged ${(read.begin - newest.end).toFixed(0)} ms before`,
  ];
}

/** How many reads of each level missed rows that anybody had been acknowledged before they began. */
export function staleReads(history: History): Stale {
  const acked = groupBy(
    history.writes.filter((write) => write.op === 'insert' && write.outcome === 'ok'),
    (write) => write.client,
  );
  const counts: Partial<Record<ReadLevel, number>> = {};
  for (const read of history.reads) {
    if (read.outcome !== 'ok') continue;
    const stale = [...acked.values()].some((writes) => missed(read, writes).length > 0);
    counts[read.level] = (counts[read.level] ?? 0) + (stale ? 1 : 0);
  }
  return counts;
}

/** A session that has seen a lasting row must see it in every read that begins after that one ended. */
function backwards(
  reads: readonly ReadLine[],
  byClient: ReadonlyMap<string, readonly WriteLine[]>,
): string[] {
  const found: string[] = [];
  for (const session of groupBy(reads, (read) => read.session).values()) {
    const ended = session.toSorted((a, b) => a.end - b.end);
    let next = 0;
    const best = new Map<string, { top: number; by: ReadLine }>();
    for (const read of session.toSorted((a, b) => a.begin - b.begin)) {
      for (
        let earlier = ended[next];
        earlier !== undefined && earlier.end <= read.begin;
        earlier = ended[next]
      ) {
        for (const client of Object.keys(earlier.seen ?? {})) {
          const top = lastingTop(byClient.get(client) ?? [], topOf(earlier.seen, client));
          if (top > (best.get(client)?.top ?? 0)) best.set(client, { top, by: earlier });
        }
        next += 1;
      }
      for (const [client, { top, by }] of best)
        if (topOf(read.seen, client) < top)
          found.push(
            `${where(read)} saw ${client} up to ${String(topOf(read.seen, client))}, though the session had seen ${String(top)} on ${by.node ?? '?'} ${(read.begin - by.end).toFixed(0)} ms before`,
          );
    }
  }
  return found;
}

/** The highest lasting number that is at most `top`. */
const lastingTop = (writes: readonly WriteLine[], top: number): number =>
  writes.findLast((write) => write.n <= top)?.n ?? 0;

/** A client's row is written after its earlier ones were answered: whoever shows it must show those that last. */
function holes(
  reads: readonly ReadLine[],
  history: History,
  byClient: ReadonlyMap<string, readonly WriteLine[]>,
): string[] {
  const sent = groupBy(
    history.writes.filter((write) => write.op === 'insert' && write.outcome !== 'refused'),
    (write) => write.client,
  );
  return reads.flatMap((read) =>
    Object.entries(read.seen ?? {}).flatMap(([client, [top, rows]]) => {
      const needed = countUpTo(byClient.get(client) ?? [], top);
      const possible = (sent.get(client) ?? []).filter((write) => write.n <= top).length;
      if (rows < needed)
        return [
          `${where(read)} saw ${String(rows)} rows of ${client} up to ${String(top)}, of ${String(needed)}`,
        ];
      return rows > possible
        ? [
            `${where(read)} saw ${String(rows)} rows of ${client} up to ${String(top)}, of at most ${String(possible)}`,
          ]
        : [];
    }),
  );
}

const countUpTo = (writes: readonly WriteLine[], top: number): number => {
  const after = writes.findIndex((write) => write.n > top);
  return after === -1 ? writes.length : after;
};
