/** A Snapshot seen by subscription. Pure. */
import { appliedPosition, reachableLeader, reachableNodes, upstreamOf } from '../../cluster/epochs.js';
import type {
  ReachableNode,
  Snapshot,
  SubscriptionInfo,
  TableName,
  TableSyncState,
} from '../../cluster/model.js';
import { type Lsn, lsnDistance } from '../../postgres/lsn.js';
import { nodesOf, type Unseen, unseenNodes } from './answers.js';
import { type Found, onlyOne } from './found.js';

export interface SubscriptionView {
  readonly node: string;
  readonly name: string;
  readonly own: boolean;
  readonly enabled: boolean;
  /** Kept for its origin alone, until every node follows this new leader. */
  readonly tombstone: boolean;
  readonly upstream: string | null;
  readonly slotName: string | null;
  readonly publications: readonly string[];
  readonly workerPid: number | null;
  readonly appliedLsn: Lsn | null;
  readonly receivedLsn: Lsn | null;
  /** Bytes of the leader's WAL that are not applied yet; null when either position is unknown. */
  readonly behindBytes: number | null;
  readonly lastMessageAt: string | null;
  readonly tables: readonly (TableName & { readonly state: TableSyncState })[];
  readonly applyErrors: number;
  readonly syncErrors: number;
  /** By kind, 18 and later. */
  readonly conflicts: Readonly<Record<string, number>>;
}

export interface SubscriptionList {
  readonly subscriptions: readonly SubscriptionView[];
  readonly unreachable: readonly Unseen[];
}

export const subscriptionList = (snapshot: Snapshot, only?: string): SubscriptionList => ({
  subscriptions: nodesOf(snapshot, only).flatMap((node) =>
    node.subscriptions.map((one) => subscriptionView(snapshot, node, one)),
  ),
  unreachable: unseenNodes(snapshot, only),
});

export function subscriptionView(
  snapshot: Snapshot,
  node: ReachableNode,
  one: SubscriptionInfo,
): SubscriptionView {
  const upstream = one.own ? upstreamOf(snapshot, one) : null;
  const leader = reachableLeader(snapshot);
  const source = leader?.name === upstream ? leader : undefined;
  const applied = source && one.enabled ? appliedPosition(source, node) : one.appliedLsn;
  return {
    node: node.name,
    name: one.name,
    own: one.own,
    enabled: one.enabled,
    tombstone: !one.enabled && one.slotName === null,
    upstream,
    slotName: one.slotName,
    publications: one.publications,
    workerPid: one.workerPid,
    appliedLsn: one.appliedLsn,
    receivedLsn: one.receivedLsn,
    behindBytes: source && applied !== null ? Math.max(0, lsnDistance(applied, source.flushLsn)) : null,
    lastMessageAt: one.lastMessageAt,
    tables: one.tables,
    applyErrors: one.applyErrors,
    syncErrors: one.syncErrors,
    conflicts: one.conflicts,
  };
}

/**
 * The subscription meant by a name of it or of its node (its newest own one). Throws `unknown-subscription`
 * or `ambiguous` (exit 2), `node-unreachable` (exit 3).
 */
export function findSubscription(snapshot: Snapshot, what: string, on?: string): Found<SubscriptionInfo> {
  const nodes = reachableNodes(snapshot).filter((node) => on === undefined || node.name === on);
  const byName = nodes.flatMap((node) =>
    node.subscriptions.filter((one) => one.name === what).map((item) => ({ node, item })),
  );
  const byNode = nodes
    .filter((node) => node.name === what)
    .flatMap((node) =>
      node.subscriptions
        .filter((one) => one.own)
        .slice(-1)
        .map((item) => ({ node, item })),
    );
  return onlyOne(snapshot, 'subscription', what, byName.length > 0 ? byName : byNode, on);
}
