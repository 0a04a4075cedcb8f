/** The writer's record and what can be read from it: the demo's and the benchmark's figures. Pure. */
import { parseLines } from '../ndjson.js';

/** One attempt to insert a row. `unknown`: it was sent, and the connection ended before the answer came. */
export interface Write {
  /** The number in the row's SKU. */
  readonly n: number;
  readonly node: string;
  /** Milliseconds since 1970, with fractions. */
  readonly sentAt: number;
  readonly endedAt: number;
  readonly result: 'acknowledged' | 'unknown';
}

/** The time on the clock that the writer's record uses, in milliseconds since 1970, with fractions. */
export const clock = (): number => performance.timeOrigin + performance.now();

/** The SKU of the writer's row number `n`. */
export const skuOf = (n: number): string => `LIVE-${String(n).padStart(6, '0')}`;

/** Reads the record, one JSON object a line; a last line that is still being written is left out. */
export const parseRecord = (text: string): Write[] => parseLines<Write>(text);

export const acknowledged = (writes: readonly Write[]): Write[] =>
  writes.filter((write) => write.result === 'acknowledged');

export interface Gap {
  readonly ms: number;
  /** The last acknowledged write before it and the first one after it. */
  readonly before: Write;
  readonly after: Write;
}

/** The longest time between two acknowledged writes; undefined with fewer than two. */
export function longestGap(writes: readonly Write[]): Gap | undefined {
  const acks = acknowledged(writes).sort((a, b) => a.endedAt - b.endedAt);
  let longest: Gap | undefined;
  for (const [index, after] of acks.entries()) {
    const before = acks[index - 1];
    if (before === undefined) continue;
    const ms = after.endedAt - before.endedAt;
    if (longest === undefined || ms > longest.ms) longest = { ms, before, after };
  }
  return longest;
}

/** The first write acknowledged after `time`. */
export const firstAfter = (writes: readonly Write[], time: number): Write | undefined =>
  acknowledged(writes)
    .filter((write) => write.endedAt > time)
    .sort((a, b) => a.endedAt - b.endedAt)[0];

/** Acknowledged writes a second, over the time from the first to the last one. */
export function rate(writes: readonly Write[]): number {
  const times = acknowledged(writes).map((write) => write.endedAt);
  const span = Math.max(...times) - Math.min(...times);
  return times.length < 2 || span <= 0 ? 0 : ((times.length - 1) / span) * 1000;
}

/** How many acknowledged writes each node took, in the order of their first. */
export function byNode(writes: readonly Write[]): { node: string; writes: number }[] {
  const counts = new Map<string, number>();
  for (const { node } of acknowledged(writes)) counts.set(node, (counts.get(node) ?? 0) + 1);
  return [...counts].map(([node, count]) => ({ node, writes: count }));
}
