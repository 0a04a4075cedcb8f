/** Sets given rows of one replica right, each proven under lock; the argument stands in ./prove.ts. */
import type { TableName } from '../../cluster/model.js';
import { EXIT, RepctlError } from '../../errors.js';
import type { Session } from '../../postgres/session.js';
import { type RowReading, type Side, rowsParams, rowsSql } from '../blocks.js';
import { foldDoubles } from '../compare/rows.js';
import type { Flavour } from '../digest.js';
import type { KeptRows } from '../reconcile/kept.js';
import type { Knock } from '../reconcile/pipe.js';
import { type ReconcileTable, describeTable } from '../reconcile/table.js';
import { type Patience, leaderPosition, waitVisible } from '../visible.js';
import { type Proof, prove } from './prove.js';
import { type Rows, nameOf, withTablesLocked, writeRows } from './write.js';
import { type Writer, writersGone } from './writers.js';

export interface SettleTable {
  readonly table: TableName;
  /** As KeyHash.key has them. */
  readonly keys: readonly string[];
}

export interface SettleRequest {
  /** Two on the leader and one on the replica, of their own, pinned for digests. */
  readonly sessions: { readonly leader: Session; readonly source: Session; readonly node: Session };
  readonly tables: readonly SettleTable[];
  readonly flavour: Flavour;
  /** The replica's subscription, and the epoch in which it follows this leader. */
  readonly subscription: number;
  readonly epoch: number;
  readonly patience: Patience;
  readonly knock: Knock;
  readonly kept: KeptRows;
  /** How often rows that changed meanwhile are read anew. */
  readonly rounds?: number;
  /** How long writers at the leader are waited for, milliseconds; default 5 s, and 1 s while the tables are locked. */
  readonly writersMs?: number | undefined;
  readonly onRows?: (done: number, of: number) => void;
  readonly signal?: AbortSignal | undefined;
}

export interface TableSettled {
  readonly table: TableName;
  readonly inserted: number;
  readonly updated: number;
  readonly deleted: number;
  /** Was equal when it was looked at under lock: it had been on its way, or somebody else set it right. */
  readonly equal: number;
  /** Keys that could not be proven. */
  readonly open: readonly string[];
}

export interface Settled {
  readonly tables: readonly TableSettled[];
  /** Why rows are open: `lagging`, `writers` (see there), `busy`: they change faster than they can be read. */
  readonly why: 'lagging' | 'writers' | 'busy' | null;
  readonly writers: readonly Writer[];
}

const ROUNDS = 10;
/** How long the replica's tables may be locked for writers at the leader to end; and how long without a lock. */
const LOCKED_WAIT_MS = 1_000;
const FREE_WAIT_MS = 5_000;
const BATCH = 5_000;

interface Task {
  readonly described: ReconcileTable;
  readonly keys: readonly string[];
}

type RowsByKey = ReadonlyMap<string, RowReading>;

interface Tally {
  inserted: number;
  updated: number;
  deleted: number;
  equal: number;
}

/** Throws what describing and writing throw; then nothing of that round was changed. */
export async function settle(request: SettleRequest): Promise<Settled> {
  const { sessions, patience } = request;
  const { leader, node } = sessions;
  const tallies = new Map<string, Tally>();
  let tasks: Task[] = [];
  for (const { table, keys } of request.tables) {
    tasks.push({ described: await describeTable(leader, node, table, request.flavour), keys });
    tallies.set(label(table), { inserted: 0, updated: 0, deleted: 0, equal: 0 });
  }
  const of = tasks.reduce((sum, { keys }) => sum + keys.length, 0);
  let why: Settled['why'] = null;
  let writers: readonly Writer[] = [];
  let broken: RepctlError | undefined;
  for (let round = 0; round < (request.rounds ?? ROUNDS) && tasks.length > 0; round += 1) {
    request.signal?.throwIfAborted();
    const names = tasks.map(({ described }) => nameOf(described));
    const before = await readAll(node, tasks, 'node');
    writers = await writersGone(leader, names, request.writersMs ?? FREE_WAIT_MS);
    why = writers.length > 0 ? 'writers' : 'busy';
    if (writers.length > 0) break;
    const first = await readAll(leader, tasks, 'leader');
    if (!(await waitVisible(node, request.subscription, await leaderPosition(leader), patience))) {
      why = 'lagging';
      break;
    }
    const done = await withTablesLocked(node, names, request, () =>
      attempt(request, tasks, before, first),
    ).catch((error: unknown) => {
      // Where foreign keys are dropped and added again, a row that is still open may be what another refers to.
      if (!(error instanceof RepctlError) || error.code !== 'foreign-key-broken') throw error;
      broken = error;
      return undefined;
    });
    if (done === undefined) continue;
    broken = undefined;
    writers = done.writers;
    if (writers.length > 0) why = 'writers';
    for (const { table, ...counts } of done.written) {
      const tally = tallies.get(label(table));
      if (tally === undefined) continue;
      for (const kind of ['inserted', 'updated', 'deleted', 'equal'] as const)
        tally[kind] += counts[kind] ?? 0;
    }
    tasks = done.open;
    request.onRows?.(of - tasks.reduce((sum, { keys }) => sum + keys.length, 0), of);
  }
  if (broken !== undefined) throw broken;
  const tables = request.tables.map(({ table }): TableSettled => {
    const open = tasks.find(({ described }) => label(nameOf(described)) === label(table))?.keys ?? [];
    return {
      table,
      ...(tallies.get(label(table)) ?? { inserted: 0, updated: 0, deleted: 0, equal: 0 }),
      open,
    };
  });
  return { tables, why: tasks.length === 0 ? null : why, writers: tasks.length === 0 ? [] : writers };
}

interface Attempt {
  readonly written: readonly (Partial<Tally> & { readonly table: TableName })[];
  readonly open: Task[];
  readonly writers: readonly Writer[];
}

/** From T on: the replica's tables are locked. */
async function attempt(
  request: SettleRequest,
  tasks: readonly Task[],
  before: readonly RowsByKey[],
  first: readonly RowsByKey[],
): Promise<Attempt> {
  const { leader, source, node } = request.sessions;
  await sameEpoch(request);
  const now = await readAll(node, tasks, 'node');
  const names = tasks.map(({ described }) => nameOf(described));
  const writers = await writersGone(
    leader,
    names,
    Math.min(LOCKED_WAIT_MS, request.writersMs ?? LOCKED_WAIT_MS),
  );
  if (writers.length > 0) return { written: [], open: [...tasks], writers };
  return source.transaction(async () => {
    const last = await readAll(source, tasks, 'leader');
    const open: Task[] = [];
    const rows: Rows[] = [];
    const equal: { readonly table: TableName; readonly equal: number }[] = [];
    for (const [index, { described, keys }] of tasks.entries()) {
      const reading = (from: readonly RowsByKey[], key: string) => from[index]?.get(key);
      const proofs = new Map<string, Proof>(
        keys.map((key) => [
          key,
          prove(
            {
              before: reading(before, key),
              first: reading(first, key),
              last: reading(last, key),
              now: reading(now, key),
            },
            described.plan.method === 'multiset',
          ),
        ]),
      );
      const those = (proof: Proof) => keys.filter((key) => proofs.get(key) === proof);
      const [write, unproven] = [those('write'), those('open')];
      if (write.length > 0)
        rows.push({
          table: described,
          differences: write.map((key) => ({
            key,
            leader: reading(last, key)?.hash,
            node: reading(now, key)?.hash,
          })),
        });
      if (unproven.length > 0) open.push({ described, keys: unproven });
      equal.push({ table: nameOf(described), equal: keys.length - write.length - unproven.length });
    }
    const { knock, kept } = request;
    const written = rows.length === 0 ? [] : await writeRows(source, node, rows, { knock, kept });
    return { written: [...equal, ...written], open, writers };
  }, 'isolation level repeatable read read only');
}

/** Rows by key, table by table, as this session sees them. */
async function readAll(
  session: Session,
  tasks: readonly Task[],
  side: 'leader' | 'node',
): Promise<RowsByKey[]> {
  const all: RowsByKey[] = [];
  for (const { described, keys } of tasks) {
    const table: Side = described[side];
    const rows: RowReading[] = [];
    for (let start = 0; start < keys.length; start += BATCH)
      rows.push(
        ...(await session.query<RowReading>(
          rowsSql(described.plan, table, false),
          rowsParams(described.plan, keys.slice(start, start + BATCH)),
        )),
      );
    all.push(foldDoubles(rows));
  }
  return all;
}

/** The positions and the leader's rows are of one epoch; repctl.epoch comes with the stream. */
async function sameEpoch({ sessions, epoch }: SettleRequest): Promise<void> {
  const ask = async (session: Session) =>
    (await session.query<{ epoch: number }>('select max(epoch)::int as epoch from repctl.epoch'))[0]?.epoch;
  const [ours, theirs] = [await ask(sessions.leader), await ask(sessions.node)];
  if (ours === epoch && theirs === epoch) return;
  throw new RepctlError(
    'leader-changed',
    `${sessions.leader.node} does not lead ${sessions.node.node} in epoch ${String(epoch)} any more.`,
    { exit: EXIT.incomplete, hint: 'Run the same command again.' },
  );
}

const label = ({ schema, name }: TableName): string => JSON.stringify([schema, name]);
