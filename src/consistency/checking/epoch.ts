/** Whether the leader is still the leader, and who it is when it is not. */
import { setTimeout as sleep } from 'node:timers/promises';
import { currentEpoch, leaderOf, ownSubscription, reachableNodes } from '../../cluster/epochs.js';
import type { Fleet } from '../../cluster/fleet.js';
import type { Snapshot } from '../../cluster/model.js';
import { subscriptionEpoch } from '../../cluster/names.js';
import { observe } from '../../cluster/observe.js';
import type { Session } from '../../postgres/session.js';

/** Another leader reigns: what was compared under the former one is no answer any more. */
export class EpochChanged extends Error {
  override readonly name = 'EpochChanged';
}

/** Throws {@link EpochChanged} when any of them has reached a later epoch. Those that fail are told of elsewhere. */
export async function assertEpoch(sessions: readonly Session[], epoch: number): Promise<void> {
  const seen = await Promise.all(
    sessions.map(async (session) => {
      const [row] = await session
        .query<{ epoch: number | null }>('select max(epoch)::int as epoch from repctl.epoch')
        .catch(() => []);
      return row?.epoch ?? 0;
    }),
  );
  if (seen.some((it) => it > epoch)) throw new EpochChanged();
}

const POLL_MS = 200;

/**
 * A snapshot in which the leader answers and every replica that answers follows it, or, after `waitMs`, whatever there
 * is then.
 */
export async function settled(fleet: Fleet, waitMs: number, signal?: AbortSignal): Promise<Snapshot> {
  const deadline = performance.now() + waitMs;
  for (;;) {
    const snapshot = await observe(fleet, signal ? { signal } : {});
    if (isSettled(snapshot) || performance.now() + POLL_MS > deadline) return snapshot;
    await sleep(POLL_MS, undefined, signal ? { signal } : {});
  }
}

function isSettled(snapshot: Snapshot): boolean {
  const leader = leaderOf(snapshot);
  const epoch = currentEpoch(snapshot)?.epoch;
  if (!leader?.reachable) return false;
  return reachableNodes(snapshot)
    .filter((node) => node.name !== leader.name)
    .every((node) => {
      const subscription = ownSubscription(node);
      return subscription?.enabled === true && subscriptionEpoch(subscription.name) === epoch;
    });
}
