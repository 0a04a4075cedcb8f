/** Which cluster and which nodes a check compares, as it is noted down; pure. */
import { currentEpoch } from '../../cluster/epochs.js';
import type { Snapshot } from '../../cluster/model.js';
import { type Participants, participantsOf } from '../checking/participants.js';
import type { CheckResult } from '../result.js';
import type { Frame } from './course.js';
import { type SavedCheck, whyStale } from './saved.js';

export function frameOf(
  snapshot: Snapshot,
  { leader, replicas }: Pick<Participants, 'leader' | 'replicas'>,
): Omit<Frame, 'digest' | 'since'> {
  const epoch = currentEpoch(snapshot);
  return {
    cluster: snapshot.cluster,
    leader: leader.name,
    epoch: epoch?.epoch ?? 0,
    epochStartedAt: epoch?.startedAt ?? '',
    nodes: replicas.map(({ name }) => name).sort(),
  };
}

/** Throws `resume-stale` (exit 6), and `node-unreachable` (exit 3), where a check cannot go on in this cluster. */
export function assertCurrent(saved: SavedCheck, snapshot: Snapshot): void {
  const who = participantsOf(snapshot, saved.request.nodes);
  const unreachable = who.unreachable.map(({ node }) => node);
  const why = whyStale(saved, { ...frameOf(snapshot, who), unreachable });
  if (why) throw why;
}

/** What of it is said in the result. */
export function resumedOf({ startedAt, savedAt, done, open }: SavedCheck): CheckResult['resumed'] {
  const rows = done.reduce((sum, { table }) => sum + BigInt(table.rows), 0n);
  return { startedAt, savedAt, rows: String(rows + BigInt(open?.rows ?? 0)) };
}
