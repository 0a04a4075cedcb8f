/**
 * Why the apply worker does not get on: rows of the replica that stand in the way of the next transaction.
 *
 * The next transaction T1 is the first one in the leader's slot past what the replica has applied. A temporary copy of
 * that slot is decoded, since the slot itself is in use. An INSERT or UPDATE of T1 fails for ever while another row
 * of the replica has one of its unique values, or an exclusion constraint does not bear both. Such a row is not the
 * leader's at that point: the leader had both the change and that index or constraint. The exception is a row that T1
 * itself has changed before (for a deferrable constraint: at any time), since then it is no longer what stands here.
 *
 * It is removed, not replaced: whether the leader has another row of that key at that point only the stream knows,
 * and a row that is missing stops nothing. T1 is not applied while it is removed: the table is locked, the worker not
 * in it, and the applied position is before T1. When the stream has caught up, what is missing is set right as
 * everything else is (./settle.ts).
 */
import type { TableName } from '../../cluster/model.js';
import { slotName } from '../../cluster/names.js';
import { type Lsn, compareLsn } from '../../postgres/lsn.js';
import { qualified } from '../../postgres/quote.js';
import type { Session } from '../../postgres/session.js';
import { decodeSlot } from '../../replication/stranded/decode.js';
import type { RowChange, TransactionHead, Values } from '../../replication/stranded/model.js';
import { type RowReading, rowsParams, rowsSql } from '../blocks.js';
import { foldDoubles } from '../compare/rows.js';
import type { Flavour } from '../digest.js';
import type { KeptRows } from '../reconcile/kept.js';
import type { Knock } from '../reconcile/pipe.js';
import { type ReconcileTable, describeTable } from '../reconcile/table.js';
import { UNIQUES_SQL, type UniqueIndex, obstacleSql } from './uniques.js';
import { type Rows, withTablesLocked, writeRows } from './write.js';

/** A row of the replica with which a row that is to come is in conflict. */
export interface Obstacle {
  readonly table: TableName;
  readonly key: string;
  readonly hash: string;
  /** The columns of its key, and all of them. */
  readonly identity: Values;
  readonly row: Values;
  /** The unique index or exclusion constraint, and the change that fails on it. */
  readonly index: string;
  readonly op: 'insert' | 'update';
  readonly change: Values;
}

export interface Stall {
  /** The transaction that cannot be applied: where it commits in the leader's WAL, which is what `skip` asks for. */
  readonly transaction: TransactionHead;
  readonly changes: number;
  readonly tables: readonly string[];
  readonly obstacles: readonly Obstacle[];
}

export interface StallRequest {
  /** A fresh session on the leader: it decodes, and the copy of the slot goes with it. */
  readonly leader: Session;
  /** Another one on the leader and one on the replica, pinned for digests. */
  readonly reader: Session;
  readonly node: Session;
  readonly applied: Lsn;
  readonly flavour: Flavour;
}

/** Beyond it a transaction is too large to be looked into. */
const MOST_CHANGES = 50_000;

/** The next transaction, and what stands in its way; undefined when there is none. */
export async function nextTransaction(request: StallRequest): Promise<Stall | undefined> {
  const { leader, node, applied } = request;
  const slot = `${slotName(node.node)}_look`;
  await leader.query('select pg_copy_logical_replication_slot($1, $2, true)', [slotName(node.node), slot]);
  const changes: RowChange[] = [];
  let head: TransactionHead | undefined;
  try {
    for await (const { transaction, change } of decodeSlot(leader, {
      slot,
      from: applied,
      keys: () => [],
      // A unique index may be of one partition alone.
      byPartition: true,
    })) {
      head ??= transaction;
      if (transaction.lsn !== head.lsn || changes.length > MOST_CHANGES) break;
      changes.push(change);
    }
  } finally {
    await leader.query('select pg_drop_replication_slot($1)', [slot]).catch(() => undefined);
  }
  if (head === undefined) return undefined;
  const tables = [...new Set(changes.map(({ schema, table }) => `${schema}.${table}`))];
  const found = { transaction: head, changes: changes.length, tables };
  if (changes.length > MOST_CHANGES) return { ...found, obstacles: [] };
  const obstacles: Obstacle[] = [];
  for (const name of tables) {
    const own = changes.filter(({ schema, table }) => `${schema}.${table}` === name);
    const [first] = own;
    if (first === undefined || first.schema === 'repctl') continue;
    const table = { schema: first.schema, name: first.table };
    obstacles.push(...(await obstaclesIn(request, table, own)));
  }
  return { ...found, obstacles: unique(obstacles) };
}

const unique = (obstacles: readonly Obstacle[]): Obstacle[] => [
  ...new Map(obstacles.map((one) => [JSON.stringify([one.table, one.key]), one])).values(),
];

async function obstaclesIn(
  { reader, node, flavour }: StallRequest,
  table: TableName,
  changes: readonly RowChange[],
): Promise<Obstacle[]> {
  const described = await describeTable(reader, node, table, flavour);
  // Rows without a key cannot be told apart.
  if (described.plan.method === 'multiset') return [];
  const [ours, theirs] = await Promise.all(
    [reader, node].map((session) => session.query<UniqueIndex>(UNIQUES_SQL, [qualified(table)])),
  );
  const shared = new Set(ours?.map(({ definition }) => definition));
  const indexes = theirs?.filter(({ definition }) => shared.has(definition)) ?? [];
  const places = placesOf(described, changes);
  const found: Obstacle[] = [];
  for (const index of indexes) {
    const rows = changes.flatMap((change, place) =>
      change.row !== undefined && index.columns.every((column) => change.row?.[column] !== undefined)
        ? [{ change, place, row: change.row }]
        : [],
    );
    if (rows.length === 0) continue;
    const answers = await node.query<RowReading & { n: number; identity: (string | null)[] }>(
      obstacleSql(described, index),
      [
        rows.map(({ place }) => place),
        ...index.columns.map((column) => rows.map(({ row }) => row[column] ?? null)),
      ],
    );
    for (const { n, key, hash, values, identity } of answers) {
      const change = changes[n];
      if (change === undefined) continue;
      const id = JSON.stringify(identity);
      const itself =
        change.op === 'update' &&
        [change.key, change.oldKey].some((one) => one && idOf(described, { ...change.row, ...one }) === id);
      const changed = places.get(id);
      const earlier = changed !== undefined && (changed < n || !index.immediate);
      if (itself || earlier) continue;
      found.push({
        table,
        key,
        hash,
        identity: named(described.plan.key, identity),
        row: named(described.plan.columns, values ?? []),
        index: index.name,
        op: change.op === 'update' ? 'update' : 'insert',
        change: Object.fromEntries(index.columns.map((column) => [column, change.row?.[column] ?? null])),
      });
    }
  }
  return found;
}

const named = (columns: readonly { readonly name: string }[], values: readonly (string | null)[]): Values =>
  Object.fromEntries(columns.map(({ name }, place) => [name, values[place] ?? null]));

/** The key's columns as the server prints them. */
const idOf = ({ plan }: ReconcileTable, values: Values): string =>
  JSON.stringify(plan.key.map(({ name }) => values[name] ?? null));

/** By key: the place of the first change of a row that was there before it. */
function placesOf(described: ReconcileTable, changes: readonly RowChange[]): ReadonlyMap<string, number> {
  const places = new Map<string, number>();
  for (const [place, change] of changes.entries()) {
    if (change.op === 'truncate') continue;
    const before = change.oldKey ?? (change.op === 'insert' ? undefined : change.key);
    if (before === undefined) continue;
    const id = idOf(described, { ...change.row, ...before });
    if (!places.has(id)) places.set(id, place);
  }
  return places;
}

export interface RemoveRequest {
  /** One on the leader and one on the replica, of their own, pinned for digests. */
  readonly reader: Session;
  readonly node: Session;
  readonly flavour: Flavour;
  /** The replica's applied position now. */
  readonly applied: () => Promise<Lsn>;
  readonly knock: Knock;
  readonly kept: KeptRows;
}

/** Removes what stands in the way, if it still does; how many rows. Throws what writing throws. */
export async function removeObstacles(stall: Stall, request: RemoveRequest): Promise<number> {
  const { reader, node, flavour } = request;
  const tables = [...new Map(stall.obstacles.map(({ table }) => [qualified(table), table])).values()];
  return withTablesLocked(node, tables, request, async () => {
    // The worker got on by itself: what stands there now may be what T1 has brought.
    if (compareLsn(await request.applied(), stall.transaction.lsn) > 0) return 0;
    const rows: Rows[] = [];
    for (const table of tables) {
      const described = await describeTable(reader, node, table, flavour);
      const own = stall.obstacles.filter((one) => qualified(one.table) === qualified(table));
      const keys = own.map(({ key }) => key);
      const now = foldDoubles(
        await node.query<RowReading>(
          rowsSql(described.plan, described.node, false),
          rowsParams(described.plan, keys),
        ),
      );
      const differences = own
        .filter(({ key, hash }) => now.get(key)?.hash === hash)
        .map(({ key, hash }) => ({ key, leader: undefined, node: hash }));
      if (differences.length > 0) rows.push({ table: described, differences });
    }
    if (rows.length === 0) return 0;
    const { knock, kept } = request;
    const written = await writeRows(reader, node, rows, { knock, kept });
    return written.reduce((sum, one) => sum + one.deleted, 0);
  });
}
