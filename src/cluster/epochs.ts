/** Who leads, and what belongs to whom: small pure questions about a snapshot that everybody asks. */
import { type Lsn, maxLsn } from '../postgres/lsn.js';
import { slotName, subscriptionEpoch } from './names.js';
import type {
  Epoch,
  NodeSnapshot,
  ReachableNode,
  ReservedEpoch,
  SenderInfo,
  SlotInfo,
  Snapshot,
  SubscriptionInfo,
} from './model.js';

/** A type guard for `filter`. */
export const isReachable = (node: NodeSnapshot): node is ReachableNode => node.reachable;

/** The nodes that answered, in the order of the configuration. */
export const reachableNodes = (snapshot: Snapshot): readonly ReachableNode[] =>
  snapshot.nodes.filter(isReachable);

/** The node of that name, whether it answered or not. */
export const nodeNamed = (snapshot: Snapshot, name: string): NodeSnapshot | undefined =>
  snapshot.nodes.find((node) => node.name === name);

/** The newest epoch that a node has reached; 0 before `create`. */
export const epochOf = (node: ReachableNode): number => node.epochs[0]?.epoch ?? 0;

/**
 * The epoch that came before `epoch` in a node's history, newest first as ReachableNode has it. Not `epoch - 1`: a
 * number is left out where it cannot be ruled out that somebody leads under it, see nextEpoch().
 */
export const epochBefore = (epochs: readonly Epoch[], epoch: number): Epoch | undefined =>
  epochs.find((row) => row.epoch < epoch);

/** The epoch that followed `epoch` in a node's history, newest first. */
export const epochAfter = (epochs: readonly Epoch[], epoch: number): Epoch | undefined =>
  epochs.findLast((row) => row.epoch > epoch);

/** Promises of an epoch above `epoch` to nodes that do not answer: they may lead it, and nobody here has heard of it. */
export function unheardPromises(snapshot: Snapshot, epoch: number): readonly ReservedEpoch[] {
  const nodes = reachableNodes(snapshot);
  const silent = nodes
    .flatMap((node) => node.reserved ?? [])
    .filter((one) => one.epoch > epoch && !nodes.some(({ name }) => name === one.node));
  return [...new Map(silent.map((one) => [one.epoch, one])).values()];
}

/**
 * Its newest epoch is none of the present leader's history: it led it unheard, or followed one that did. Where both
 * sides of a partition were forced, that history may have another leader's epoch of the same number.
 */
export const knowsUnheard = (leader: ReachableNode, node: ReachableNode): boolean => {
  const [own] = node.epochs;
  return (
    own !== undefined && !leader.epochs.some((row) => row.epoch === own.epoch && row.leader === own.leader)
  );
};

/** The node was promoted, and the present leader has never heard of it: from where the two differ nobody can tell. */
export const ledUnheard = (leader: ReachableNode, node: ReachableNode): boolean =>
  node.epochs[0]?.leader === node.name && knowsUnheard(leader, node);

/** The highest epoch among the reachable nodes of this cluster; undefined before `create`. */
export function currentEpoch(snapshot: Snapshot): Epoch | undefined {
  const nodes = reachableNodes(snapshot);
  // Where the cluster's name is known, a URL that leads to another cluster says nothing about this one's leader.
  const members = nodes.filter((node) => node.clusterName === snapshot.cluster);
  return (members.length > 0 ? members : nodes)
    .flatMap((node) => node.epochs)
    .reduce<Epoch | undefined>(
      (best, epoch) => (!best || epoch.epoch > best.epoch ? epoch : best),
      undefined,
    );
}

/** The node that the current epoch names; undefined before `create` or when the configuration lacks it. */
export function leaderOf(snapshot: Snapshot): NodeSnapshot | undefined {
  const epoch = currentEpoch(snapshot);
  return epoch && nodeNamed(snapshot, epoch.leader);
}

/** The leader, if it answered. */
export function reachableLeader(snapshot: Snapshot): ReachableNode | undefined {
  const leader = leaderOf(snapshot);
  return leader?.reachable ? leader : undefined;
}

/** How many nodes are more than half of `count`. */
export const majorityOf = (count: number): number => Math.floor(count / 2) + 1;

/** Whether more than half of the configured nodes answered. */
export function hasMajority(snapshot: Snapshot): boolean {
  return reachableNodes(snapshot).length >= majorityOf(snapshot.nodes.length);
}

/**
 * The subscription through which a node follows a leader: repctl's own of the newest epoch that still has a
 * slot. Tombstones (no slot) are left out.
 */
export function ownSubscription(node: ReachableNode): SubscriptionInfo | undefined {
  return newestEpochFirst(node.subscriptions.filter((it) => it.own && it.slotName !== null))[0];
}

/** Old subscriptions that a new leader keeps (no slot) until every node is attached, newest epoch first. */
export function tombstones(node: ReachableNode): readonly SubscriptionInfo[] {
  return newestEpochFirst(node.subscriptions.filter((it) => it.own && it.slotName === null));
}

function newestEpochFirst(subscriptions: readonly SubscriptionInfo[]): readonly SubscriptionInfo[] {
  return subscriptions.toSorted(
    (a, b) => (subscriptionEpoch(b.name) ?? 0) - (subscriptionEpoch(a.name) ?? 0),
  );
}

/** Who led in the epoch that the subscription's name carries; null when no node remembers that epoch. */
export function upstreamOf(snapshot: Snapshot, subscription: SubscriptionInfo): string | null {
  const number = subscriptionEpoch(subscription.name);
  for (const node of reachableNodes(snapshot))
    for (const epoch of node.epochs) if (epoch.epoch === number) return epoch.leader;
  return null;
}

/**
 * Whether the node refuses clients' writes to every published table. False when a table lacks its fence or no
 * table is published: what is not proven fenced counts as writable.
 */
export function fenced(node: ReachableNode): boolean {
  return node.tables.length > 0 && node.tables.every((table) => table.fence === 'enabled');
}

/** Whether at least one published table takes clients' writes. */
export function writable(node: ReachableNode): boolean {
  return !node.inRecovery && node.tables.some((table) => table.fence !== 'enabled');
}

/** The slot on `owner` that feeds, or would feed, `sibling`. */
export function slotFor(owner: ReachableNode, sibling: string): SlotInfo | undefined {
  const name = slotName(sibling);
  return owner.slots.find((slot) => slot.name === name && slot.database === owner.database);
}

/** The walsender on `leader` that feeds `replica` now. */
export function senderFor(leader: ReachableNode, replica: string): SenderInfo | undefined {
  const pid = slotFor(leader, replica)?.activePid;
  return leader.senders.find((sender) => sender.pid === pid);
}

/**
 * Up to where `replica` has applied the WAL of `leader`: the latest of its origin's position and what its
 * worker told the leader. The origin alone moves only with transactions that carry rows, so that an idle
 * replica would look behind by every checkpoint record; a worker with nothing pending confirms what it
 * received. pg_stat_replication shows its figures to members of pg_read_all_stats only, the slot to everyone.
 * For telling the distance only: to prove that rows arrived, use the origin (SubscriptionInfo.appliedLsn).
 */
export function appliedPosition(leader: ReachableNode, replica: ReachableNode): Lsn | null {
  const subscription = ownSubscription(replica);
  if (!subscription) return null;
  return [
    subscription.appliedLsn,
    slotFor(leader, replica.name)?.confirmedFlushLsn ?? null,
    senderFor(leader, replica.name)?.replayLsn ?? null,
  ].reduce((best, lsn) => (best === null ? lsn : lsn === null ? best : maxLsn(best, lsn)), null);
}
