/** What a plan says of commits that wait for replicas in vain: their sessions are ended. Pure. */
import type { ReachableNode } from '../cluster/model.js';
import { syncState } from '../cluster/sync.js';
import type { Facts } from './facts.js';

const theseWait = (count: number): string =>
  count === 1 ? 'a commit waits' : `${String(count)} commits wait`;

/** Of a leader that was succeeded, which is fenced. */
export function unconfirmedAtFormer({ name, syncWaiting = 0 }: ReachableNode): string[] {
  if (syncWaiting === 0) return [];
  return [
    `${theseWait(syncWaiting)} on ${name} for standbys that follow it no more: their sessions are ended; the rows are committed there, were not acknowledged, and are saved with what is stranded`,
  ];
}

/** Of the leader, while a slot is made there. */
export function unconfirmedAtLeader({ snapshot }: Facts): string[] {
  const state = syncState(snapshot);
  const waiting = state?.waiting ?? 0;
  if (state === undefined || waiting === 0 || state.connected.length >= state.k) return [];
  return [
    `${theseWait(waiting)} on ${state.leader} for replicas that do not follow, and a slot cannot be made while one does: these sessions are ended; their rows stay, and were not acknowledged`,
  ];
}
