/** One node's place and state in the cluster, as `status` shows it. Pure. */
import { type Lsn, lsnDistance } from '../postgres/lsn.js';
import {
  appliedPosition,
  currentEpoch,
  epochOf,
  fenced,
  ledUnheard,
  ownSubscription,
  reachableLeader,
  senderFor,
  slotFor,
  upstreamOf,
} from './epochs.js';
import type { Limits } from './limits.js';
import type { NodeSnapshot, NodeState, ReachableNode, Snapshot, SubscriptionInfo } from './model.js';
import { subscriptionEpoch } from './names.js';
import { round } from './words.js';

/** What `status` shows of a node; also the shape of its --json. */
export interface NodeReport {
  readonly name: string;
  readonly role: 'leader' | 'replica';
  readonly state: NodeState;
  /** Whom it follows; null for the leader and where it follows nobody. */
  readonly upstream: string | null;
  /** Of a replica: position in the leader's WAL; of the leader: its own. */
  readonly appliedLsn: Lsn | null;
  readonly behindBytes: number | null;
  readonly behindMs: number | null;
  /** Since the last message of the upstream arrived. */
  readonly lastMessageMs: number | null;
  /** The newest epoch that it has reached; null before `create`, or unreachable. */
  readonly epoch: number | null;
  /** Whether it refuses clients' writes; null when it did not answer. */
  readonly fenced: boolean | null;
  readonly tablesReady: number | null;
  readonly tablesTotal: number | null;
  readonly version: string | null;
  readonly roundTripMs: number | null;
}

/** The state of one node; the findings say why. */
export function reportOf(snapshot: Snapshot, node: NodeSnapshot, limits: Limits): NodeReport {
  const current = currentEpoch(snapshot);
  const blank: NodeReport = {
    name: node.name,
    role: current?.leader === node.name ? 'leader' : 'replica',
    state: 'unreachable',
    upstream: null,
    appliedLsn: null,
    behindBytes: null,
    behindMs: null,
    lastMessageMs: null,
    epoch: null,
    fenced: null,
    tablesReady: null,
    tablesTotal: null,
    version: null,
    roundTripMs: null,
  };
  if (!node.reachable) return blank;
  const answered: NodeReport = {
    ...blank,
    epoch: node.epochs.length === 0 ? null : epochOf(node),
    fenced: fenced(node),
    version: node.version,
    roundTripMs: round(node.roundTripMs),
  };
  if (answered.role === 'leader') return { ...answered, state: 'leading', appliedLsn: node.flushLsn };
  if (isStaleLeader(snapshot, node)) return { ...answered, state: 'stale', appliedLsn: node.flushLsn };
  const subscription = ownSubscription(node);
  const distance = distanceOf(snapshot, node, subscription);
  const leader = reachableLeader(snapshot);
  const cut = leader !== undefined && !isFed(leader, node.name);
  return {
    ...answered,
    ...distance,
    state: replicaState(node, subscription, { epoch: current?.epoch ?? 0, cut, distance, limits }),
    upstream: subscription ? upstreamOf(snapshot, subscription) : null,
    lastMessageMs: lastMessageMs(node, subscription),
    tablesReady: subscription?.tables.filter((table) => table.state === 'r').length ?? null,
    tablesTotal: subscription?.tables.length ?? null,
  };
}

/** A former leader that came back: the newest epoch it knows is its own reign, and that is over. */
export function isStaleLeader(snapshot: Snapshot, node: ReachableNode): boolean {
  const known = node.epochs[0];
  const current = currentEpoch(snapshot);
  if (!known || !current || known.epoch >= current.epoch || known.leader !== node.name) return false;
  // Attached again, its epoch row is on the way.
  const subscription = ownSubscription(node);
  return !subscription || (subscriptionEpoch(subscription.name) ?? 0) < current.epoch;
}

/** What makes a stale leader a replica, once it is fenced. */
export function wayBack(snapshot: Snapshot, node: ReachableNode): string {
  const leader = reachableLeader(snapshot);
  return `repctl ${leader !== undefined && ledUnheard(leader, node) ? 'rewire' : 'rejoin'} ${node.name}`;
}

type Distance = Pick<NodeReport, 'appliedLsn' | 'behindBytes' | 'behindMs'>;

/** Only against the leader whose WAL the subscription reads: positions of other nodes cannot be compared. */
function distanceOf(
  snapshot: Snapshot,
  node: ReachableNode,
  subscription: SubscriptionInfo | undefined,
): Distance {
  const leader = reachableLeader(snapshot);
  const current = currentEpoch(snapshot);
  const attached = subscription && subscriptionEpoch(subscription.name) === current?.epoch;
  if (!leader || !attached)
    return { appliedLsn: subscription?.appliedLsn ?? null, behindBytes: null, behindMs: null };
  const appliedLsn = appliedPosition(leader, node);
  if (appliedLsn === null) return { appliedLsn, behindBytes: null, behindMs: null };
  // The nodes were asked at the same time, not at the same instant.
  const behindBytes = Math.max(0, lsnDistance(appliedLsn, leader.flushLsn));
  if (behindBytes === 0) return { appliedLsn, behindBytes, behindMs: 0 };
  const estimate = senderFor(leader, node.name)?.replayLagMs ?? null;
  const slot = slotFor(leader, node.name);
  // WAL that holds nothing for this replica makes it no older.
  if (slot?.pendingTransactions === 0) return { appliedLsn, behindBytes, behindMs: 0 };
  const since = slot?.pendingSince ?? null;
  const waiting = since === null ? null : Math.max(0, Date.parse(leader.serverTime) - Date.parse(since));
  return { appliedLsn, behindBytes, behindMs: waiting ?? (estimate === null ? null : round(estimate)) };
}

/** Both instants are the replica's own clock, so clocks that differ do no harm. */
function lastMessageMs(node: ReachableNode, subscription: SubscriptionInfo | undefined): number | null {
  const at = subscription?.lastMessageAt ?? null;
  return at === null ? null : Math.max(0, Date.parse(node.serverTime) - Date.parse(at));
}

/** Without a usable slot a worker can only fail, though it may be seen alive between two tries. */
function isFed(leader: ReachableNode, name: string): boolean {
  const slot = slotFor(leader, name);
  return slot?.invalidReason === null && slot.walStatus !== 'lost';
}

interface Circumstances {
  readonly epoch: number;
  /** The leader answers and has no usable slot for it. */
  readonly cut: boolean;
  readonly distance: Distance;
  readonly limits: Limits;
}

function replicaState(
  node: ReachableNode,
  subscription: SubscriptionInfo | undefined,
  { epoch, cut, distance, limits }: Circumstances,
): NodeState {
  if (!subscription?.enabled || subscriptionEpoch(subscription.name) !== epoch) return 'detached';
  if (cut || subscription.workerPid === null || isRetrying(node, subscription, distance)) return 'stalled';
  if (subscription.tables.some((table) => table.state !== 'r')) return 'copying';
  const late =
    (distance.behindBytes ?? 0) > limits.streamingBytes || (distance.behindMs ?? 0) > limits.streamingMs;
  return late ? 'catching-up' : 'streaming';
}

/**
 * A worker that fails on a row is started again every wal_retrieve_retry_interval (5 s) and may be seen alive
 * for a moment: young, with failures behind it and work before it.
 */
function isRetrying(node: ReachableNode, subscription: SubscriptionInfo, distance: Distance): boolean {
  const startedAt = subscription.workerStartedAt ?? null;
  if (subscription.applyErrors === 0 || startedAt === null || distance.behindBytes === 0) return false;
  return Date.parse(node.serverTime) - Date.parse(startedAt) < 1_000;
}
