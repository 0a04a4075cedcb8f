/**
 * The leader's position as some repctl command last saw it. Once the leader is gone nobody can be asked any
 * more, and a failover can then at least say what was left behind of what had been seen.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Lsn } from '../postgres/lsn.js';
import { currentEpoch, reachableLeader, reachableNodes, slotFor } from './epochs.js';
import type { ReachableNode, Snapshot } from './model.js';

export interface SeenLeader {
  readonly epoch: number;
  readonly leader: string;
  readonly lsn: Lsn;
  /** RFC 3339. */
  readonly at: string;
  /** Published transactions that no replica had applied then; absent when there were none or nobody counted. */
  readonly unapplied?: Unapplied;
}

export interface Unapplied {
  readonly transactions: number;
  /** The commit record of the last one. */
  readonly upTo: Lsn;
  /** Commit time of the first one, RFC 3339. */
  readonly since: string;
}

const fileOf = (stateDir: string, cluster: string): string =>
  path.join(stateDir, 'seen', `${encodeURIComponent(cluster)}.json`);

/** Notes the leader's position down, if it answered. A note that cannot be written is no reason to fail. */
export function noteLeader(stateDir: string, snapshot: Snapshot): void {
  const leader = reachableLeader(snapshot);
  const epoch = currentEpoch(snapshot);
  if (leader === undefined || epoch === undefined) return;
  const seen: SeenLeader = {
    epoch: epoch.epoch,
    leader: leader.name,
    lsn: leader.flushLsn,
    at: snapshot.takenAt,
    ...unappliedOf(snapshot, leader),
  };
  const file = fileOf(stateDir, snapshot.cluster);
  try {
    mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
    writeFileSync(file, JSON.stringify(seen), { mode: 0o600 });
  } catch {
    // It only ever adds to what a failover can say.
  }
}

/** What even the replica that was least behind had not applied; nothing where one had all, or was not counted. */
function unappliedOf(snapshot: Snapshot, leader: ReachableNode): Pick<SeenLeader, 'unapplied'> {
  const waiting = reachableNodes(snapshot).flatMap((node) => {
    const slot = node === leader ? undefined : slotFor(leader, node.name);
    return slot === undefined ? [] : [slot];
  });
  const least = waiting.toSorted((a, b) => (a.pendingTransactions ?? 0) - (b.pendingTransactions ?? 0))[0];
  const { pendingTransactions: transactions, pendingUpTo: upTo, pendingSince: since } = least ?? {};
  if (transactions == null || transactions === 0 || upTo == null || since == null) return {};
  return { unapplied: { transactions, upTo, since } };
}

/** The note of that very epoch and leader; undefined when there is none or it cannot be read. */
export function lastSeen(stateDir: string, cluster: string): SeenLeader | undefined {
  try {
    const seen = JSON.parse(readFileSync(fileOf(stateDir, cluster), 'utf8')) as Partial<SeenLeader>;
    return typeof seen.lsn === 'string' && typeof seen.epoch === 'number' ? (seen as SeenLeader) : undefined;
  } catch {
    return undefined;
  }
}
