/** Waiting on conditions: tests never sleep for a fixed time. */
import { setTimeout as sleep } from 'node:timers/promises';

/** The first value that `look` gives and `good` accepts. Throws with the last one after `timeoutMs`. */
export async function until<T>(
  look: () => Promise<T>,
  good: (value: T) => boolean,
  timeoutMs = 30_000,
): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const value = await look();
    if (good(value)) return value;
    if (Date.now() > deadline)
      throw new Error(`not within ${String(timeoutMs)} ms; last seen: ${JSON.stringify(value, null, 1)}`);
    await sleep(50);
  }
}
