/** The server's JSON document → the model. */
import type { Greeting } from './observe-sql.js';
import type {
  Barrier,
  Epoch,
  EventRow,
  FenceState,
  LongTransaction,
  PreparedTransaction,
  PublishedTable,
  ReachableNode,
  ReservedEpoch,
  SenderInfo,
  SlotInfo,
  SubscribedTable,
  SubscriptionInfo,
  TableName,
} from './model.js';
import { isOwnSlot, PUBLICATION, subscriptionEpoch } from './names.js';
import { toSyncRecord } from './sync.js';

interface RawSubscription {
  readonly oid: number;
  readonly name: string;
  readonly enabled: boolean;
  readonly slot_name: string | null;
  readonly publications: readonly string[];
  readonly origin: string | null;
  readonly synchronous_commit: string;
  readonly applied_lsn: string | null;
  readonly worker_pid: number | null;
  readonly received_lsn: string | null;
  readonly latest_end_lsn: string | null;
  readonly last_message_at: string | null;
  readonly in_transaction: boolean;
  readonly stats: Readonly<Record<string, unknown>> | null;
  readonly worker_started_at: string | null;
  readonly tables: readonly SubscribedTable[];
}

interface RawSlot {
  readonly name: string;
  readonly plugin: string | null;
  readonly type: 'logical' | 'physical';
  readonly database: string | null;
  readonly active: boolean;
  readonly active_pid: number | null;
  readonly temporary: boolean;
  readonly restart_lsn: string | null;
  readonly confirmed_flush_lsn: string | null;
  readonly wal_status: string | null;
  readonly safe_wal_size: number | null;
  readonly invalid_reason: string | null;
  readonly inactive_since: string | null;
  readonly retained: number;
}

interface RawSender {
  readonly application_name: string;
  readonly pid: number;
  readonly state: string;
  readonly sent_lsn: string | null;
  readonly flush_lsn: string | null;
  readonly replay_lsn: string | null;
  readonly replay_lag_ms: number | null;
  readonly sync_state: string;
}

interface RawEpoch {
  readonly epoch: number;
  readonly leader: string;
  readonly previous_leader: string | null;
  readonly fork_point: string | null;
  readonly previous_lsn: string | null;
  readonly started_at: string;
  readonly operation: string;
  readonly operator: string;
  readonly reason: string | null;
}

export interface RawState {
  readonly system_identifier: string;
  readonly database: string;
  readonly user: string;
  readonly version: string;
  readonly superuser: boolean;
  readonly in_recovery: boolean;
  readonly insert_lsn: string;
  readonly flush_lsn: string;
  readonly settings: Readonly<Record<string, string>> | null;
  readonly publications: readonly {
    readonly name: string;
    readonly all_tables: boolean;
    readonly withholds: readonly string[];
    readonly tables: readonly TableName[];
  }[];
  readonly tables: readonly (TableName & {
    readonly replica_identity: string;
    readonly has_primary_key: boolean;
    readonly estimated_rows: number | null;
    readonly fence: FenceState;
    readonly columns: PublishedTable['columns'];
    readonly triggers: PublishedTable['triggers'];
  })[];
  readonly subscriptions: readonly RawSubscription[];
  readonly slots: readonly RawSlot[];
  readonly senders: readonly RawSender[];
  readonly prepared: readonly PreparedTransaction[];
  readonly long_transactions: readonly (Omit<LongTransaction, 'applicationName'> & {
    readonly application_name: string;
  })[];
  readonly node: readonly { readonly name: string; readonly cluster: string }[];
  readonly epoch: readonly RawEpoch[];
  readonly event: readonly EventRow[];
  readonly sync: readonly Pick<EventRow, 'epoch' | 'at' | 'details'>[];
  readonly sync_waiting: number;
  readonly barrier: readonly Barrier[];
  readonly can_set_sync: boolean;
  readonly standby: readonly {
    readonly sibling: string;
    readonly epoch: number;
    readonly base_lsn: string;
  }[];
  readonly reserved: readonly ReservedEpoch[];
}

/** The server's timestamp in JSON → RFC 3339 in UTC with milliseconds. */
const instant = (text: string): string => new Date(text).toISOString();
const instantOrNull = (text: string | null): string | null => (text === null ? null : instant(text));

export function toNode(
  name: string,
  greeting: Greeting,
  raw: RawState,
  measured: { readonly roundTripMs: number; readonly clockOffsetMs: number },
): ReachableNode {
  const own = raw.node[0];
  return {
    name,
    reachable: true,
    ...measured,
    identity: own?.name ?? null,
    clusterName: own?.cluster ?? null,
    metadata: greeting.readable.includes('node')
      ? 'present'
      : greeting.present.includes('node')
        ? 'denied'
        : 'missing',
    systemIdentifier: raw.system_identifier,
    database: raw.database,
    user: raw.user,
    superuser: raw.superuser,
    // Debian adds its package's version in parentheses.
    version: raw.version.split(' ')[0] ?? raw.version,
    versionNum: greeting.version_num,
    serverTime: instant(greeting.now),
    insertLsn: raw.insert_lsn,
    flushLsn: raw.flush_lsn,
    inRecovery: raw.in_recovery,
    settings: raw.settings ?? {},
    epochs: raw.epoch.map(toEpoch),
    publications: raw.publications.map((it) => ({
      name: it.name,
      allTables: it.all_tables,
      tables: it.tables,
      own: it.name === PUBLICATION,
      ...(it.withholds.length === 0 ? {} : { withholds: it.withholds }),
    })),
    tables: raw.tables.map((it) => ({
      schema: it.schema,
      name: it.name,
      fence: it.fence,
      replicaIdentity: it.replica_identity,
      hasPrimaryKey: it.has_primary_key,
      ...(it.estimated_rows === null ? {} : { estimatedRows: it.estimated_rows }),
      columns: it.columns,
      triggers: it.triggers ?? [],
    })),
    subscriptions: raw.subscriptions.map(toSubscription),
    slots: raw.slots.map((it) => toSlot(it, raw.database)),
    standbyBases: raw.standby.map((it) => ({
      sibling: it.sibling,
      epoch: it.epoch,
      baseLsn: it.base_lsn,
    })),
    reserved:
      greeting.present.includes('reserved') && !greeting.readable.includes('reserved') ? null : raw.reserved,
    senders: raw.senders.map(toSender),
    barriers: raw.barrier,
    preparedTransactions: raw.prepared.length,
    prepared: raw.prepared,
    longTransactions: raw.long_transactions.map(({ application_name, ...it }) => ({
      ...it,
      applicationName: application_name,
    })),
    events: raw.event.map((it) => ({ ...it, at: instant(it.at) })),
    syncRecord: raw.sync[0] === undefined ? null : toSyncRecord(raw.sync[0]),
    syncWaiting: raw.sync_waiting,
    canSetSync: raw.can_set_sync,
  };
}

function toEpoch(raw: RawEpoch): Epoch {
  return {
    epoch: raw.epoch,
    leader: raw.leader,
    previousLeader: raw.previous_leader,
    forkPoint: raw.fork_point,
    previousLsn: raw.previous_lsn,
    startedAt: instant(raw.started_at),
    operation: raw.operation,
    operator: raw.operator,
    reason: raw.reason,
  };
}

function toSubscription(raw: RawSubscription): SubscriptionInfo {
  const stats = raw.stats ?? {};
  const counter = (key: string): number => Number(stats[key] ?? 0);
  return {
    oid: raw.oid,
    name: raw.name,
    enabled: raw.enabled,
    slotName: raw.slot_name,
    publications: raw.publications,
    origin: raw.origin,
    synchronousCommit: raw.synchronous_commit,
    appliedLsn: raw.applied_lsn,
    workerPid: raw.worker_pid,
    workerInTransaction: raw.in_transaction,
    receivedLsn: raw.received_lsn,
    latestEndLsn: raw.latest_end_lsn,
    lastMessageAt: instantOrNull(raw.last_message_at),
    workerStartedAt: instantOrNull(raw.worker_started_at),
    tables: raw.tables,
    applyErrors: counter('apply_error_count'),
    syncErrors: counter('sync_error_count'),
    conflicts: Object.fromEntries(
      Object.keys(stats)
        .filter((key) => key.startsWith('confl_'))
        .map((key) => [key.slice('confl_'.length), counter(key)]),
    ),
    own: subscriptionEpoch(raw.name) !== undefined,
  };
}

function toSlot(raw: RawSlot, database: string): SlotInfo {
  const lost = raw.wal_status === 'lost' ? 'wal_removed' : null;
  return {
    name: raw.name,
    plugin: raw.plugin,
    type: raw.type,
    database: raw.database,
    active: raw.active,
    activePid: raw.active_pid,
    temporary: raw.temporary,
    restartLsn: raw.restart_lsn,
    confirmedFlushLsn: raw.confirmed_flush_lsn,
    walStatus: raw.wal_status,
    // Before 17 the server names no reason; a slot whose WAL is gone is as dead there.
    invalidReason: raw.invalid_reason ?? lost,
    retainedBytes: Math.max(0, raw.retained),
    own: raw.database === database && isOwnSlot(raw.name),
    safeWalBytes: raw.safe_wal_size,
    inactiveSince: instantOrNull(raw.inactive_since),
  };
}

const toSender = (raw: RawSender): SenderInfo => ({
  applicationName: raw.application_name,
  pid: raw.pid,
  state: raw.state,
  sentLsn: raw.sent_lsn,
  flushLsn: raw.flush_lsn,
  replayLsn: raw.replay_lsn,
  replayLagMs: raw.replay_lag_ms,
  syncState: raw.sync_state,
});
