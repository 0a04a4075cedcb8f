/** Runners for a node that starts afresh: the recopy of last resort, and attaching rows that are there already. */
import type { StepResult } from '../../plan/execute.js';
import { EXIT, RepctlError } from '../../errors.js';
import { type FencedTable, fenceSql, fencedTablesSql } from '../../cluster/fence.js';
import type { ReachableNode } from '../../cluster/model.js';
import { slotName } from '../../cluster/names.js';
import { type TableEquality, tablesEqual } from '../../consistency/equal.js';
import { qualified } from '../../postgres/quote.js';
import type { Session } from '../../postgres/session.js';
import { PUBLISHED_METADATA } from '../../replication/metadata.js';
import { dropStandbyBaseSql, ensureSlot } from '../../replication/slots.js';
import { withoutUnconfirmed } from '../../replication/unconfirmed.js';
import { dropSubscriptionSql, tombstoneSql } from '../../replication/subscriptions.js';
import type { AttachEqual, Recopy } from '../actions.js';
import { ownSubscriptions, subscriptionOf } from '../facts.js';
import { type RunnerContext, look, modeOf, subscriptionRequest } from './context.js';
import { createSubscription } from './create-subscription.js';
import { quiesce } from './drain.js';
import { prepare, publish } from './setup.js';
import { slotWithSnapshot } from './snapshot.js';
import { dropSlotHard } from './teardown.js';

/**
 * Slots of the node go first: whoever still follows it must not receive the TRUNCATE, and a standby slot that
 * held the copied rows would ship them to a sibling.
 */
export async function recopy(context: RunnerContext, action: Recopy): Promise<StepResult> {
  const session = await context.fleet.session(action.node);
  const leader = await context.fleet.session(action.leader);
  // What somebody dropped of repctl's own tables is made again, and published again.
  await prepare(context, { kind: 'prepare', node: action.node, products: false });
  await publish(context, { kind: 'publish', node: action.node, tables: action.tables, leads: false });
  const node = await look(context, action.node);
  await stopFollowing(context, node);
  // A server may hold databases of several clusters, and lists the slots of all of them.
  for (const slot of node.slots) if (slot.own) await dropSlotHard(session, slot.name);
  // A base that outlived its slot would make a run after a kill believe that the new one holds what the old held.
  await leader.simple(dropStandbyBaseSql(action.node));
  await dropSlotHard(leader, slotName(action.node));
  await withoutUnconfirmed(context.fleet, action.leader, () => ensureSlot(leader, slotName(action.node)));

  const tables = [...action.tables, ...PUBLISHED_METADATA];
  const request = subscriptionRequest(
    context,
    node,
    action.leader,
    action.epoch,
    true,
    await modeOf(context, action.leader),
  );
  await session.transaction(async () => {
    await session.simple(`set local lock_timeout = '10s'`);
    for (const subscription of ownSubscriptions(node))
      for (const sql of dropSubscriptionSql(subscription.name)) await session.simple(sql);
    await unfenced(session, tables, async () => {
      await session.simple(`truncate ${tables.map(qualified).join(', ')}`);
    });
    await session.simple('delete from repctl.standby');
    await createSubscription(session, request, action.leader);
  });
  return { tables: action.tables.length };
}

/**
 * Every subscription of the node stopped and without its slot, before that slot is made anew: one that was enabled
 * again by a later run, or by hand, would go on from the new slot and lose what lies between.
 */
export async function stopFollowing(context: RunnerContext, node: ReachableNode): Promise<void> {
  const session = await context.fleet.session(node.name);
  for (const { name, enabled } of ownSubscriptions(node)) {
    if (enabled) await quiesce(context, { kind: 'quiesce', node: node.name, subscription: name });
    await session.transaction(async () => {
      for (const sql of tombstoneSql(name)) await session.simple(sql);
    });
  }
}

/** Lifts the fence for `body` alone: inside a transaction, so nobody else ever sees it lifted. */
async function unfenced(
  session: Session,
  tables: readonly { schema: string; name: string }[],
  body: () => Promise<void>,
): Promise<void> {
  const list = fencedTablesSql(tables);
  for (const sql of fenceSql(await session.query<FencedTable>(list), 'disabled')) await session.simple(sql);
  await body();
  for (const sql of fenceSql(await session.query<FencedTable>(list), 'enabled')) await session.simple(sql);
}

/**
 * The slot is made with an exported snapshot; at that snapshot every table must equal the node's; then the
 * subscription starts from the slot. Exact while the leader takes writes. The metadata rows, which the node
 * lacks, are copied by hand at the same snapshot.
 */
export async function attachEqual(context: RunnerContext, action: AttachEqual): Promise<StepResult> {
  const node = await look(context, action.node);
  if (subscriptionOf(node, action.epoch) !== undefined) return undefined;
  const leader = await context.fleet.session(action.leader);
  const snapshot = await slotWithSnapshot(context, action.leader, action.node, 1);
  const [reader] = snapshot.sessions;
  const mode = await modeOf(context, action.leader);
  const session = await context.fleet.session(action.node);
  try {
    if (reader === undefined) throw new RangeError('no session');
    const results = await tablesEqual(reader, session, action.tables);
    const different = results.filter((result) => !result.equal);
    if (different.length > 0) throw notEqual(action, different);
    const metadata = await Promise.all(
      PUBLISHED_METADATA.map(async (table) => {
        const [row] = await reader.query<{ rows: unknown }>(
          `select coalesce(json_agg(to_json(t)), '[]') as rows from ${qualified(table)} t`,
        );
        return { table, rows: JSON.stringify(row?.rows ?? []) };
      }),
    );
    await session.transaction(async () => {
      await unfenced(session, PUBLISHED_METADATA, async () => {
        for (const { table, rows } of metadata) {
          const name = qualified(table);
          await session.query(
            `insert into ${name} select * from json_populate_recordset(null::${name}, $1::json) on conflict do nothing`,
            [rows],
          );
        }
      });
      const request = subscriptionRequest(context, node, action.leader, action.epoch, false, mode);
      await createSubscription(session, request, action.leader);
    });
    return { tables: results.length, rowsCopied: 0 };
  } catch (error) {
    await dropSlotHard(leader, slotName(action.node)).catch(() => undefined);
    throw error;
  } finally {
    await snapshot.close();
  }
}

const notEqual = (action: AttachEqual, different: readonly TableEquality[]): RepctlError =>
  new RepctlError(
    'not-equal',
    `${action.node} holds rows that are not ${action.leader}'s: ${different
      .map(({ table, reason }) => `${table.schema}.${table.name} (${reason ?? 'differs'})`)
      .join(', ')}.`,
    {
      exit: EXIT.diverged,
      hint: `repctl node remove ${action.node} lifts its fence; correct or empty its tables, then add it again (empty tables are copied).`,
      details: { tables: different.map(({ table, reason }) => ({ ...table, reason })) },
    },
  );
