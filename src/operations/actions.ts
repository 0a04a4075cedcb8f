/**
 * Everything an operation can do to a cluster, as data. Plans are made of these; runners.ts knows how to do
 * each. Every action can be run again after an interruption: it checks what is there first.
 */
import type { SyncModeName, TableName } from '../cluster/model.js';
import type { Quorum } from '../cluster/sync.js';
import type { Step } from '../plan/plan.js';
import type { UpkeepMove } from '../replication/upkeep.js';
import type { Lsn } from '../postgres/lsn.js';

/** Schema repctl and this node's name; the products table where asked for. */
export interface Prepare {
  readonly kind: 'prepare';
  readonly node: string;
  readonly products: boolean;
}

/** Publication and fence over `tables`; the fence is enabled unless the node leads. */
export interface Publish {
  readonly kind: 'publish';
  readonly node: string;
  readonly tables: readonly TableName[];
  readonly leads: boolean;
}

/** The first epoch row, on the first leader. */
export interface Found {
  readonly kind: 'found';
  readonly leader: string;
}

/** Slot on the leader and subscription with an initial copy on the node. */
export interface Subscribe {
  readonly kind: 'subscribe';
  readonly node: string;
  readonly leader: string;
  readonly epoch: number;
}

/** Slot with an exported snapshot; every table proved equal at it by digest; subscription without a copy. */
export interface AttachEqual {
  readonly kind: 'attach-equal';
  readonly node: string;
  readonly leader: string;
  readonly epoch: number;
  readonly tables: readonly TableName[];
}

/** Slot with an exported snapshot; the node's rows made equal to it, writing those that differ; subscription without a copy. */
export interface Reconcile {
  readonly kind: 'reconcile';
  readonly node: string;
  readonly leader: string;
  readonly epoch: number;
  /** Users' tables; repctl's own published ones are set right with them. */
  readonly tables: readonly TableName[];
  /** Where rows that are overwritten are kept: path and beginning of the file's name. Default: the state directory. */
  readonly keptAs?: string;
}

/** Waits until every table of the nodes' subscriptions is ready. */
export interface AwaitCopy {
  readonly kind: 'await-copy';
  readonly nodes: readonly string[];
  readonly leader: string;
  readonly epoch: number;
}

/** A row in repctl.event on the leader, awaited until it is visible on each node: the stream works end to end. */
export interface Verify {
  readonly kind: 'verify';
  readonly leader: string;
  readonly nodes: readonly string[];
  readonly epoch: number;
  /** The operation that the event tells of. */
  readonly operation: string;
  /** The node it was about, if one. */
  readonly subject: string | null;
}

/** Standby slots on `node` for each sibling, moved to now, with the base from which they are complete. */
export interface Standby {
  readonly kind: 'standby';
  readonly node: string;
  readonly siblings: readonly string[];
  readonly leader: string;
  readonly epoch: number;
}

/** Lets the apply worker finish what it received (bounded), then disables the subscription. */
export interface Quiesce {
  readonly kind: 'quiesce';
  readonly node: string;
  readonly subscription: string;
  /**
   * Other followers of the same leader, with their subscriptions. Once one of them has all that this node received,
   * there is nothing to wait for here: writers would wait for nothing.
   */
  readonly rivals?: readonly Follower[];
  /** Stop even a worker that has received transactions which it could not apply in time and nobody else has. */
  readonly acceptDataLoss?: boolean;
}

/** A node with the subscription by which it follows. */
export interface Follower {
  readonly node: string;
  readonly subscription: string;
}

/** Enables a subscription of the present epoch that was disabled: its worker goes on exactly where it stopped. */
export interface Resume {
  readonly kind: 'resume';
  readonly node: string;
  readonly subscription: string;
}

/**
 * The leader's fence goes up, and the barrier row is written in the same transaction. Whatever can be done before
 * that is done first: sessions, locks that keep autovacuum away, the target's slots brought near.
 */
export interface Fence {
  readonly kind: 'fence';
  /** The leader. */
  readonly node: string;
  readonly target: string;
  readonly epoch: number;
  /** The published tables, schema repctl's own included. */
  readonly tables: readonly TableName[];
  /** How long it may wait for writers that hold locks, milliseconds. */
  readonly timeoutMs: number;
  /** End the sessions that still hold locks then, instead of giving up. */
  readonly terminateBlockers: boolean;
  /** Slots of the target that are moved on first, because they have long to decode. */
  readonly upkeep: readonly UpkeepMove[];
  /** What commits on the target will wait for: it is made so before the fence goes up. */
  readonly sync?: SyncTarget;
  readonly reserve: Reservation;
}

/** The number of a coming epoch, noted down on other nodes before anybody can lead under it. */
export interface Reservation {
  readonly epoch: number;
  /** Who is to lead. */
  readonly node: string;
  /** Where it is noted down: the others that answer. */
  readonly on: readonly string[];
  /** How many of those must have it, or nobody is promoted. */
  readonly needed: number;
}

/** Waits until the barrier row is visible on every node: they have all that the leader ever committed. */
export interface Drain {
  readonly kind: 'drain';
  readonly leader: string;
  readonly nodes: readonly string[];
  readonly timeoutMs: number;
}

/** The promotion transaction: tombstone, sequences, epoch row, fence off. */
export interface Promote {
  readonly kind: 'promote';
  readonly node: string;
  readonly epoch: number;
  readonly previousLeader: string;
  /** The node's subscription to that leader. */
  readonly subscription: string;
  readonly reserve: Reservation;
  readonly operation: string;
  /** The former leader is fenced and drained: a switchover. */
  readonly drained?: boolean;
  /** The former leader's position as a command last noted it down; for the record of what may be lost. */
  readonly seenLsn?: Lsn | undefined;
  /** What commits waited for rules out that an acknowledged one is lost; recorded, so that history says so too. */
  readonly lossRuledOut?: true;
  /** What commits wait for from the first write on; absent in async mode. */
  readonly sync?: SyncTarget;
}

/** Mapped rewire: advance slot repctl_<node> on the leader to the mapped point, then swap subscriptions. */
export interface Attach {
  readonly kind: 'attach';
  readonly node: string;
  readonly leader: string;
  readonly epoch: number;
  /** The epoch before that one. */
  readonly from: number;
  /** The node led before, and what it holds was decoded: nothing that others lack. */
  readonly nothingStranded?: boolean;
}

/** Last resort: empty the node's tables and copy them from the leader again. */
export interface Recopy {
  readonly kind: 'recopy';
  readonly node: string;
  readonly leader: string;
  readonly epoch: number;
  readonly tables: readonly TableName[];
}

/** The new leader's old subscription, no longer needed once every node is attached. */
export interface DropTombstone {
  readonly kind: 'drop-tombstone';
  readonly node: string;
  readonly subscriptions: readonly string[];
}

/** Removes the node's own subscriptions without touching their slots. */
export interface Unsubscribe {
  readonly kind: 'unsubscribe';
  readonly node: string;
  readonly subscriptions: readonly string[];
}

/** Drops slots on `node`, and the bases of those that were standby slots. */
export interface DropSlots {
  readonly kind: 'drop-slots';
  readonly node: string;
  readonly slots: readonly string[];
}

/** Fence, publication and schema repctl away; rows stay. */
export interface Unpublish {
  readonly kind: 'unpublish';
  readonly node: string;
}

/** What commits on a leader wait for. */
export interface SyncTarget extends Quorum {
  readonly mode: SyncModeName;
}

/** An operator takes the fence of one node up by hand; proved by a refused write on every table. */
export interface FenceNode {
  readonly kind: 'fence-node';
  readonly node: string;
  /** The node leads: the event is written while it still can be. */
  readonly epoch: number | null;
  readonly timeoutMs: number;
  readonly terminateBlockers: boolean;
  /** It was succeeded: commits that wait for a standby there wait for ever, and their sessions are ended at once. */
  readonly endUnconfirmed: boolean;
}

/** Takes the fence of the leader down again; proved by a write on every table that is let in. */
export interface UnfenceNode {
  readonly kind: 'unfence-node';
  readonly node: string;
  readonly epoch: number;
  readonly timeoutMs: number;
}

/** synchronous_commit of a replica's subscription: `local` in sync mode, else the default. */
export interface SyncCommit {
  readonly kind: 'sync-commit';
  readonly node: string;
  readonly subscription: string;
  readonly value: 'local' | 'off';
}

/** synchronous_standby_names of one server; '' gives up what repctl had set. */
export interface SyncSetting {
  readonly kind: 'sync-setting';
  readonly node: string;
  readonly value: string;
}

/** The record of what commits wait for, on the leader. */
export interface SyncRecorded {
  readonly kind: 'sync-record';
  readonly node: string;
  readonly epoch: number;
  readonly sync: SyncTarget;
  /** Promises less than before: `k` of `names` must have it before the setting may follow. */
  readonly heardBy: Quorum;
}

/** What a former leader committed and nobody else got, into a file, before anything else is done to the node. */
export interface SaveStranded {
  readonly kind: 'save-stranded';
  readonly node: string;
  readonly leader: string;
  readonly epoch: number;
  /** The epoch in which the node led, who ended that, and up to where the successor had its WAL. */
  readonly reign: number;
  readonly successor: string;
  readonly successorEpoch: number;
  readonly forkPoint: Lsn;
  /** The node's slot to decode. */
  readonly slot: string;
  /** Where the file goes. */
  readonly directory: string;
}

/** A former leader made a replica: the rows changed on either side since the fork set right, then the stream. */
export interface Rejoin {
  readonly kind: 'rejoin';
  readonly node: string;
  readonly leader: string;
  readonly epoch: number;
  readonly reign: number;
  /** The epoch that ended that reign. */
  readonly successorEpoch: number;
  readonly forkPoint: Lsn;
  readonly slot: string;
  /** Users' tables. */
  readonly tables: readonly TableName[];
}

/** Offers a stranded file's transactions to the leader. */
export interface ReplayStranded {
  readonly kind: 'replay-stranded';
  readonly leader: string;
  /** The former leader and its epoch, as the file says. */
  readonly node: string;
  readonly reign: number;
  readonly epoch: number;
  readonly file: string;
}

export type Action =
  | Prepare
  | Publish
  | Found
  | Subscribe
  | AttachEqual
  | Reconcile
  | AwaitCopy
  | Verify
  | Standby
  | Quiesce
  | Resume
  | Fence
  | Drain
  | Promote
  | Attach
  | Recopy
  | DropTombstone
  | Unsubscribe
  | DropSlots
  | Unpublish
  | FenceNode
  | UnfenceNode
  | SyncCommit
  | SyncSetting
  | SyncRecorded
  | SaveStranded
  | Rejoin
  | ReplayStranded;

export type OperationStep = Step<Action>;
