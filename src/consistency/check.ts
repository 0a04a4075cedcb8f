/** `check`: every published table on the leader against every replica, schema and sequences too. Changes nothing. */
import { currentEpoch, leaderOf, ownSubscription, reachableNodes } from '../cluster/epochs.js';
import type { Fleet } from '../cluster/fleet.js';
import type { ReachableNode, Snapshot, TableName } from '../cluster/model.js';
import { EXIT, RepctlError } from '../errors.js';
import type { Session } from '../postgres/session.js';
import { highestInUse, readSequences } from '../replication/sequences.js';
import { type Side, type TablePlan, methodOf } from './blocks.js';
import type { Lane } from './compare/run.js';
import { compareTable } from './compare/table.js';
import { type Flavour, digestColumns } from './digest.js';
import { commonFlavour, pinForDigests } from './equal.js';
import {
  type CheckResult,
  type TableNodeResult,
  type TableResult,
  nodeResult,
  skippedNode,
  tableResult,
  verdictOf,
} from './result.js';
import { type SchemaFinding, compareShapes } from './schema.js';
import { selectTables } from './select.js';
import { type TableShape, findShape } from './shape.js';
import { comparePublication, compareSequences, publishedTables } from './state.js';
import { type Patience, leaderPosition, waitVisible } from './visible.js';

export interface CheckRequest {
  /** `products`, `public.products`; none for all published ones. */
  readonly tables: readonly string[];
  /** Replicas; none for all of them. */
  readonly nodes: readonly string[];
  /** Differing rows to keep, per table and replica. */
  readonly rows: number;
  /** Blocks compared at once. */
  readonly concurrency: number;
  readonly blockRows: number;
  /** How long a replica that lags may be waited for, altogether. */
  readonly waitMs: number;
  readonly onProgress?: (progress: CheckProgress) => void;
  readonly signal?: AbortSignal;
}

export interface CheckProgress {
  readonly table: TableName;
  readonly rows: number;
  /** As the server estimates. */
  readonly ofRows: number;
}

/** A scan of a big table in one statement may take this long. */
const SCAN_TIMEOUT_MS = 3_600_000;

/**
 * Compares. Throws `not-created` (exit 2), `node-unreachable` (exit 3) for the leader and for replicas that were
 * named, `unknown-node`, `unknown-table` (exit 2).
 */
export async function check(fleet: Fleet, snapshot: Snapshot, request: CheckRequest): Promise<CheckResult> {
  const startedAt = new Date();
  const start = performance.now();
  // A name with a typing error must not make an empty, hence equal, comparison.
  for (const node of request.nodes) fleet.node(node);
  const { leader, replicas, unreachable } = participants(snapshot, request.nodes);
  const lanes: Lane[] = [];
  try {
    lanes.push(await openLane(fleet, leader, replicas));
    const [first] = lanes;
    if (!first) throw new RangeError('no lane');
    const sessions = [first.leader, ...first.nodes.values()];
    const flavour = await commonFlavour(sessions);
    const tables = await selectTables(first.leader, publishedTables(leader), request.tables);
    const results: TableResult[] = [];
    const schema: SchemaFinding[] = [];
    const patience = new Map(replicas.map((replica) => [replica.name, { leftMs: request.waitMs }]));
    for (const table of tables) {
      const seen = await readShapes(first, table, flavour);
      schema.push(...seen.findings);
      if (seen.plan.method === 'ranges' && seen.leader.estimatedRows > request.blockRows) {
        const more = Array.from({ length: request.concurrency - lanes.length }, () =>
          openLane(fleet, leader, replicas),
        );
        lanes.push(...(await Promise.all(more)));
      }
      results.push(await checkTable(lanes, seen, replicas, patience, request));
    }
    const sequences = await checkSequences(first, leader);
    const result = {
      cluster: snapshot.cluster,
      leader: leader.name,
      epoch: currentEpoch(snapshot)?.epoch ?? 0,
      startedAt: startedAt.toISOString(),
      durationMs: Math.round(performance.now() - start),
      tables: results,
      schema,
      publication: replicas.flatMap((replica) => comparePublication(leader, replica)),
      sequences,
      unreachable,
    };
    return { ...result, verdict: verdictOf(result) };
  } finally {
    const sessions = lanes.flatMap((lane) => [lane.leader, ...lane.nodes.values()]);
    await Promise.all(sessions.map((session) => session.close()));
  }
}

interface Participants {
  readonly leader: ReachableNode;
  readonly replicas: readonly ReachableNode[];
  readonly unreachable: CheckResult['unreachable'];
}

/** Who is compared with whom; pure. */
function participants(snapshot: Snapshot, wanted: readonly string[]): Participants {
  const leader = leaderOf(snapshot);
  if (!leader)
    throw new RepctlError(
      'not-created',
      'This cluster has no leader yet: there is nothing to compare with.',
      {
        hint: 'repctl cluster create',
      },
    );
  if (!leader.reachable) throw unreachableError(leader.name, leader.message, 'repctl status');
  if (wanted.includes(leader.name))
    throw new RepctlError('usage', `${leader.name} is the leader: the others are compared with it.`, {
      hint: 'Name replicas, or no node at all.',
    });
  const others = snapshot.nodes.filter(
    (node) => node.name !== leader.name && (wanted.length === 0 || wanted.includes(node.name)),
  );
  const gone = others.flatMap((node) =>
    node.reachable ? [] : [{ node: node.name, code: node.code, message: node.message }],
  );
  const named = gone.find((node) => wanted.includes(node.node));
  if (named) throw unreachableError(named.node, named.message, 'repctl status');
  const replicas = reachableNodes(snapshot).filter((node) => others.includes(node));
  return { leader, replicas, unreachable: gone };
}

const unreachableError = (node: string, message: string, hint: string): RepctlError =>
  new RepctlError('node-unreachable', message, { exit: EXIT.unreachable, hint, details: { node } });

/** Sessions of their own: a lane works through its blocks one after the other on each of them. */
async function openLane(
  fleet: Fleet,
  leader: ReachableNode,
  replicas: readonly ReachableNode[],
): Promise<Lane> {
  const opened: Session[] = [];
  const open = async (node: string): Promise<Session> => {
    const session = await fleet.fresh(node, 'repctl check');
    opened.push(session);
    await pinForDigests(session);
    await session.query(`select pg_catalog.set_config('statement_timeout', $1, false)`, [SCAN_TIMEOUT_MS]);
    return session;
  };
  try {
    const [first, ...rest] = await Promise.all([leader, ...replicas].map((node) => open(node.name)));
    if (!first) throw new RangeError('no session');
    return { leader: first, nodes: new Map(rest.map((session) => [session.node, session])) };
  } catch (error) {
    await Promise.all(opened.map((session) => session.close()));
    throw error;
  }
}

interface Seen {
  readonly table: TableName;
  readonly leader: TableShape;
  readonly plan: TablePlan;
  /** Replicas that have what is to be compared. */
  readonly nodes: ReadonlyMap<string, Side>;
  /** Why the others cannot be compared. */
  readonly skipped: ReadonlyMap<string, string>;
  readonly findings: readonly SchemaFinding[];
}

async function readShapes(lane: Lane, table: TableName, flavour: Flavour): Promise<Seen> {
  const [leader, ...shapes] = await Promise.all(
    [lane.leader, ...lane.nodes.values()].map((session) => findShape(session, table)),
  );
  if (!leader)
    throw new RepctlError(
      'unknown-table',
      `${table.schema}.${table.name} is no table of ${lane.leader.node} any more.`,
    );
  const names = [...lane.nodes.keys()];
  const others = shapes.filter((shape) => shape !== undefined);
  const columns = digestColumns(leader, others);
  const key = leader.key.flatMap((name) => columns.filter((column) => column.name === name));
  const nodes = new Map<string, Side>();
  const skipped = new Map<string, string>();
  for (const [index, name] of names.entries()) {
    const shape = shapes[index];
    const lacking = columns.filter((column) => !shape?.columns.some((other) => other.name === column.name));
    if (!shape) skipped.set(name, 'the table does not exist here');
    else if (lacking.length > 0)
      skipped.set(name, `column ${lacking.map((column) => column.name).join(', ')} does not exist here`);
    else nodes.set(name, { shape, filter: null });
  }
  return {
    table,
    leader,
    plan: { method: methodOf(leader), columns, key, flavour },
    nodes,
    skipped,
    findings: names.flatMap((name, index) => compareShapes(leader, shapes[index], name)),
  };
}

async function checkTable(
  lanes: readonly Lane[],
  seen: Seen,
  replicas: readonly ReachableNode[],
  patience: ReadonlyMap<string, Patience>,
  request: CheckRequest,
): Promise<TableResult> {
  const start = performance.now();
  const subscriptions = new Map(replicas.map((replica) => [replica.name, ownSubscription(replica)]));
  let rows = 0;
  const compared = await compareTable({
    plan: seen.plan,
    leader: { shape: seen.leader, filter: seen.leader.filter },
    nodes: seen.nodes,
    lanes,
    blockRows: request.blockRows,
    samples: request.rows,
    caughtUp: async (node, lane) => {
      const subscription = subscriptions.get(node);
      const session = lane.nodes.get(node);
      if (!subscription?.enabled || !session || copying(subscription.tables, seen.table)) return false;
      const target = await leaderPosition(lane.leader);
      return waitVisible(session, subscription.oid, target, patience.get(node) ?? { leftMs: 0 });
    },
    onRows: (more) => {
      rows += more;
      request.onProgress?.({ table: seen.table, rows, ofRows: seen.leader.estimatedRows });
    },
    ...(request.signal ? { signal: request.signal } : {}),
  });
  const nodes: TableNodeResult[] = [];
  for (const { name } of replicas) {
    const tally = compared.nodes.get(name);
    if (tally) nodes.push(nodeResult(seen.plan, name, tally));
    else nodes.push(skippedNode(name, seen.skipped.get(name) ?? 'not compared'));
  }
  return tableResult(seen.plan, seen.leader, compared, nodes, Math.round(performance.now() - start));
}

/** A table whose initial copy runs says nothing about what the stream brought; see {@link waitVisible}. */
const copying = (tables: readonly (TableName & { state: string })[], { schema, name }: TableName): boolean =>
  tables.some((table) => table.schema === schema && table.name === name && table.state !== 'r');

async function checkSequences(lane: Lane, leader: ReachableNode): Promise<CheckResult['sequences']> {
  const tables = [...leader.tables, ...publishedTables(leader)];
  // A replica that went away meanwhile is told of with its tables; its sequences are simply unknown.
  const readOrNone = (session: Session) => readSequences(session).catch(() => []);
  const names = [...lane.nodes.keys()];
  const [ours, ...theirs] = await Promise.all([
    readSequences(lane.leader, tables),
    ...[...lane.nodes.values()].map(readOrNone),
  ]);
  const nodes = new Map(names.map((name, index) => [name, theirs[index] ?? []]));
  return compareSequences(await highestInUse(lane.leader, ours), nodes);
}
