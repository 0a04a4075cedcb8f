/**
 * What each action does to a cluster, as a model: the specification that plans are tested against. The runners
 * are tested against real servers; this says what observe() would find after them.
 */
import type {
  Epoch,
  EventRow,
  ReachableNode,
  Snapshot,
  SubscriptionInfo,
  TableName,
} from '../../src/cluster/model.js';
import { PUBLICATION, isOwnSlot, slotName, subscriptionName } from '../../src/cluster/names.js';
import { settingOf } from '../../src/cluster/sync.js';
import type { Action } from '../../src/operations/actions.js';
import { hasStandbySlots } from '../../src/operations/facts.js';
import { PUBLISHED_METADATA } from '../../src/replication/metadata.js';
import { lsnToNumber, numberToLsn } from '../../src/postgres/lsn.js';

const AT = '2026-01-01T00:00:00.000Z';

/** A server that repctl has never touched. */
export const bareNode = (name: string, index: number): ReachableNode => ({
  name,
  reachable: true,
  roundTripMs: 1,
  identity: null,
  clusterName: null,
  systemIdentifier: `70000000000000000${String(index)}`,
  database: 'shop',
  user: 'repctl',
  superuser: false,
  version: '18.4',
  versionNum: 180_004,
  serverTime: AT,
  clockOffsetMs: 0,
  insertLsn: '0/1000',
  flushLsn: '0/1000',
  inRecovery: false,
  settings: { wal_level: 'logical', wal_receiver_timeout: '60000' },
  epochs: [],
  publications: [],
  tables: [],
  subscriptions: [],
  slots: [],
  standbyBases: [],
  senders: [],
  preparedTransactions: 0,
  longTransactions: [],
  events: [],
});

type Change = (node: ReachableNode) => ReachableNode;

const change = (snapshot: Snapshot, name: string, how: Change): Snapshot => ({
  ...snapshot,
  nodes: snapshot.nodes.map((node) => (node.name === name && node.reachable ? how(node) : node)),
});

export const nodeIn = (snapshot: Snapshot, name: string): ReachableNode => {
  const node = snapshot.nodes.find((candidate) => candidate.name === name);
  if (node?.reachable !== true) throw new Error(`${name} is not reachable in the model`);
  return node;
};

const slot = (name: string) => ({
  name,
  plugin: 'pgoutput',
  type: 'logical' as const,
  database: 'shop',
  active: false,
  activePid: null,
  temporary: false,
  restartLsn: '0/1000',
  confirmedFlushLsn: '0/1000',
  walStatus: 'reserved',
  invalidReason: null,
  retainedBytes: 0,
  own: true,
});

const withSlots = (node: ReachableNode, names: readonly string[]): ReachableNode => ({
  ...node,
  slots: [...node.slots.filter((one) => !names.includes(one.name)), ...names.map(slot)],
});

const subscription = (
  node: string,
  epoch: number,
  tables: readonly TableName[],
  state: 'd' | 'r',
  confirms = false,
): SubscriptionInfo => ({
  synchronousCommit: confirms ? 'local' : 'off',
  oid: 16_000 + epoch,
  name: subscriptionName(node, epoch),
  enabled: true,
  slotName: slotName(node),
  publications: [PUBLICATION],
  appliedLsn: null,
  workerPid: 4711,
  workerInTransaction: false,
  receivedLsn: null,
  latestEndLsn: null,
  lastMessageAt: null,
  tables: tables.map((table) => ({ ...table, state })),
  applyErrors: 0,
  syncErrors: 0,
  conflicts: {},
  own: true,
});

const waits = (leader: ReachableNode): boolean => (leader.syncRecord?.mode ?? 'async') !== 'async';

const isOwn = (one: SubscriptionInfo): boolean => one.name.startsWith('repctl_');

const nextLsn = (node: ReachableNode): string => numberToLsn(lsnToNumber(node.insertLsn) + 0x100n);

/** The snapshot after the action. */
export function simulate(snapshot: Snapshot, action: Action): Snapshot {
  switch (action.kind) {
    case 'prepare':
      return change(snapshot, action.node, (node) => ({
        ...node,
        identity: node.name,
        clusterName: snapshot.cluster,
      }));
    case 'publish':
      return change(snapshot, action.node, (node) => {
        const tables = [...action.tables, ...PUBLISHED_METADATA];
        return {
          ...node,
          publications: [{ name: PUBLICATION, allTables: false, tables, own: true }],
          tables: tables.map((table) => ({
            ...table,
            fence: action.leads ? ('disabled' as const) : ('enabled' as const),
            replicaIdentity: 'd',
            hasPrimaryKey: true,
            columns: [],
          })),
        };
      });
    case 'found':
      return change(snapshot, action.leader, (node) => ({
        ...node,
        epochs: [epochRow(1, action.leader, null, 'create')],
      }));
    case 'reconcile': {
      const leader = nodeIn(snapshot, action.leader);
      const made = change(snapshot, action.leader, (node) => ({
        ...withSlots(node, [slotName(action.node)]),
        standbyBases: node.standbyBases.filter((base) => base.sibling !== action.node),
      }));
      return change(made, action.node, (node) => ({
        ...node,
        slots: node.slots.filter((one) => !isOwnSlot(one.name)),
        standbyBases: [],
        epochs: leader.epochs,
        events: leader.events,
        subscriptions: [
          ...node.subscriptions.filter((one) => !isOwn(one)),
          subscription(node.name, action.epoch, leader.tables, 'r'),
        ],
      }));
    }
    case 'subscribe':
    case 'attach-equal': {
      const leader = nodeIn(snapshot, action.leader);
      const equal = action.kind === 'attach-equal';
      const made = change(snapshot, action.leader, (node) => withSlots(node, [slotName(action.node)]));
      return change(made, action.node, (node) => ({
        ...node,
        subscriptions: [
          ...node.subscriptions,
          subscription(node.name, action.epoch, leader.tables, equal ? 'r' : 'd', waits(leader)),
        ],
        ...(equal ? { epochs: leader.epochs, events: leader.events } : {}),
      }));
    }
    case 'await-copy': {
      const leader = nodeIn(snapshot, action.leader);
      return action.nodes.reduce(
        (state, name) =>
          change(state, name, (node) => ({
            ...node,
            epochs: leader.epochs,
            events: leader.events,
            subscriptions: node.subscriptions.map((one) => ({
              ...one,
              tables: one.tables.map((table) => ({ ...table, state: 'r' as const })),
            })),
          })),
        snapshot,
      );
    }
    case 'verify': {
      const leader = nodeIn(snapshot, action.leader);
      const position = nextLsn(leader);
      const row: EventRow = {
        id: `${action.operation}-${String(leader.events.length)}`,
        at: AT,
        epoch: action.epoch,
        kind: action.operation,
        node: action.subject,
        operator: 'test',
        reason: null,
        details: {},
      };
      const written = change(snapshot, action.leader, (node) => ({
        ...node,
        insertLsn: position,
        events: [row, ...node.events],
      }));
      // Every attached replica gets it, whether it was waited for or not.
      return written.nodes.reduce(
        (state, one) =>
          one.name === action.leader
            ? state
            : change(state, one.name, (node) => {
                const own = node.subscriptions.find(
                  (candidate) => candidate.name === subscriptionName(node.name, action.epoch),
                );
                if (own?.enabled !== true || own.tables.some((table) => table.state !== 'r')) return node;
                return {
                  ...node,
                  epochs: leader.epochs,
                  barriers: leader.barriers ?? [],
                  events: [row, ...node.events],
                  subscriptions: node.subscriptions.map((candidate) =>
                    candidate === own ? { ...candidate, appliedLsn: position } : candidate,
                  ),
                };
              }),
        written,
      );
    }
    case 'standby':
      return change(snapshot, action.node, (node) => {
        const base =
          node.subscriptions.find((one) => one.name === subscriptionName(node.name, action.epoch))
            ?.appliedLsn ?? '0/0';
        const lacking = action.siblings.filter((sibling) => !hasStandbySlots(node, [sibling], action.epoch));
        return {
          ...withSlots(node, lacking.map(slotName)),
          standbyBases: [
            ...node.standbyBases.filter((one) => !lacking.includes(one.sibling)),
            ...lacking.map((sibling) => ({ sibling, epoch: action.epoch, baseLsn: base })),
          ],
        };
      });
    case 'quiesce':
      return change(snapshot, action.node, (node) => ({
        ...node,
        subscriptions: node.subscriptions.map((one) =>
          one.name === action.subscription ? { ...one, enabled: false, workerPid: null } : one,
        ),
      }));
    case 'resume':
      return change(snapshot, action.node, (node) => ({
        ...node,
        subscriptions: node.subscriptions.map((one) =>
          one.name === action.subscription ? { ...one, enabled: true } : one,
        ),
      }));
    case 'fence':
      return change(snapshot, action.node, (node) => ({
        ...node,
        tables: node.tables.map((table) => ({ ...table, fence: 'enabled' as const })),
        barriers: [{ id: `barrier ${String(action.epoch)}`, epoch: action.epoch, holds: true }],
      }));
    case 'drain': {
      const position = nextLsn(nodeIn(snapshot, action.leader));
      return action.nodes.reduce(
        (state, name) =>
          change(state, name, (node) => ({
            ...node,
            barriers: (nodeIn(snapshot, action.leader).barriers ?? []).map((one) => ({
              ...one,
              holds: false,
            })),
            subscriptions: node.subscriptions.map((one) =>
              one.enabled ? { ...one, appliedLsn: position } : one,
            ),
          })),
        snapshot,
      );
    }
    case 'promote':
      return change(snapshot, action.node, (node) => {
        const former = node.subscriptions.find((one) => one.name === action.subscription);
        return {
          ...withStandbyNames(node, action.sync === undefined ? '' : settingOf(action.sync)),
          syncRecord:
            action.sync === undefined
              ? (node.syncRecord ?? null)
              : { ...action.sync, epoch: action.epoch, at: AT },
          tables: node.tables.map((table) => ({ ...table, fence: 'disabled' as const })),
          ...(action.drained === true ? { barriers: [] } : {}),
          subscriptions: node.subscriptions.map((one) =>
            one === former ? { ...one, enabled: false, slotName: null, workerPid: null } : one,
          ),
          epochs: [
            {
              ...epochRow(action.epoch, action.node, action.previousLeader, action.operation),
              forkPoint: former?.appliedLsn ?? null,
            },
            ...node.epochs,
          ],
        };
      });
    case 'attach': {
      const leader = nodeIn(snapshot, action.leader);
      const led = nodeIn(snapshot, action.node).epochs[0]?.leader === action.node;
      return change(snapshot, action.node, (node) => ({
        ...node,
        ...(led ? { slots: node.slots.filter((one) => !isOwnSlot(one.name)), standbyBases: [] } : {}),
        subscriptions: [
          ...node.subscriptions.filter((one) => !isOwn(one)),
          subscription(node.name, action.epoch, leader.tables, 'r', waits(leader)),
        ],
      }));
    }
    case 'rejoin': {
      const leader = nodeIn(snapshot, action.leader);
      // Without a slot it reconciles, from one that it makes.
      const fed = change(snapshot, action.leader, (node) =>
        node.slots.some(({ name }) => name === slotName(action.node))
          ? node
          : withSlots(node, [slotName(action.node)]),
      );
      return change(fed, action.node, (node) => ({
        ...node,
        slots: node.slots.filter((one) => !isOwnSlot(one.name)),
        standbyBases: [],
        subscriptions: [
          ...node.subscriptions.filter((one) => !isOwn(one)),
          subscription(node.name, action.epoch, leader.tables, 'r', waits(leader)),
        ],
      }));
    }
    case 'save-stranded':
    case 'replay-stranded': {
      const saved = action.kind === 'save-stranded';
      const row: EventRow = {
        id: `${action.kind}-${action.node}-${String(action.reign)}`,
        at: AT,
        epoch: action.epoch,
        kind: saved ? 'stranded' : 'replay',
        node: action.node,
        operator: 'test',
        reason: null,
        details: {
          reign: action.reign,
          file: saved
            ? `${action.directory}/stranded-${action.node}-${String(action.reign)}.jsonl`
            : action.file,
        },
      };
      return change(snapshot, action.leader, (node) => ({ ...node, events: [row, ...node.events] }));
    }
    case 'recopy': {
      const leader = nodeIn(snapshot, action.leader);
      const made = change(snapshot, action.leader, (node) => withSlots(node, [slotName(action.node)]));
      return change(made, action.node, (node) => ({
        ...node,
        tables: node.tables.map((table) => ({ ...table, fence: 'enabled' as const })),
        slots: node.slots.filter((one) => !isOwnSlot(one.name)),
        standbyBases: [],
        epochs: [],
        events: [],
        subscriptions: [
          ...node.subscriptions.filter((one) => !isOwn(one)),
          subscription(node.name, action.epoch, leader.tables, 'd', waits(leader)),
        ],
      }));
    }
    case 'drop-tombstone':
    case 'unsubscribe':
      return change(snapshot, action.node, (node) => ({
        ...node,
        subscriptions: node.subscriptions.filter((one) => !action.subscriptions.includes(one.name)),
      }));
    case 'drop-slots':
      return change(snapshot, action.node, (node) => ({
        ...node,
        slots: node.slots.filter((one) => !action.slots.includes(one.name)),
        standbyBases: node.standbyBases.filter((base) => !action.slots.includes(slotName(base.sibling))),
      }));
    case 'unpublish':
      return change(snapshot, action.node, (node) => ({
        ...node,
        identity: null,
        clusterName: null,
        publications: [],
        tables: [],
        epochs: [],
        events: [],
        standbyBases: [],
      }));
    case 'fence-node':
    case 'unfence-node':
      return change(snapshot, action.node, (node) => ({
        ...node,
        tables: node.tables.map((table) => ({
          ...table,
          fence: action.kind === 'fence-node' ? ('enabled' as const) : ('disabled' as const),
        })),
      }));
    case 'sync-commit':
      return change(snapshot, action.node, (node) => ({
        ...node,
        subscriptions: node.subscriptions.map((one) =>
          one.name === action.subscription ? { ...one, synchronousCommit: action.value } : one,
        ),
      }));
    case 'sync-setting':
      return change(snapshot, action.node, (node) => withStandbyNames(node, action.value));
    case 'sync-record':
      // It travels to whoever follows.
      return snapshot.nodes.reduce(
        (state, { name }) =>
          change(state, name, (node) =>
            name === action.node || node.subscriptions.some((one) => one.enabled && one.slotName !== null)
              ? { ...node, syncRecord: { ...action.sync, epoch: action.epoch, at: AT } }
              : node,
          ),
        snapshot,
      );
    default:
      throw new Error(`the model does not know ${(action as Action).kind}`);
  }
}

const withStandbyNames = (node: ReachableNode, value: string): ReachableNode => ({
  ...node,
  settings: { ...node.settings, synchronous_standby_names: value },
});

const epochRow = (
  epoch: number,
  leader: string,
  previousLeader: string | null,
  operation: string,
): Epoch => ({
  epoch,
  leader,
  previousLeader,
  forkPoint: null,
  previousLsn: null,
  startedAt: AT,
  operation,
  operator: 'test',
  reason: null,
});

/** The node stops answering. */
export const unreachable = (snapshot: Snapshot, name: string): Snapshot => ({
  ...snapshot,
  nodes: snapshot.nodes.map((node) =>
    node.name === name
      ? { name, reachable: false, code: 'node-unreachable', message: `${name} does not answer` }
      : node,
  ),
});

/** Moves a replica's applied position by `bytes`: replicas are not equally far. */
export const advanced = (snapshot: Snapshot, name: string, bytes: number): Snapshot =>
  change(snapshot, name, (node) => ({
    ...node,
    subscriptions: node.subscriptions.map((one) =>
      one.appliedLsn === null || !one.enabled
        ? one
        : { ...one, appliedLsn: numberToLsn(lsnToNumber(one.appliedLsn) + BigInt(bytes)) },
    ),
  }));
