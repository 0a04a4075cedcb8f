/** Runners that take things away: subscriptions, slots, fence, publication, schema. User rows stay. */
import type { StepResult } from '../../plan/execute.js';
import { EXIT, RepctlError } from '../../errors.js';
import { dropFenceSql, type FencedTable, fencedTablesSql } from '../../cluster/fence.js';
import type { Session } from '../../postgres/session.js';
import { sqlStateOf } from '../../postgres/sqlstate.js';
import { ident } from '../../postgres/quote.js';
import { dropMetadataSql } from '../../replication/metadata.js';
import { dropPublicationSql } from '../../replication/publications.js';
import { highestInUse, readSequences, setPastSql } from '../../replication/sequences.js';
import { dropSlot, dropStandbyBaseSql } from '../../replication/slots.js';
import { dropSubscriptionSql } from '../../replication/subscriptions.js';
import type { DropSlots, Unpublish, Unsubscribe } from '../actions.js';
import { ownSubscriptions } from '../facts.js';
import { type RunnerContext, look, waitFor } from './context.js';

export async function unsubscribe(context: RunnerContext, action: Unsubscribe): Promise<StepResult> {
  const node = await look(context, action.node);
  const session = await context.fleet.session(action.node);
  for (const subscription of ownSubscriptions(node)) {
    if (!action.subscriptions.includes(subscription.name)) continue;
    const copying = subscription.tables.some((table) => table.state !== 'r');
    // Only DROP SUBSCRIPTION with its slot removes the sync slots of tables that are still being copied; it
    // needs the leader and no transaction block. Without the leader there is nothing to remove them from.
    const dropped = copying && (await dropWithSlots(session, subscription.name));
    if (!dropped) {
      await session.transaction(async () => {
        for (const sql of dropSubscriptionSql(subscription.name)) await session.simple(sql);
      });
    }
  }
  return undefined;
}

async function dropWithSlots(session: Session, name: string): Promise<boolean> {
  try {
    await session.simple(`drop subscription ${ident(name)}`);
    return true;
  } catch (error) {
    // 08006 and others: the leader does not answer; 55006: its slot is in use. The caller drops without slots.
    if (sqlStateOf(error) === undefined) throw error;
    return false;
  }
}

/** Drops a slot even while a walsender reads it: the sender is ended, again if it comes back. */
export async function dropSlotHard(session: Session, slot: string): Promise<void> {
  const dropped = await waitFor(
    async () => {
      await session.query(
        'select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = $1 and active_pid is not null',
        [slot],
      );
      try {
        await dropSlot(session, slot);
        return true;
      } catch (error) {
        if (sqlStateOf(error) === '55006') return undefined;
        throw error;
      }
    },
    { timeoutMs: 10_000, pauseMs: 10 },
  );
  if (dropped === true) return;
  throw new RepctlError(
    'slot-active',
    `${session.node}: slot ${slot} is in use and comes back into use at once.`,
    {
      exit: EXIT.incomplete,
      hint: 'repctl slot list shows who uses it.',
      details: { node: session.node, slot },
    },
  );
}

export async function dropSlots(context: RunnerContext, action: DropSlots): Promise<StepResult> {
  const session = await context.fleet.session(action.node);
  const [metadata] = await session.query<{ present: boolean }>(
    `select to_regclass('repctl.standby') is not null as present`,
  );
  for (const slot of action.slots) {
    await dropSlotHard(session, slot);
    if (metadata?.present === true) await session.simple(dropStandbyBaseSql(slot.replace(/^repctl_/, '')));
  }
  return { slots: action.slots.length };
}

export async function unpublish(context: RunnerContext, action: Unpublish): Promise<StepResult> {
  const node = await look(context, action.node);
  const session = await context.fleet.session(action.node);
  // From here on the node gives out ids of its own, and a replica's sequences stand where they began.
  const used = await highestInUse(session, await readSequences(session, node.tables));
  const { sql: sequences } = setPastSql(used, 0);
  await session.transaction(async () => {
    await session.simple(`set local lock_timeout = '3s'`);
    for (const sql of sequences) await session.simple(sql);
    if (node.tables.length > 0) {
      for (const table of await session.query<FencedTable>(fencedTablesSql(node.tables)))
        await session.simple(dropFenceSql(table));
    }
    await session.simple(dropPublicationSql);
    await session.simple(dropMetadataSql);
  });
  return undefined;
}
