/**
 * Open loop: every operation has the time at which it is due, whatever became of those before it, and its latency
 * counts from then. A client does one at a time, so what is due while it waits queues behind, and is late: a stall
 * of five seconds shows as five seconds, not as one slow operation and silence.
 */
import { setTimeout as delay } from 'node:timers/promises';

export interface Pace {
  /** Operations a second of all clients together. */
  readonly rate: number;
  readonly clients: number;
}

/** When the kth operation (from 0) of client `index` is due, milliseconds from the start. Clients take turns. */
export const dueAt = (pace: Pace, index: number, k: number): number =>
  ((k * pace.clients + index) * 1000) / pace.rate;

/** Read anew: it may have been aborted while this one waited. */
const isOver = (signal: AbortSignal): boolean => signal.aborted;

/** Calls `work` for each operation of one client until `signal` is aborted; `now` is milliseconds from the start. */
export async function keepPace(
  pace: Pace,
  index: number,
  now: () => number,
  signal: AbortSignal,
  work: (due: number) => Promise<void>,
): Promise<void> {
  for (let k = 0; !signal.aborted; k += 1) {
    const due = dueAt(pace, index, k);
    const early = due - now();
    if (early > 0) await delay(early, undefined, { signal }).catch(() => undefined);
    // What was due before the end is still done, or the last stall would not be seen.
    if (now() < due && isOver(signal)) return;
    await work(due);
  }
}
