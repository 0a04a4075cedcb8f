/** What every operation asks of a Snapshot before it plans. Pure. */
import type { ClusterConfig } from '../config/schema.js';
import type { Epoch, Finding, ReachableNode, Snapshot, SubscriptionInfo } from '../cluster/model.js';
import { subscriptionEpoch, subscriptionName } from '../cluster/names.js';

export interface Facts {
  readonly config: ClusterConfig;
  readonly snapshot: Snapshot;
  readonly reachable: readonly ReachableNode[];
  /** The newest epoch that any reachable node has reached. */
  readonly epoch: Epoch | undefined;
  /** The leader of that epoch, if it answers. */
  readonly leader: ReachableNode | undefined;
}

export function factsOf(snapshot: Snapshot, config: ClusterConfig): Facts {
  const reachable = snapshot.nodes.filter((node) => node.reachable);
  const epoch = newest(
    reachable.flatMap((node) => node.epochs),
    (row) => row.epoch,
  );
  const leader = reachable.find((node) => node.name === epoch?.leader);
  return { config, snapshot, reachable, epoch, leader };
}

function newest<T>(items: readonly T[], rank: (item: T) => number): T | undefined {
  return items.reduce<T | undefined>(
    (best, item) => (best === undefined || rank(item) > rank(best) ? item : best),
    undefined,
  );
}

/** The epoch that a node has reached; 0 before `create`. */
export const reachedEpoch = (node: ReachableNode): number =>
  newest(node.epochs, (row) => row.epoch)?.epoch ?? 0;

export const nodeOf = (facts: Facts, name: string): ReachableNode | undefined =>
  facts.reachable.find((node) => node.name === name);

/** The subscription by which the node follows (or followed) the leader of `epoch`. */
export const subscriptionOf = (node: ReachableNode, epoch: number): SubscriptionInfo | undefined =>
  node.subscriptions.find((subscription) => subscription.name === subscriptionName(node.name, epoch));

/** repctl's own subscriptions, tombstones included. */
export const ownSubscriptions = (node: ReachableNode): readonly SubscriptionInfo[] =>
  node.subscriptions.filter((subscription) => subscriptionEpoch(subscription.name) !== undefined);

/** The one of the highest epoch. */
export const newestSubscription = (node: ReachableNode): SubscriptionInfo | undefined =>
  newest(ownSubscriptions(node), (subscription) => subscriptionEpoch(subscription.name) ?? 0);

/** A subscription that its owner keeps only for its origin: disabled and without a slot. */
export const isTombstone = (subscription: SubscriptionInfo): boolean =>
  !subscription.enabled && subscription.slotName === null;

/** Attached to the leader of `epoch`: its subscription is there, enabled and has a slot. */
export function isAttached(node: ReachableNode, epoch: number): boolean {
  const subscription = subscriptionOf(node, epoch);
  return subscription !== undefined && subscription.enabled && subscription.slotName !== null;
}

export const isCopied = (subscription: SubscriptionInfo | undefined): boolean =>
  subscription !== undefined &&
  subscription.tables.length > 0 &&
  subscription.tables.every((table) => table.state === 'r');

/** The standby slots of `node` for all `siblings` are there, usable, and complete since `epoch` began. */
export const hasStandbySlots = (node: ReachableNode, siblings: readonly string[], epoch: number): boolean =>
  siblings.every(
    (sibling) =>
      node.standbyBases.some((base) => base.sibling === sibling && base.epoch === epoch) &&
      node.slots.some((slot) => slot.name === `repctl_${sibling}` && slot.walStatus !== 'lost'),
  );

/** More than half of the configured nodes answer. */
export const hasMajority = (facts: Facts): boolean => facts.reachable.length * 2 > facts.config.nodes.length;

/** A refusal for a name that is not in the configuration. */
export const unknownNode = (facts: Facts, name: string): Finding => ({
  code: 'unknown-node',
  severity: 'error',
  message: `There is no node ${name} in cluster ${facts.config.cluster}; its nodes are ${facts.config.nodes.map((node) => node.name).join(', ')}.`,
});

/** One finding per configured node that does not answer. */
export const unreachableNodes = (facts: Facts): Finding[] =>
  facts.snapshot.nodes
    .filter((node) => !node.reachable)
    .map((node) => ({
      code: 'node-unreachable',
      severity: 'error' as const,
      node: node.name,
      message: node.message,
      fix: 'repctl status',
    }));
