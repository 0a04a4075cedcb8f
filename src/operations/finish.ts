/** How every operation that attaches replicas ends: the stream proved, standby slots made, tombstones dropped. */
import type { ReachableNode } from '../cluster/model.js';
import type { OperationStep } from './actions.js';
import { slotName } from '../cluster/names.js';
import {
  type Facts,
  hasStandbySlots,
  isAttached,
  isCopied,
  nodeOf,
  olderTombstones,
  subscriptionOf,
} from './facts.js';
import { stepFor } from './steps.js';
import { syncSteps } from './sync.js';

export interface Ending {
  readonly leader: string;
  readonly epoch: number;
  /** The replicas that are attached when these steps begin. */
  readonly replicas: readonly ReachableNode[];
  /** Those of them that an earlier step makes anew, so that what they have now says nothing. */
  readonly fresh?: readonly string[];
  /** What repctl.event will say. */
  readonly operation: string;
  readonly subject: string | null;
  /** The leader's subscription that its promotion, a step of the same plan, will make a tombstone. */
  readonly tombstone?: string;
}

/**
 * `verify` comes first: until a transaction was applied, a replica's origin is 0/0 and says nothing, and the
 * base of a standby slot must be a true position. Standby slots come last: where none lacks them, all is done. They
 * are made on every attached replica that lacks one, not only on those which the operation was about: a node that
 * comes back was not there when its siblings made theirs, and others may have come while it was away.
 */
export function finishSteps(facts: Facts, ending: Ending): OperationStep[] {
  const { leader, epoch, replicas, operation, subject, fresh = [] } = ending;
  const names = replicas.map((node) => node.name);
  const siblingsOf = (node: ReachableNode) => standbySiblings(facts, leader, epoch, node.name, names);
  const lacks = (node: ReachableNode) => !hasStandbySlots(node, siblingsOf(node), epoch);
  const others = facts.reachable.filter(
    (node) => node.name !== leader && !names.includes(node.name) && follows(node, epoch),
  );
  const lacking = [
    ...replicas.filter((node) => fresh.includes(node.name) || lacks(node)),
    ...others.filter(lacks),
  ];
  const told =
    nodeOf(facts, leader)?.events.some(
      (event) => event.kind === operation && event.epoch === epoch && event.node === subject,
    ) ?? false;
  const proved = lacking.every(
    (node) => !fresh.includes(node.name) && (subscriptionOf(node, epoch)?.appliedLsn ?? null) !== null,
  );
  // Standby slots come after the event, so where none lacks it was told; with no replica there is only the event.
  const verify = lacking.length > 0 ? !told || !proved : replicas.length === 0 && !told;
  return [
    ...(verify ? [stepFor({ kind: 'verify', leader, nodes: names, epoch, operation, subject })] : []),
    ...replicas.flatMap((node) => leftoverSteps(node, epoch)),
    ...tombstoneSteps(facts, leader, epoch, names, ending.tombstone),
    ...syncSteps(facts, { leader, epoch, replicas }),
    ...replicas
      .filter((node) => !fresh.includes(node.name))
      .flatMap((node) => staleSlotSteps(facts, node, { leader, epoch, wanted: siblingsOf(node) })),
    ...lacking.map((node) =>
      stepFor({ kind: 'standby', node: node.name, siblings: siblingsOf(node), leader, epoch }, 'standby'),
    ),
  ];
}

/** Attached with its copy done, and alive: what it has applied can be asked for. */
function follows(node: ReachableNode, epoch: number): boolean {
  const subscription = subscriptionOf(node, epoch);
  return (
    isAttached(node, epoch) &&
    isCopied(subscription) &&
    (subscription?.workerPid ?? subscription?.appliedLsn ?? null) !== null
  );
}

const hasLed = (facts: Facts, leader: string, node: string): boolean =>
  nodeOf(facts, leader)?.epochs.some((row) => row.leader === node) ?? false;

/**
 * Whose standby slots a node has: everybody else's. But to a node that led once, a sibling which is not attached to
 * the present leader may still be subscribed, and slots go by name: it would read that slot, which begins later,
 * and lose what lies between. So it gets one there when it is attached.
 */
export function standbySiblings(
  facts: Facts,
  leader: string,
  epoch: number,
  node: string,
  attaching: readonly string[],
): readonly string[] {
  const led = hasLed(facts, leader, node);
  const belongs = (name: string): boolean => {
    const other = nodeOf(facts, name);
    return name === leader || attaching.includes(name) || (other !== undefined && isAttached(other, epoch));
  };
  return facts.config.nodes
    .map(({ name }) => name)
    .filter((name) => name !== node && (!led || belongs(name)));
}

/** See standbySiblings(): slots of a node that led, from before this epoch, for those that are not attached. */
function staleSlotSteps(
  facts: Facts,
  node: ReachableNode,
  about: { readonly leader: string; readonly epoch: number; readonly wanted: readonly string[] },
): OperationStep[] {
  const { leader, epoch, wanted } = about;
  if (!hasLed(facts, leader, node.name)) return [];
  // Its attach drops all of them: it comes straight from leading.
  if (!isAttached(node, epoch) && node.epochs[0]?.leader === node.name) return [];
  const kept = new Set([
    ...wanted.map(slotName),
    ...node.standbyBases.filter((base) => base.epoch === epoch).map((base) => slotName(base.sibling)),
  ]);
  const slots = facts.config.nodes
    .map(({ name }) => slotName(name))
    .filter((slot) => !kept.has(slot) && node.slots.some(({ name }) => name === slot));
  return slots.length === 0 ? [] : [stepFor({ kind: 'drop-slots', node: node.name, slots }, 'drop-slots')];
}

/** Subscriptions of earlier epochs on a node that is attached: an attach that was killed before it dropped them. */
function leftoverSteps(node: ReachableNode, epoch: number): OperationStep[] {
  const names = olderTombstones(node, epoch);
  return isAttached(node, epoch) && names.length > 0
    ? [stepFor({ kind: 'drop-tombstone', node: node.name, subscriptions: names })]
    : [];
}

/** The leader's tombstones (`coming`: one more), once every configured node will be attached; `attaching` are about to be. */
export function tombstoneSteps(
  facts: Facts,
  leader: string,
  epoch: number,
  attaching: readonly string[],
  coming?: string,
): OperationStep[] {
  const leaderNode = nodeOf(facts, leader);
  if (leaderNode === undefined) return [];
  const there = olderTombstones(leaderNode, epoch);
  const tombstones = coming === undefined || there.includes(coming) ? there : [...there, coming];
  const everyone = facts.config.nodes.every(({ name }) => {
    const node = nodeOf(facts, name);
    return name === leader || attaching.includes(name) || (node !== undefined && isAttached(node, epoch));
  });
  return tombstones.length > 0 && everyone
    ? [stepFor({ kind: 'drop-tombstone', node: leader, subscriptions: tombstones })]
    : [];
}
