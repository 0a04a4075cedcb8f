/** Whether a node can be attached to a leader by mapping, without copying a row. Pure. */
import { epochAfter, epochOf } from '../cluster/epochs.js';
import type { Epoch, ReachableNode } from '../cluster/model.js';
import { slotName, subscriptionName } from '../cluster/names.js';
import { type Lsn, compareLsn } from '../postgres/lsn.js';
import { subscriptionOf } from './facts.js';

export interface MappingQuestion {
  readonly node: ReachableNode;
  /** The leader that the node shall follow, or the candidate that is about to be promoted. */
  readonly leader: ReachableNode;
  /** The epoch in which both followed the former leader. */
  readonly from: Epoch;
  /** Up to where the (coming) leader has the former leader's WAL. */
  readonly forkPoint: Lsn;
  /** Of a former leader: it is known to have nothing beyond the fork point. Default: what a switchover left says. */
  readonly nothingStranded?: boolean | undefined;
}

/**
 * The epoch ended by a switchover, so that the new leader has everything up to the barrier; and the fences that
 * were raised with the barrier have been up ever since.
 */
const endedInPeace = (node: ReachableNode, leader: ReachableNode, from: Epoch): boolean => {
  const next = epochAfter(leader.epochs, from.epoch);
  return (
    next?.operation === 'switchover' &&
    next.previousLeader === node.name &&
    (node.barriers ?? []).some((barrier) => barrier.holds && barrier.epoch === from.epoch)
  );
};

/** How far the node has the WAL of `from.leader`; that leader itself, when nothing is stranded, to the fork point. */
export const positionIn = (node: ReachableNode, from: Epoch, forkPoint: Lsn): Lsn | null =>
  node.name === from.leader ? forkPoint : (subscriptionOf(node, from.epoch)?.appliedLsn ?? null);

/**
 * Undefined when mapping is exact; otherwise the reason why it is not. Every condition guards against loss or
 * doubling in silence: a missing one of them would resume the stream at a wrong place.
 */
export function whyNotMappable({
  node,
  leader,
  from,
  forkPoint,
  nothingStranded,
}: MappingQuestion): string | undefined {
  const led = node.name === from.leader;
  if (led && !(nothingStranded ?? endedInPeace(node, leader, from)))
    return `${node.name} led epoch ${String(from.epoch)} and may hold transactions that nobody else has`;
  if (epochOf(node) > from.epoch)
    return `${node.name} has reached epoch ${String(epochOf(node))}, past epoch ${String(from.epoch)} from which ${leader.name} knows the way`;
  const own = node.epochs[0];
  if (own?.epoch === from.epoch && own.leader !== from.leader)
    return `${node.name} knows ${own.leader} as the leader of epoch ${String(from.epoch)}, and ${leader.name} knows ${from.leader}`;
  const subscription = subscriptionOf(node, from.epoch);
  if (!led && subscription === undefined)
    return `${node.name} has no subscription of epoch ${String(from.epoch)}, so what it has applied is not known`;
  const applied = positionIn(node, from, forkPoint);
  if (applied === null) return `the applied position of ${node.name} cannot be read`;
  if (subscription?.tables.some((table) => table.state !== 'r'))
    return `${node.name} had not finished its initial copy`;
  if (subscriptionOf(leader, from.epoch) === undefined)
    return `${leader.name} keeps no tombstone ${subscriptionName(leader.name, from.epoch)}: its origins are gone`;
  const slot = leader.slots.find((candidate) => candidate.name === slotName(node.name));
  if (slot === undefined) return `${leader.name} has no slot ${slotName(node.name)}`;
  if (slot.walStatus === 'lost' || slot.invalidReason !== null)
    return `slot ${slot.name} on ${leader.name} is invalidated`;
  const base = leader.standbyBases.find((candidate) => candidate.sibling === node.name);
  if (base?.epoch !== from.epoch)
    return `slot ${slot.name} on ${leader.name} is not known to be complete in epoch ${String(from.epoch)}`;
  // Up to the fork point everything is on the former leader, wherever its slot begins.
  if (!led && compareLsn(applied, base.baseLsn) < 0)
    return `${node.name} had applied ${applied}, but slot ${slot.name} on ${leader.name} begins after ${base.baseLsn}`;
  if (compareLsn(applied, forkPoint) > 0)
    return `${node.name} had applied ${applied}, past the fork point ${forkPoint}: it has transactions that ${leader.name} lacks`;
  return undefined;
}
