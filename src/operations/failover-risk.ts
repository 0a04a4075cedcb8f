/** What a failover may lose, as far as anybody knows. Pure. */
import type { Epoch } from '../cluster/model.js';
import type { SeenLeader } from '../cluster/last-seen.js';
import { type Lsn, lsnDistance, maxLsn } from '../postgres/lsn.js';
import { type Facts, subscriptionOf } from './facts.js';

/** What may be lost, as exactly as anybody can know while the leader is gone. */
export interface Risk {
  readonly leader: string;
  /** What the new leader has of the former one's WAL. */
  readonly forkPoint: Lsn;
  /** The furthest position of the former leader that a replica received or a repctl command saw. */
  readonly lastKnownLsn: Lsn;
  /** When a command saw it, RFC 3339; null when none did in this epoch. */
  readonly seenAt: string | null;
  /** WAL between the two; not all of it need be writes, and more may have come after it. */
  readonly knownBytes: number;
}

export function riskOf(facts: Facts, epoch: Epoch, forkPoint: Lsn, seen: SeenLeader | undefined): Risk {
  const note = seen?.epoch === epoch.epoch && seen.leader === epoch.leader ? seen : undefined;
  const lastKnownLsn = facts.reachable
    .map((node) => subscriptionOf(node, epoch.epoch))
    .flatMap((one) => [one?.receivedLsn, one?.latestEndLsn, one?.appliedLsn, note?.lsn])
    .filter((lsn) => lsn != null)
    .reduce<Lsn>((best, lsn) => maxLsn(best, lsn), forkPoint);
  return {
    leader: epoch.leader,
    forkPoint,
    lastKnownLsn,
    seenAt: note?.at ?? null,
    knownBytes: lsnDistance(forkPoint, lastKnownLsn),
  };
}

export function riskNote({ leader, forkPoint, lastKnownLsn, seenAt, knownBytes }: Risk): string {
  const what = `at risk: writes that ${leader} acknowledged after ${forkPoint} and had not sent yet; how many only ${leader} knows`;
  if (knownBytes === 0) return what;
  return `${what} (its WAL was seen at ${lastKnownLsn}${seenAt === null ? '' : ` at ${seenAt}`}, ${String(knownBytes)} bytes further)`;
}
