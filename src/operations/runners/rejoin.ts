/** The runner that makes a former leader a replica at a cost that grows with what changed, not with the tables. */
import { commonFlavour, pinForDigests } from '../../consistency/equal.js';
import { type TableKeys, reconcileKeys } from '../../consistency/reconcile/index.js';
import type { TableShape } from '../../consistency/shape.js';
import { slotName } from '../../cluster/names.js';
import type { ReachableNode } from '../../cluster/model.js';
import { EXIT, RepctlError } from '../../errors.js';
import type { RunContext, StepResult } from '../../plan/execute.js';
import { type Lsn, compareLsn } from '../../postgres/lsn.js';
import { ident } from '../../postgres/quote.js';
import type { Session } from '../../postgres/session.js';
import { flushNow } from '../../replication/positions.js';
import { advanceSlot, dropStandbyBaseSql, persistSlot, standbyBaseSql } from '../../replication/slots.js';
import { swapSubscriptionSql } from '../../replication/subscriptions.js';
import { changedSince, keyColumnsOf } from '../../replication/stranded/changed.js';
import { type KeyColumns, decodeSlot, markSql } from '../../replication/stranded/decode.js';
import { type KeySet, keySet } from '../../replication/stranded/touched.js';
import type { Rejoin } from '../actions.js';
import { isAttached, olderTombstones, ownSubscriptions } from '../facts.js';
import { AS_LONG_AS_IT_TAKES_SQL, type RunnerContext, look, subscriptionRequest } from './context.js';
import { stopFollowing } from './copy.js';
import { attach } from './leadership.js';
import { keepWritersOut, reconcile } from './reconcile.js';
import { type Moment, momentOf } from './snapshot.js';
import { shapesOf } from './stranded.js';
import { dropOwnSlots } from './switchover.js';

/**
 * A temporary slot gives a snapshot of the leader and its point P in the leader's WAL. The rows that either side
 * changed since the fork are made equal to it on the node; then the leader's slot for the node, which has waited
 * since before the promotion, is moved to P and the subscription goes on from there: precisely what the snapshot
 * does not show. That slot is moved last and never dropped, so whatever is killed before, everything can be read
 * again. Between the node's commit and the swap, `repctl.standby` of the node holds P under the node's own name:
 * its rows are those of P.
 *
 * Where the keys cannot be known (no slot reaches back, a TRUNCATE, a table without a key, too many) the whole
 * tables are reconciled instead.
 */
export async function rejoin(context: RunnerContext, action: Rejoin, run: RunContext): Promise<StepResult> {
  const found = await look(context, action.node);
  if (isAttached(found, action.epoch)) {
    await dropSubscriptions(context, action.node, olderTombstones(found, action.epoch));
    return undefined;
  }
  await stopFollowing(context, found);
  const session = await context.fleet.session(action.node);
  await flushNow(session);
  const [node, leader] = await Promise.all([look(context, action.node), look(context, action.leader)]);
  // Rows that an earlier run has set right are past the fork already.
  const noted = node.standbyBases.some((base) => base.sibling === node.name);
  const keys = keyColumnsOf(await shapesOf(await context.fleet.session(action.leader), leader));
  const stranded = await strandedKeys(context, action, keys);
  // repctl's own records count: those that only this node has would stay there.
  const nothing = stranded.size === 0 && stranded.whole.size === 0;
  const mapped = noted || !nothing ? undefined : await attachedByMapping(context, action);
  if (mapped !== undefined) return mapped;
  const right = pointSetRight(node, leader, action);
  const outcome =
    right === undefined ? await setRight(context, action, { node, leader, stranded }, run) : { point: right };
  if ('why' in outcome) {
    run.report({ message: `whole tables: ${outcome.why}` });
    const { leader: to, epoch, tables } = action;
    const result = await reconcile(
      context,
      { kind: 'reconcile', node: action.node, leader: to, epoch, tables },
      run,
    );
    return { method: 'reconcile', why: outcome.why, ...result };
  }
  await moveSlot(context, action, outcome.point);
  await swap(context, action, node, leader);
  // From its reign: who still reads one would get through this node what the new leader writes.
  await dropOwnSlots(session);
  return { method: 'keys', rowsCopied: 0, ...('rows' in outcome ? outcome.rows : {}) };
}

/**
 * A former leader with nothing of its own has all of its own WAL up to the fork point, and goes on with precisely
 * the next transaction of its successor; undefined when that is not so, or the way back is not known.
 */
async function attachedByMapping(context: RunnerContext, action: Rejoin): Promise<StepResult> {
  if (action.epoch !== action.successorEpoch) return undefined;
  const { node, leader: to, epoch, reign: from } = action;
  try {
    const result = await attach(context, {
      ...{ kind: 'attach', node, leader: to, epoch, from, nothingStranded: true },
    });
    return { method: 'mapped', ...result };
  } catch (error) {
    // Nothing was changed yet when it says so; the other way does not need the mapping.
    const code = error instanceof RepctlError ? error.code : '';
    if (['not-mappable', 'foreign-transactions'].includes(code)) return undefined;
    throw error;
  }
}

/** Where an earlier run was killed after it had set the rows right; undefined where that is not so. */
function pointSetRight(node: ReachableNode, leader: ReachableNode, { epoch }: Rejoin): Lsn | undefined {
  const note = node.standbyBases.find((base) => base.sibling === node.name && base.epoch === epoch);
  const slot = leader.slots.find(({ name }) => name === slotName(node.name));
  if (note === undefined || slot?.confirmedFlushLsn == null || slot.walStatus === 'lost') return undefined;
  return compareLsn(slot.confirmedFlushLsn, note.baseLsn) <= 0 ? note.baseLsn : undefined;
}

interface SetRight {
  /** The leader's position whose rows the node has now. */
  readonly point: Lsn;
  readonly rows: Readonly<Record<string, number>>;
}

interface Sides {
  readonly node: ReachableNode;
  readonly leader: ReachableNode;
  /** Keys of rows that the node changed after the fork. */
  readonly stranded: KeySet;
}

async function setRight(
  context: RunnerContext,
  action: Rejoin,
  { node, leader, stranded }: Sides,
  { report }: RunContext,
): Promise<SetRight | { readonly why: string }> {
  const { fleet } = context;
  const slot = leader.slots.find(({ name }) => name === slotName(node.name));
  if (slot === undefined || slot.walStatus === 'lost' || slot.invalidReason !== null)
    return { why: `${leader.name} has no usable slot ${slotName(node.name)}` };
  const shapes = await shapesOf(await fleet.session(action.leader), leader);
  // Before the leader is made to decode all that it wrote since the fork.
  const alone = tableKeys(shapes, [stranded]);
  if ('why' in alone) return alone;
  const opened: Session[] = [];
  const open = async (name: string) => {
    const one = await fleet.fresh(name);
    opened.push(one);
    return one;
  };
  let moment: Moment | undefined;
  try {
    moment = await momentOf(context, action.leader, `${slotName(node.name)}_now`);
    const reader = moment.session;
    // What is committed before the point must be flushed to be decoded, and to be passed by the slot.
    await flushNow(await fleet.session(action.leader));
    report({ message: 'looking for what changed since the fork' });
    const keys = keyColumnsOf(shapes);
    const changed = await changedSince(await open(action.leader), {
      slot: slot.name,
      keys,
      upTo: moment.lsn,
      successorEpoch: action.successorEpoch,
    });
    if (!changed.complete)
      return { why: `slot ${slot.name} on ${leader.name} does not reach back to the fork` };
    const tables = tableKeys(shapes, [changed.keys, stranded]);
    if ('why' in tables) return tables;
    const total = tables.reduce((sum, one) => sum + one.keys.length, 0);
    report({ message: `comparing ${String(total)} rows` });
    const writer = await open(action.node);
    await Promise.all([pinForDigests(writer), pinForDigests(reader), writer.simple(AS_LONG_AS_IT_TAKES_SQL)]);
    const point = moment.lsn;
    const written = await writer.transaction(async () => {
      await writer.simple(`set local synchronous_commit = local; ${markSql}`);
      const names = tables.map(({ table }) => table);
      await keepWritersOut(fleet, writer, names);
      const results = await reconcileKeys(reader, writer, tables, {
        flavour: await commonFlavour([reader, writer]),
        knock: async (name) => (await fleet.fresh(name)).close(),
        onWait: (who) => {
          report({ message: `waits: ${who}` });
        },
      });
      await writer.simple(standbyBaseSql(node.name, action.epoch, point));
      return results;
    });
    const sum = (of: (one: (typeof written)[number]) => number) =>
      written.reduce((all, one) => all + of(one), 0);
    const rows = {
      rowsCompared: total,
      inserted: sum((one) => one.inserted),
      updated: sum((one) => one.updated),
      deleted: sum((one) => one.deleted),
    };
    return { point, rows };
  } finally {
    await Promise.all([moment?.close(), ...opened.map((one) => one.close())]);
  }
}

async function strandedKeys(
  { fleet }: RunnerContext,
  { node, slot, forkPoint }: Rejoin,
  keys: KeyColumns,
): Promise<KeySet> {
  const set = keySet();
  const session = await fleet.fresh(node);
  try {
    for await (const { change } of decodeSlot(session, { slot, from: forkPoint, keys })) {
      set.add(change);
      // Whole tables, then; more keys say nothing more.
      if (set.whole.size > 0 || set.overflow) break;
    }
  } finally {
    await session.close();
  }
  return set;
}

/** Every key once, as reconcileKeys() takes them; or why keys are not enough. */
function tableKeys(
  shapes: readonly TableShape[],
  sets: readonly KeySet[],
): readonly TableKeys[] | { readonly why: string } {
  const whole = sets.flatMap((set) => [...set.whole])[0];
  if (whole !== undefined)
    return { why: `${(JSON.parse(whole) as string[]).join('.')} was truncated or has no key` };
  if (sets.some((set) => set.overflow)) return { why: 'too many rows changed' };
  const known = new Set(shapes.map((shape) => JSON.stringify([shape.schema, shape.name])));
  const strange = sets.flatMap((set) => [...set.tables.entries()]).find(([name]) => !known.has(name));
  if (strange !== undefined)
    return { why: `${strange[1].schema}.${strange[1].table}, which was changed, is not replicated any more` };
  const result: TableKeys[] = [];
  for (const shape of shapes) {
    const name = JSON.stringify([shape.schema, shape.name]);
    const keys = new Set<string>();
    for (const key of sets.flatMap((set) => [...(set.tables.get(name)?.keys.values() ?? [])])) {
      const parts = shape.key.map((column) => key[column]);
      if (parts.length === 0 || parts.some((part) => part == null))
        return { why: `the replica identity of ${shape.schema}.${shape.name} is not its key` };
      keys.add(parts.length === 1 && isInteger(shape) ? String(parts[0]) : JSON.stringify(parts));
    }
    if (keys.size > 0) result.push({ table: { schema: shape.schema, name: shape.name }, keys: [...keys] });
  }
  return result;
}

const isInteger = (shape: TableShape): boolean =>
  ['int2', 'int4', 'int8'].includes(shape.columns.find((column) => column.name === shape.key[0])?.base ?? '');

/** Exactly there: short of it transactions would come twice, past it some would be lost. */
async function moveSlot(context: RunnerContext, action: Rejoin, point: Lsn): Promise<void> {
  const there = await context.fleet.session(action.leader);
  await flushNow(there);
  const slot = slotName(action.node);
  const end = await advanceSlot(there, slot, point);
  if (compareLsn(end, point) === 0) return persistSlot(there, slot);
  throw new RepctlError('slot-moved', `${action.leader}: slot ${slot} is at ${end}, past ${point}.`, {
    exit: EXIT.incomplete,
    hint: 'Somebody else moved it. Run the same command again.',
    details: { node: action.leader, slot, end, wanted: point },
  });
}

/** The note goes in the same transaction in which the subscription comes. */
async function swap(
  context: RunnerContext,
  action: Rejoin,
  node: ReachableNode,
  leader: ReachableNode,
): Promise<void> {
  const session = await context.fleet.session(action.node);
  const old = ownSubscriptions(node).map(({ name }) => name);
  const request = subscriptionRequest(context, node, action.leader, action.epoch, false, leader.syncRecord);
  await session.transaction(async () => {
    await session.simple(
      `set local synchronous_commit = local; ${markSql}; ${dropStandbyBaseSql(action.node)}`,
    );
    for (const sql of swapSubscriptionSql(old, request)) await session.simple(sql);
  });
  await dropSubscriptions(context, action.node, old);
}

async function dropSubscriptions(
  context: RunnerContext,
  node: string,
  names: readonly string[],
): Promise<void> {
  const session = await context.fleet.session(node);
  for (const name of names) await session.simple(`drop subscription if exists ${ident(name)}`);
}
