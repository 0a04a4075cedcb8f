/** Whether a node can be attached to a leader by mapping, without copying a row. Pure. */
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
}

/**
 * Undefined when mapping is exact; otherwise the reason why it is not. Every condition guards against loss or
 * doubling in silence: a missing one of them would resume the stream at a wrong place.
 */
export function whyNotMappable({ node, leader, from, forkPoint }: MappingQuestion): string | undefined {
  if (node.name === from.leader)
    return `${node.name} led epoch ${String(from.epoch)} and may hold transactions that nobody else has`;
  const subscription = subscriptionOf(node, from.epoch);
  if (subscription === undefined)
    return `${node.name} has no subscription of epoch ${String(from.epoch)}, so what it has applied is not known`;
  if (subscription.appliedLsn === null) return `the applied position of ${node.name} cannot be read`;
  if (subscription.tables.some((table) => table.state !== 'r'))
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
  if (compareLsn(subscription.appliedLsn, base.baseLsn) < 0)
    return `${node.name} had applied ${subscription.appliedLsn}, but slot ${slot.name} on ${leader.name} begins after ${base.baseLsn}`;
  if (compareLsn(subscription.appliedLsn, forkPoint) > 0)
    return `${node.name} had applied ${subscription.appliedLsn}, past the fork point ${forkPoint}: it has transactions that ${leader.name} lacks`;
  return undefined;
}
