/**
 * What the domain knows of a cluster at one moment. observe() fills it from the servers; everything that
 * decides (analyse, plans, routing) is a pure function of it.
 */
import type { Lsn } from '../postgres/lsn.js';
import type { LockHolder } from './lock-sql.js';

export interface TableName {
  readonly schema: string;
  readonly name: string;
}

export type Severity = 'critical' | 'error' | 'warning' | 'info';

/** Something an operator should know. `code` is stable and kebab-case; `fix` is what to type next. */
export interface Finding {
  readonly code: string;
  readonly severity: Severity;
  readonly node?: string;
  readonly message: string;
  readonly fix?: string;
}

/** A row of repctl.epoch: the reign of one leader. */
export interface Epoch {
  readonly epoch: number;
  readonly leader: string;
  readonly previousLeader: string | null;
  /** Position in the previous leader's WAL up to which this leader had everything. */
  readonly forkPoint: Lsn | null;
  /** The previous leader's last known position, as far as anybody saw it. */
  readonly previousLsn: Lsn | null;
  readonly startedAt: string;
  readonly operation: string;
  readonly operator: string;
  readonly reason: string | null;
}

/** pg_subscription_rel.srsubstate: init, data copy, finished copy, synchronised, ready. */
export type TableSyncState = 'i' | 'd' | 'f' | 's' | 'r';

export interface SubscribedTable extends TableName {
  readonly state: TableSyncState;
  /** A worker is copying or synchronising it now. */
  readonly syncing?: boolean;
}

export interface SubscriptionInfo {
  readonly oid: number;
  readonly name: string;
  readonly enabled: boolean;
  /** null once it is a tombstone (slot_name = NONE). */
  readonly slotName: string | null;
  readonly publications: readonly string[];
  /** Position of its origin: END LSN of the last applied transaction in the upstream's WAL; null if unknown. */
  readonly appliedLsn: Lsn | null;
  readonly workerPid: number | null;
  /** The apply worker has a transaction open: what appliedLsn says may not be visible yet. */
  readonly workerInTransaction: boolean;
  readonly receivedLsn: Lsn | null;
  readonly latestEndLsn: Lsn | null;
  /** When the last message of the upstream arrived, RFC 3339; null without a worker. */
  readonly lastMessageAt: string | null;
  /** When the apply worker started, RFC 3339; null without a worker or where the role may not see it. */
  readonly workerStartedAt?: string | null;
  readonly tables: readonly SubscribedTable[];
  readonly applyErrors: number;
  readonly syncErrors: number;
  /** pg_stat_subscription_stats.confl_* by the rest of the name, `insert_exists`; empty before version 18. */
  readonly conflicts: Readonly<Record<string, number>>;
  /** Made by repctl (its name says so). */
  readonly own: boolean;
  /** `any` or `none` (16+); null before, where every origin is taken. */
  readonly origin?: string | null;
  /** Why appliedLsn is null although the subscription exists. */
  readonly appliedUnknown?: string;
  /** synchronous_commit of its apply worker: `off` unless it was set. */
  readonly synchronousCommit?: string;
}

export interface SlotInfo {
  readonly name: string;
  readonly plugin: string | null;
  readonly type: 'logical' | 'physical';
  readonly database: string | null;
  readonly active: boolean;
  readonly activePid: number | null;
  readonly temporary: boolean;
  readonly restartLsn: Lsn | null;
  readonly confirmedFlushLsn: Lsn | null;
  /** reserved, extended, unreserved or lost. */
  readonly walStatus: string | null;
  /** Why the server gave the slot up, if it did (16+). */
  readonly invalidReason: string | null;
  /** Bytes of WAL that the slot keeps. */
  readonly retainedBytes: number;
  readonly own: boolean;
  /** Bytes that may still be written before max_slot_wal_keep_size invalidates it; null without that limit. */
  readonly safeWalBytes?: number | null;
  /** Since when nobody reads it, RFC 3339 (17+). */
  readonly inactiveSince?: string | null;
  /** Commit time of the first transaction that waits in it, RFC 3339, where it was asked for and is idle. */
  readonly pendingSince?: string | null;
  /** How many published transactions wait in it. */
  readonly pendingTransactions?: number | null;
  /** Commit record of the last of them; null with none. */
  readonly pendingUpTo?: Lsn | null;
}

/**
 * Row of repctl.standby: slot repctl_<sibling> on this node holds every transaction after `baseLsn`
 * (a position in the WAL of the leader of `epoch`). Mapping is only valid for a sibling at or past it.
 */
export interface StandbyBase {
  readonly sibling: string;
  readonly epoch: number;
  readonly baseLsn: Lsn;
}

/** Row of repctl.reserved: `node` was about to be promoted as the leader of `epoch`; whether it was is not said. */
export interface ReservedEpoch {
  readonly epoch: number;
  readonly node: string;
}

export interface SenderInfo {
  readonly applicationName: string;
  readonly pid: number;
  readonly state: string;
  readonly sentLsn: Lsn | null;
  readonly flushLsn: Lsn | null;
  readonly replayLsn: Lsn | null;
  readonly syncState: string;
  /** The server's own estimate of the delay; null while there is nothing to measure. */
  readonly replayLagMs?: number | null;
}

export type FenceState = 'enabled' | 'disabled' | 'missing';

export interface PublishedTable extends TableName {
  /** Fence of the table and all its leaves together; 'missing' if any lacks it. */
  readonly fence: FenceState;
  /** d, i, f, n as pg_class.relreplident. */
  readonly replicaIdentity: string;
  readonly hasPrimaryKey: boolean;
  /** As the server estimates, partitions counted in; undefined before it ever counted. */
  readonly estimatedRows?: number;
  readonly columns: readonly { readonly name: string; readonly type: string; readonly notNull: boolean }[];
  /** Triggers that are neither repctl's nor the server's own. */
  readonly triggers?: readonly PublishedTrigger[];
}

export interface PublishedTrigger {
  readonly name: string;
  /** pg_trigger.tgenabled: O and D for clients' writes; A and R fire for replicated rows too. */
  readonly enabled: string;
  /** `schema.function()`, and when it fires as the server encodes it. */
  readonly does: string;
}

export interface PublicationInfo {
  readonly name: string;
  readonly allTables: boolean;
  readonly tables: readonly TableName[];
  readonly own: boolean;
  /** Kinds of changes that it does not send, of insert, update, delete and truncate. */
  readonly withholds?: readonly string[];
}

export interface ReachableNode {
  readonly name: string;
  readonly reachable: true;
  /** Round trip of the connection check, milliseconds. */
  readonly roundTripMs: number;
  /** repctl.node: the name that this database was given; null before `create`. */
  readonly identity: string | null;
  /** Whether schema repctl is there and this role may read it. */
  readonly metadata?: 'present' | 'missing' | 'denied';
  /** Other clusters' databases carry another name here; null before `create`. */
  readonly clusterName: string | null;
  readonly systemIdentifier: string;
  readonly database: string;
  readonly user: string;
  readonly superuser: boolean;
  /** `18.4`, and 180004 as the server counts. */
  readonly version: string;
  readonly versionNum: number;
  /** The server's clock, RFC 3339. */
  readonly serverTime: string;
  /** Milliseconds that the server's clock is ahead of this machine's, round trip halved. */
  readonly clockOffsetMs: number;
  readonly insertLsn: Lsn;
  readonly flushLsn: Lsn;
  readonly inRecovery: boolean;
  readonly settings: Readonly<Record<string, string>>;
  /** Newest first; empty before `create`. */
  readonly epochs: readonly Epoch[];
  readonly publications: readonly PublicationInfo[];
  /** Tables of publication `repctl`, with the schema repctl's own. */
  readonly tables: readonly PublishedTable[];
  readonly subscriptions: readonly SubscriptionInfo[];
  readonly slots: readonly SlotInfo[];
  readonly standbyBases: readonly StandbyBase[];
  /** null: this role may not read them. Absent: none. */
  readonly reserved?: readonly ReservedEpoch[] | null;
  readonly senders: readonly SenderInfo[];
  /** Barriers of switchovers that are under way. */
  readonly barriers?: readonly Barrier[];
  readonly preparedTransactions: number;
  readonly prepared?: readonly PreparedTransaction[];
  readonly longTransactions: readonly LongTransaction[];
  /** Newest first, at most 20. */
  readonly events: readonly EventRow[];
  /** The newest record of what commits wait for that has reached this node; null or absent: they never did. */
  readonly syncRecord?: SyncRecord | null;
  /** Whether this role may set synchronous_standby_names and reload the configuration. */
  readonly canSetSync?: boolean;
  /** Sessions of this server whose commit waits for replicas now. */
  readonly syncWaiting?: number;
}

/** `async`: commits wait for nobody. `any`: for `k` of the named replicas. `all`: for all of them. */
export type SyncModeName = 'async' | 'any' | 'all';

/**
 * What commits wait for, as repctl.event of kind `sync` recorded it. A commit that was acknowledged under it, or
 * before it, is on at least `k` of `names`, flushed. It travels in the stream, so whoever has it has everything
 * before it.
 */
export interface SyncRecord {
  readonly mode: SyncModeName;
  /** How many must confirm; 0 when async. */
  readonly k: number;
  readonly names: readonly string[];
  readonly epoch: number;
  readonly at: string;
}

/** The row in repctl.event after which the leader of that epoch took no write. */
export interface Barrier {
  readonly id: string;
  readonly epoch: number;
  /**
   * Every fence on this node is up, and was raised by the very transaction that wrote the row (their xmin is the
   * same): so no client has written to this node since.
   */
  readonly holds: boolean;
}

export interface PreparedTransaction {
  readonly gid: string;
  readonly database: string;
  readonly owner: string;
  readonly seconds: number;
}

export interface LongTransaction {
  readonly pid: number;
  readonly user: string | null;
  readonly applicationName: string;
  readonly seconds: number;
  readonly state: string | null;
}

/** A row of repctl.event. */
export interface EventRow {
  readonly id: string;
  readonly at: string;
  readonly epoch: number;
  readonly kind: string;
  readonly node: string | null;
  readonly operator: string;
  readonly reason: string | null;
  readonly details: Readonly<Record<string, unknown>>;
}

export interface UnreachableNode {
  readonly name: string;
  readonly reachable: false;
  /** RepctlError code and message. */
  readonly code: string;
  readonly message: string;
  /** Nodes that tried to reach it themselves just now, and could not; absent when none was asked to. */
  readonly silentTo?: readonly string[];
}

export type NodeSnapshot = ReachableNode | UnreachableNode;

export interface Snapshot {
  readonly cluster: string;
  /** When it was taken, this machine's clock. */
  readonly takenAt: string;
  /** In the order of the configuration. */
  readonly nodes: readonly NodeSnapshot[];
  /** Who holds the lock of operations, by node; absent where that was not asked. */
  readonly holders?: readonly LockHolder[];
}

export type NodeState =
  'leading' | 'streaming' | 'catching-up' | 'copying' | 'stalled' | 'detached' | 'stale' | 'unreachable';

export type ClusterState = 'healthy' | 'degraded' | 'critical';
