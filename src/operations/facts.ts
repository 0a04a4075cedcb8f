/** What every operation asks of a Snapshot before it plans. Pure. */
import type { ClusterConfig } from '../config/schema.js';
import type {
  Epoch,
  Finding,
  ReachableNode,
  SlotInfo,
  Snapshot,
  SubscriptionInfo,
} from '../cluster/model.js';
import { currentEpoch, reachableLeader, reachableNodes } from '../cluster/epochs.js';
import { slotName, subscriptionEpoch, subscriptionName } from '../cluster/names.js';

export interface Facts {
  readonly config: ClusterConfig;
  readonly snapshot: Snapshot;
  readonly reachable: readonly ReachableNode[];
  /** The newest epoch that any reachable node has reached. */
  readonly epoch: Epoch | undefined;
  /** The leader of that epoch, if it answers. */
  readonly leader: ReachableNode | undefined;
}

export const factsOf = (snapshot: Snapshot, config: ClusterConfig): Facts => ({
  config,
  snapshot,
  reachable: reachableNodes(snapshot),
  epoch: currentEpoch(snapshot),
  leader: reachableLeader(snapshot),
});

export const nodeOf = (facts: Facts, name: string): ReachableNode | undefined =>
  facts.reachable.find((node) => node.name === name);

/** The subscription by which the node follows (or followed) the leader of `epoch`. */
export const subscriptionOf = (node: ReachableNode, epoch: number): SubscriptionInfo | undefined =>
  node.subscriptions.find((subscription) => subscription.name === subscriptionName(node.name, epoch));

/** repctl's own subscriptions, tombstones included. */
export const ownSubscriptions = (node: ReachableNode): readonly SubscriptionInfo[] =>
  node.subscriptions.filter((subscription) => subscriptionEpoch(subscription.name) !== undefined);

/** A subscription that its owner keeps only for its origin: disabled and without a slot. */
export const isTombstone = (subscription: SubscriptionInfo): boolean =>
  !subscription.enabled && subscription.slotName === null;

/** Tombstones of epochs before `epoch`, by name. */
export const olderTombstones = (node: ReachableNode, epoch: number): readonly string[] =>
  ownSubscriptions(node)
    .filter(
      (subscription) => isTombstone(subscription) && (subscriptionEpoch(subscription.name) ?? 0) < epoch,
    )
    .map((subscription) => subscription.name);

/** Attached to the leader of `epoch`: its subscription is there, enabled and has a slot. */
export function isAttached(node: ReachableNode, epoch: number): boolean {
  const subscription = subscriptionOf(node, epoch);
  return subscription !== undefined && subscription.enabled && subscription.slotName !== null;
}

export const isCopied = (subscription: SubscriptionInfo | undefined): boolean =>
  subscription !== undefined &&
  subscription.tables.length > 0 &&
  subscription.tables.every((table) => table.state === 'r');

/**
 * A table whose copy is done waits for its sync slot to catch up, and the leader has that slot no more: its worker
 * fails for ever, uncounted. So a copy ends that lost its last commits in a crash, since the slot goes when they are
 * made; and so one whose slot somebody dropped.
 */
export const hasLostCopy = (subscription: SubscriptionInfo, leader: ReachableNode): boolean => {
  const waiting = subscription.tables.filter((table) => table.state === 'f');
  const prefix = `pg_${String(subscription.oid)}_sync_`;
  return waiting.length > leader.slots.filter((slot) => slot.name.startsWith(prefix)).length;
};

/** The standby slots of `node` for all `siblings` are there, usable, and complete since `epoch` began. */
export const hasStandbySlots = (node: ReachableNode, siblings: readonly string[], epoch: number): boolean =>
  siblings.every(
    (sibling) =>
      node.standbyBases.some((base) => base.sibling === sibling && base.epoch === epoch) &&
      node.slots.some((slot) => slot.name === slotName(sibling) && isUsable(slot)),
  );

/** The server has not given it up. */
export const isUsable = (slot: SlotInfo): boolean =>
  slot.walStatus !== 'lost' && (slot.invalidReason ?? null) === null;

/** A refusal for a name that is not in the configuration. */
export const unknownNode = (facts: Facts, name: string): Finding => ({
  code: 'unknown-node',
  severity: 'error',
  message: `There is no node ${name} in cluster ${facts.config.cluster}; its nodes are ${facts.config.nodes.map((node) => node.name).join(', ')}.`,
  fix: 'Name one of these: repctl status shows what each of them is.',
});

/** Why the database behind a node's URL is not that node; empty when it is, or belongs to no cluster yet. */
export function strangerFindings({ config }: Pick<Facts, 'config'>, node: ReachableNode): Finding[] {
  const error = (code: string, message: string, fix: string): Finding => ({
    code,
    severity: 'error',
    node: node.name,
    message,
    fix,
  });
  const cluster = node.clusterName;
  return [
    ...(cluster !== null && cluster !== config.cluster && config.clusterAssumed !== true
      ? [
          error(
            'other-cluster',
            `${node.name} belongs to cluster ${cluster} already.`,
            'Check the URL; repctl cluster destroy removes a cluster that is not wanted any more.',
          ),
        ]
      : []),
    ...(node.identity !== null && node.identity !== node.name
      ? [
          error(
            'identity-mismatch',
            `The database behind ${node.name} says that it is ${node.identity}: two names for one database, or swapped URLs.`,
            'Check the URLs in the configuration.',
          ),
        ]
      : []),
  ];
}

/** Databases that answer for a node and are another: what they say of leaders and positions means nothing here. */
export const strangers = (facts: Facts): Finding[] =>
  facts.reachable.flatMap((node) => strangerFindings(facts, node));

/** One finding per configured node that does not answer. */
export const unreachableNodes = (facts: Facts): Finding[] =>
  facts.snapshot.nodes
    .filter((node) => !node.reachable)
    .map((node) => {
      const old = node.code === 'version-unsupported';
      return {
        code: old ? node.code : 'node-unreachable',
        severity: 'error' as const,
        node: node.name,
        message: node.message,
        fix: old ? 'Upgrade the server.' : 'repctl status',
      };
    });

/** What the node knows of the cluster is hidden from the role. */
export const mayNotRead = ({ name, user }: ReachableNode): Finding => ({
  code: 'privilege-missing',
  severity: 'error',
  node: name,
  message: `${user} may not read schema repctl on ${name}.`,
  fix: 'repctl status',
});

/**
 * No node that answers knows an epoch. Where none answers at all, or those that know it may be the ones that do not, or
 * that do not let it be read, nobody is told to make a cluster: it may be there, and down.
 */
export function noEpoch(facts: Facts): Finding[] {
  const silent = unreachableNodes(facts);
  if (facts.reachable.length === 0 && silent.length > 0) return silent;
  const { cluster } = facts.config;
  const denied = facts.reachable.filter((node) => node.metadata === 'denied');
  if (denied.length > 0) return [...silent, ...denied.map(mayNotRead)];
  const names = silent.map(({ node }) => node).join(', ');
  return [
    {
      code: 'not-created',
      severity: 'error',
      message:
        silent.length === 0
          ? `No node knows an epoch of cluster ${cluster}.`
          : `No node that answers knows an epoch of cluster ${cluster}; ${names} ${silent.length === 1 ? 'does' : 'do'} not answer.`,
      fix: silent.length === 0 ? 'repctl cluster create' : 'repctl status',
    },
  ];
}
