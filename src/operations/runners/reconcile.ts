/** The runner that makes a node equal to a snapshot of the leader and lets it follow from there. */
import path from 'node:path';
import type { Fleet } from '../../cluster/fleet.js';
import type { ReachableNode, TableName } from '../../cluster/model.js';
import { slotName } from '../../cluster/names.js';
import { commonFlavour, pinForDigests } from '../../consistency/equal.js';
import { type Reconciled, type TableReconciled, reconcileTables } from '../../consistency/reconcile/index.js';
import { type KeptRows, keepRows, keeping } from '../../consistency/reconcile/kept.js';
import { describeTable } from '../../consistency/reconcile/table.js';
import type { RunContext, StepResult } from '../../plan/execute.js';
import { ident, qualified } from '../../postgres/quote.js';
import type { Session } from '../../postgres/session.js';
import { sqlStateOf } from '../../postgres/sqlstate.js';
import { locksHeld } from '../../replication/lock-holders.js';
import { PUBLISHED_METADATA } from '../../replication/metadata.js';
import type { Reconcile } from '../actions.js';
import { isAttached, ownSubscriptions } from '../facts.js';
import { AS_LONG_AS_IT_TAKES_SQL, type RunnerContext, look, modeOf, subscriptionRequest } from './context.js';
import { stopFollowing } from './copy.js';
import { createSubscription } from './create-subscription.js';
import { type SlotSnapshot, slotWithSnapshot } from './snapshot.js';
import { dropSlotHard } from './teardown.js';

/** Blocks compared at once, as `check` has it. */
const LANES = 2;

/** What differs is looked up by key; by default the planner would rather read a whole table for 1 % of it. */
const BY_KEY_SQL = 'set random_page_cost = 1.1';

/**
 * One transaction on the node: lock, compare, write, subscribe. Killed before its commit the node holds what it held
 * (and follows nobody); run again, it compares anew with a new slot. Slots of the node go first: whoever follows
 * it, or would after a promotion, must not receive rows that are set right as if they were new writes.
 */
export async function reconcile(
  context: RunnerContext,
  action: Reconcile,
  run: RunContext,
): Promise<StepResult> {
  const { fleet } = context;
  const node = await look(context, action.node);
  if (isAttached(node, action.epoch) && (await hasSlotThere(context, action))) return undefined;
  const tables: readonly TableName[] = [...action.tables, ...PUBLISHED_METADATA];
  // Refused before anything is touched, when a table cannot take the leader's rows.
  await compareDefinitions(context, action, tables);

  await stopFollowing(context, node);
  const session = await fleet.session(action.node);
  // A server may hold databases of several clusters, and lists the slots of all of them.
  for (const slot of node.slots) if (slot.own) await dropSlotHard(session, slot.name);

  const opened: Session[] = [];
  const kept =
    context.stateDir === undefined && action.keptAs === undefined
      ? undefined
      : keepRows(keptFile(context.stateDir ?? '', fleet, action));
  let snapshot: SlotSnapshot | undefined;
  try {
    const open = async () => {
      const one = await fleet.fresh(action.node);
      opened.push(one);
      await one.simple(`${AS_LONG_AS_IT_TAKES_SQL}; ${BY_KEY_SQL}`);
      await pinForDigests(one);
      return one;
    };
    const writer = await open();
    const readers = await Promise.all(Array.from({ length: LANES }, open));
    snapshot = await slotWithSnapshot(context, action.leader, action.node, LANES);
    await Promise.all(
      snapshot.sessions.map(async (one) => {
        await one.simple(BY_KEY_SQL);
        await pinForDigests(one);
      }),
    );
    const sessions = { leaders: snapshot.sessions, readers, writer };
    const results = await keeping(kept, writer, () =>
      writer.transaction(() => inTransaction(context, { action, node, tables, kept, run }, sessions)),
    );
    return { ...summary(results.tables, kept, await kept?.finish()), ...results.timing };
  } finally {
    await Promise.all([kept?.close(), snapshot?.close(), ...opened.map((one) => one.close())]);
  }
}

interface Work {
  readonly action: Reconcile;
  readonly node: ReachableNode;
  readonly tables: readonly TableName[];
  readonly kept: KeptRows | undefined;
  readonly run: RunContext;
}

interface Sessions {
  readonly leaders: readonly Session[];
  readonly readers: readonly Session[];
  readonly writer: Session;
}

async function inTransaction(
  context: RunnerContext,
  { action, node, tables, kept, run }: Work,
  sessions: Sessions,
): Promise<Reconciled> {
  const { fleet } = context;
  const { writer } = sessions;
  // Replicas of this node, if any, are gone: nobody would confirm its commit.
  await writer.simple('set local synchronous_commit = local');
  await keepWritersOut(fleet, writer, tables);
  const total = await estimatedRows(sessions.leaders[0], tables);
  let read = 0;
  let written = 0;
  const results = await reconcileTables(sessions, tables, {
    flavour: await commonFlavour([...sessions.leaders.slice(0, 1), ...sessions.readers.slice(0, 1)]),
    knock: (name) => knock(fleet, name),
    kept,
    onRead(rows) {
      read += rows;
      run.report({ done: read, total: Math.max(total, read), unit: 'rows compared' });
    },
    onWritten(rows) {
      written += rows;
      run.report({ done: written, unit: 'rows written' });
    },
    onWait(who) {
      written = 0;
      run.report({ message: `waits: ${who}` });
    },
  });
  await kept?.finish();
  for (const { name } of ownSubscriptions(node))
    await writer.simple(`drop subscription if exists ${ident(name)}`);
  await writer.simple('delete from repctl.standby');
  const mode = await modeOf(context, action.leader);
  await writer.simple(`set local statement_timeout = ${String(fleet.config.statementTimeoutMs)}`);
  const request = subscriptionRequest(context, node, action.leader, action.epoch, false, mode);
  await createSubscription(writer, request, action.leader);
  return results;
}

const LOCK_MS = 10_000;

/**
 * The fence keeps clients out of a node's tables; this also keeps out whoever is past it. Readers pass. Throws
 * `lock-timeout` (exit 7) with who holds them.
 */
export async function keepWritersOut(
  fleet: Fleet,
  writer: Session,
  tables: readonly TableName[],
): Promise<void> {
  await writer.simple(`set local lock_timeout = '${String(LOCK_MS)}ms'`);
  if (tables.length === 0) return;
  try {
    await writer.simple(`lock table ${tables.map(qualified).join(', ')} in share row exclusive mode`);
  } catch (error) {
    if (sqlStateOf(error) !== '55P03') throw error;
    const other = await fleet.session(writer.node);
    throw await locksHeld(other, tables, { waitedMs: LOCK_MS, readers: false, cause: error });
  }
}

async function hasSlotThere(context: RunnerContext, action: Reconcile): Promise<boolean> {
  const leader = await look(context, action.leader);
  return leader.slots.some(
    (slot) => slot.name === slotName(action.node) && slot.walStatus !== 'lost' && slot.invalidReason === null,
  );
}

async function compareDefinitions(
  context: RunnerContext,
  action: Reconcile,
  tables: readonly TableName[],
): Promise<void> {
  const leader = await context.fleet.session(action.leader);
  const node = await context.fleet.session(action.node);
  for (const table of tables) await describeTable(leader, node, table, 'hash');
}

export async function knock(fleet: Fleet, name: string): Promise<void> {
  await (await fleet.fresh(name)).close();
}

async function estimatedRows(leader: Session | undefined, tables: readonly TableName[]): Promise<number> {
  const rows = await leader?.query<{ rows: number }>(
    `select coalesce(sum(greatest(c.reltuples, 0)), 0)::float8 as rows from unnest($1::text[]) t(name)
       cross join lateral pg_partition_tree(t.name::regclass) p join pg_class c on c.oid = p.relid and p.isleaf`,
    [tables.map(qualified)],
  );
  return rows?.[0]?.rows ?? 0;
}

/** A name that no run before had: an interrupted one may have left its file. */
export function keptFile(
  stateDir: string,
  fleet: Fleet,
  { node, keptAs }: Pick<Reconcile, 'node' | 'keptAs'>,
): string {
  const cluster = encodeURIComponent(fleet.config.cluster);
  const prefix = keptAs ?? path.join(stateDir, 'overwritten', `${cluster}-${encodeURIComponent(node)}`);
  return `${prefix}-${new Date().toISOString().replaceAll(':', '')}.jsonl`;
}

function summary(
  results: readonly TableReconciled[],
  kept: KeptRows | undefined,
  onDisk: { readonly file: string; readonly rows: number } | undefined,
): Readonly<Record<string, unknown>> {
  const sum = (of: (result: TableReconciled) => number) => results.reduce((all, one) => all + of(one), 0);
  return {
    tables: results.length,
    rowsCompared: sum((one) => one.rows),
    inserted: sum((one) => one.inserted),
    updated: sum((one) => one.updated),
    deleted: sum((one) => one.deleted),
    rowsCopied: 0,
    ...(kept === undefined ? {} : { overwritten: onDisk?.file ?? null }),
  };
}
