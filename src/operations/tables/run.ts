/** Does what add.ts and drop.ts planned. Every runner checks first and can be run again. */
import { dropFenceSql, type FencedTable, fencedTablesSql, fenceSql } from '../../cluster/fence.js';
import type { TableName } from '../../cluster/model.js';
import { slotName } from '../../cluster/names.js';
import { EXIT, RepctlError } from '../../errors.js';
import type { Runners, StepResult } from '../../plan/execute.js';
import type { Lsn } from '../../postgres/lsn.js';
import { qualified } from '../../postgres/quote.js';
import { flushNow } from '../../replication/positions.js';
import { addToPublicationSql, dropFromPublicationSql, tableKey } from '../../replication/publications.js';
import { advanceSlot, standbyBaseSql } from '../../replication/slots.js';
import { refreshSubscriptionSql, synchronousCommitSql } from '../../replication/subscriptions.js';
import { subscriptionOf } from '../facts.js';
import { look, type RunnerContext } from '../runners/context.js';
import { awaitCopy } from '../runners/stream.js';
import type { TablesAction } from './actions.js';
import { awaitEvent, insertEvent } from './events.js';
import { locked } from './lock.js';
import { attachProved } from './prove.js';

type Of<Kind extends TablesAction['kind']> = Extract<TablesAction, { kind: Kind }>;

export const tablesRunners = (context: RunnerContext): Runners<TablesAction> => ({
  begin: async (action) => {
    const leader = await context.fleet.session(action.leader);
    await insertEvent(context, leader, `publication-${action.verb}-begin`, action.epoch, {
      tables: action.tables,
    });
    return undefined;
  },
  fence: (action) => setFence(context, action),
  'publish-table': (action) => setPublished(context, action.node, action.table, true),
  'unpublish-table': (action) => setPublished(context, action.node, action.table, false),
  'attach-table': (action) => attach(context, action),
  'detach-table': async (action) => {
    const session = await context.fleet.session(action.node);
    await session.query(refreshSubscriptionSql(action.subscription, false));
    return undefined;
  },
  'await-tables': (action, run) =>
    awaitCopy(
      context,
      { kind: 'await-copy', nodes: action.nodes, leader: action.leader, epoch: action.epoch },
      run,
    ),
  unfence: async (action) => {
    const session = await context.fleet.session(action.node);
    await locked(session, action.table, async () => {
      for (const table of await session.query<FencedTable>(fencedTablesSql([action.table])))
        await session.query(dropFenceSql(table));
    });
    return undefined;
  },
  end: (action, run) =>
    end(
      context,
      action,
      run.finished.map(({ id, node, ms }) => ({ id, node, ms: Math.round(ms) })),
    ),
  'move-standby': (action) => moveStandby(context, action),
});

async function setFence(context: RunnerContext, action: Of<'fence'>): Promise<StepResult> {
  const session = await context.fleet.session(action.node);
  await locked(session, action.table, async () => {
    const tables = await session.query<FencedTable>(fencedTablesSql([action.table]));
    for (const sql of fenceSql(tables, action.enabled ? 'enabled' : 'disabled')) await session.query(sql);
  });
  return undefined;
}

async function setPublished(
  context: RunnerContext,
  node: string,
  table: TableName,
  published: boolean,
): Promise<StepResult> {
  const session = await context.fleet.session(node);
  await locked(session, table, async () => {
    const [now] = await session.query<{ published: boolean }>(
      `select exists (select from pg_publication_rel r join pg_publication p on p.oid = r.prpubid
        where p.pubname = 'repctl' and r.prrelid = to_regclass($1)) as published`,
      [qualified(table)],
    );
    if (now?.published === published) return;
    await session.query(published ? addToPublicationSql([table]) : dropFromPublicationSql([table]));
  });
  return undefined;
}

async function attach(context: RunnerContext, action: Of<'attach-table'>): Promise<StepResult> {
  if (!action.copy) return attachProved(context, action);
  const session = await context.fleet.session(action.node);
  const rows = await session.query(`select from ${qualified(action.table)} limit 1`);
  if (rows.length > 0) {
    throw new RepctlError(
      'table-not-empty',
      `${tableKey(action.table)} on ${action.node} was empty and holds rows now: nothing is copied over them.`,
      { exit: EXIT.incomplete, hint: 'Run the same command again: it will compare them.' },
    );
  }
  // As for a first copy, see createSubscriptionSql(); awaitCopy() sets it back.
  await session.query(synchronousCommitSql(action.subscription, 'local'));
  await session.query(refreshSubscriptionSql(action.subscription, true));
  return undefined;
}

/** The position is taken before the event is written, so a base past it was read after every copy had ended. */
async function end(
  context: RunnerContext,
  action: Of<'end'>,
  steps: readonly unknown[],
): Promise<StepResult> {
  const leader = await context.fleet.session(action.leader);
  const [position] = await leader.query<{ lsn: Lsn }>('select pg_current_wal_insert_lsn()::text as lsn');
  const lsn = position?.lsn ?? '0/0';
  const id = await insertEvent(context, leader, `publication-${action.verb}`, action.epoch, {
    tables: action.tables,
    lsn,
    steps,
  });
  await awaitEvent(context, id, action.nodes);
  return { lsn };
}

/**
 * Moves standby slots to now. The base is read after the position that they are moved to, so what they no longer
 * hold lies at or before it; and it is written before they move, since claiming less than they hold is safe.
 */
async function moveStandby(context: RunnerContext, action: Of<'move-standby'>): Promise<StepResult> {
  const session = await context.fleet.session(action.node);
  const now = await flushNow(session);
  const base = subscriptionOf(await look(context, action.node), action.epoch)?.appliedLsn;
  if (base === undefined || base === null) {
    throw new RepctlError('position-unknown', `The applied position of ${action.node} cannot be read.`, {
      exit: EXIT.incomplete,
      hint: `repctl subscription show ${action.node}`,
    });
  }
  await session.transaction(async () => {
    for (const sibling of action.siblings) await session.query(standbyBaseSql(sibling, action.epoch, base));
  });
  for (const sibling of action.siblings) await advanceSlot(session, slotName(sibling), now);
  return { slots: action.siblings.length, base };
}
