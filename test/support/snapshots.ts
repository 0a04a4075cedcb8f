/** Snapshots of clusters that never ran, for tests of what is decided from one. */
import type {
  Epoch,
  NodeSnapshot,
  PublishedTable,
  ReachableNode,
  SlotInfo,
  Snapshot,
  SubscriptionInfo,
} from '../../src/cluster/model.js';
import { slotName, subscriptionName } from '../../src/cluster/names.js';

export const NOW = '2026-01-02T03:04:05.000Z';

export const epochRow = (epoch: number, leader: string, previousLeader: string | null = null): Epoch => ({
  epoch,
  leader,
  previousLeader,
  forkPoint: previousLeader === null ? null : '0/1000',
  previousLsn: null,
  startedAt: '2026-01-01T00:00:00.000Z',
  operation: previousLeader === null ? 'create' : 'failover',
  operator: 'op@test',
  reason: null,
});

export const tableOf = (name: string, patch: Partial<PublishedTable> = {}): PublishedTable => ({
  schema: 'public',
  name,
  fence: 'enabled',
  replicaIdentity: 'd',
  hasPrimaryKey: true,
  columns: [
    { name: 'id', type: 'bigint', notNull: true },
    { name: 'sku', type: 'text', notNull: true },
  ],
  ...patch,
});

export const slotOf = (sibling: string, patch: Partial<SlotInfo> = {}): SlotInfo => ({
  name: slotName(sibling),
  plugin: 'pgoutput',
  type: 'logical',
  database: 'shop',
  active: false,
  activePid: null,
  temporary: false,
  restartLsn: '0/1000',
  confirmedFlushLsn: '0/2000',
  walStatus: 'reserved',
  invalidReason: null,
  retainedBytes: 4096,
  own: true,
  ...patch,
});

export const subscriptionOf = (
  node: string,
  epoch: number,
  patch: Partial<SubscriptionInfo> = {},
): SubscriptionInfo => ({
  oid: 16400 + epoch,
  name: subscriptionName(node, epoch),
  enabled: true,
  slotName: slotName(node),
  publications: ['repctl'],
  origin: 'any',
  appliedLsn: '0/2000',
  workerPid: 4000,
  workerInTransaction: false,
  workerStartedAt: '2026-01-02T03:00:00.000Z',
  receivedLsn: '0/2000',
  latestEndLsn: '0/2000',
  lastMessageAt: '2026-01-02T03:04:04.800Z',
  tables: [{ schema: 'public', name: 'products', state: 'r' }],
  applyErrors: 0,
  syncErrors: 0,
  conflicts: {},
  own: true,
  ...patch,
});

/** A node that answers; without a patch it is named but neither leads nor follows. */
export const nodeOf = (name: string, patch: Partial<ReachableNode> = {}): ReachableNode => ({
  name,
  reachable: true,
  roundTripMs: 1,
  identity: name,
  clusterName: 'shop',
  metadata: 'present',
  systemIdentifier: `7000${name}`,
  database: 'shop',
  user: 'app',
  superuser: false,
  version: '18.4',
  versionNum: 180004,
  serverTime: NOW,
  clockOffsetMs: 0,
  insertLsn: '0/2000',
  flushLsn: '0/2000',
  inRecovery: false,
  settings: { wal_level: 'logical', max_replication_slots: '20', max_wal_senders: '20' },
  epochs: [],
  publications: [
    { name: 'repctl', allTables: false, tables: [{ schema: 'public', name: 'products' }], own: true },
  ],
  tables: [tableOf('products')],
  subscriptions: [],
  slots: [],
  standbyBases: [],
  senders: [],
  preparedTransactions: 0,
  prepared: [],
  longTransactions: [],
  events: [],
  ...patch,
});

/** A healthy cluster of n1 (leader) to n`count`, epoch 1. */
export function healthy(count = 3): Snapshot {
  const all = Array.from({ length: count }, (_, at) => `n${String(at + 1)}`);
  const epochs = [epochRow(1, 'n1')];
  return {
    cluster: 'shop',
    takenAt: NOW,
    nodes: all.map((name): NodeSnapshot => {
      const others = all.filter((it) => it !== name);
      if (name === 'n1') {
        return nodeOf(name, {
          epochs,
          tables: [tableOf('products', { fence: 'disabled' })],
          slots: others.map((it, at) => slotOf(it, { active: true, activePid: 100 + at })),
          senders: others.map((it, at) => ({
            applicationName: it,
            pid: 100 + at,
            state: 'streaming',
            sentLsn: '0/2000',
            flushLsn: '0/2000',
            replayLsn: '0/2000',
            syncState: 'async',
          })),
        });
      }
      return nodeOf(name, {
        epochs,
        subscriptions: [subscriptionOf(name, 1)],
        slots: others.map((it) => slotOf(it, { confirmedFlushLsn: '0/999', restartLsn: '0/999' })),
        standbyBases: others.map((sibling) => ({ sibling, epoch: 1, baseLsn: '0/1000' })),
      });
    }),
  };
}

/** The snapshot with one node patched. */
export function patch(
  snapshot: Snapshot,
  name: string,
  change: Partial<ReachableNode> | ((node: ReachableNode) => Partial<ReachableNode>),
): Snapshot {
  return {
    ...snapshot,
    nodes: snapshot.nodes.map((node) =>
      node.name === name && node.reachable
        ? { ...node, ...(typeof change === 'function' ? change(node) : change) }
        : node,
    ),
  };
}

/** The snapshot with that node silent. */
export const silence = (snapshot: Snapshot, name: string): Snapshot => ({
  ...snapshot,
  nodes: snapshot.nodes.map((node) =>
    node.name === name
      ? { name, reachable: false, code: 'node-unreachable', message: `${name} cannot be reached` }
      : node,
  ),
});
