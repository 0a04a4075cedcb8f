/** What `repctl status` says once the workload is over. */
import { setTimeout as delay } from 'node:timers/promises';
import { EXIT } from '../errors.js';
import type { Children } from './children.js';

/** How long the cluster may take to become healthy after the workload. */
const HEAL_MS = 30_000;
const AGAIN_MS = 300;

/** The state that it names, waited for while it is not well and `wanted` that it be; null where it says none. */
export async function settled(
  children: Children,
  wanted: boolean,
  signal: AbortSignal,
): Promise<string | null> {
  const deadline = Date.now() + HEAL_MS;
  for (;;) {
    const { code, stdout } = await children.repctl(['status', '--json']);
    if (code === EXIT.done || !wanted || Date.now() > deadline || signal.aborted) return stateIn(stdout);
    await delay(AGAIN_MS);
  }
}

function stateIn(json: string): string | null {
  try {
    return (JSON.parse(json) as { state?: string }).state ?? null;
  } catch {
    return null;
  }
}
