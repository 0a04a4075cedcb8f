/** Runners that make a node ready: metadata, publication, fence, the first epoch. */
import type { StepResult } from '../../plan/execute.js';
import { EXIT, RepctlError } from '../../errors.js';
import { fenceSql, fencedTablesSql, type FencedTable } from '../../cluster/fence.js';
import { PUBLICATION } from '../../cluster/names.js';
import { PUBLISHED_METADATA, metadataSql, nameNodeSql } from '../../replication/metadata.js';
import { createPublicationSql, setPublicationSql } from '../../replication/publications.js';
import { productsTableSql } from '../../products/schema.js';
import { recordSequencesSql } from '../../replication/sequence-record.js';
import { highestInUse, readSequences } from '../../replication/sequences.js';
import type { Found, Prepare, Publish } from '../actions.js';
import { type RunnerContext, look } from './context.js';

/** Locks on users' tables are asked for briefly, so that nobody queues behind repctl for long. */
const LOCK_TIMEOUT = `set local lock_timeout = '3s'`;

export async function prepare(context: RunnerContext, action: Prepare): Promise<StepResult> {
  const session = await context.fleet.session(action.node);
  const { cluster } = context.fleet.config;
  await session.transaction(async () => {
    for (const sql of metadataSql) await session.simple(sql);
    await session.simple(nameNodeSql(cluster, action.node));
    for (const sql of action.products ? productsTableSql : []) await session.simple(sql);
    // Two names for one database: the second one finds the name that the first one wrote.
    const [row] = await session.query<{ name: string; cluster: string }>(
      'select name, cluster from repctl.node',
    );
    if (row?.name !== action.node || row.cluster !== cluster) {
      throw new RepctlError(
        'same-database',
        `The database behind ${action.node} is node ${String(row?.name)} of cluster ${String(row?.cluster)}.`,
        {
          exit: EXIT.refused,
          hint: 'Two nodes must be two databases: check the URLs.',
          details: { node: action.node },
        },
      );
    }
  });
  return undefined;
}

export async function publish(context: RunnerContext, action: Publish): Promise<StepResult> {
  const session = await context.fleet.session(action.node);
  const tables = [...action.tables, ...PUBLISHED_METADATA];
  await session.transaction(async () => {
    await session.simple(LOCK_TIMEOUT);
    const existing = await session.query('select 1 from pg_publication where pubname = $1', [PUBLICATION]);
    await session.simple(existing.length === 0 ? createPublicationSql(tables) : setPublicationSql(tables));
    const fences = await session.query<FencedTable>(fencedTablesSql(tables));
    for (const sql of fenceSql(fences, action.leads ? 'disabled' : 'enabled')) await session.simple(sql);
  });
  return { tables: action.tables.length };
}

export async function found(context: RunnerContext, action: Found): Promise<StepResult> {
  const session = await context.fleet.session(action.leader);
  const { operator } = context;
  const { tables } = await look(context, action.leader);
  const used = await highestInUse(session, await readSequences(session, tables));
  // Without a gap: they stay as they are, and where they stand now is where the first failover starts from.
  const record = { epoch: 1, node: action.leader, operator, sequences: used, gap: 0 };
  await session.transaction(async () => {
    const founded = await session.query(
      `insert into repctl.epoch (epoch, leader, operation, operator, reason) values (1, $1, 'create', $2, $3)
       on conflict do nothing returning epoch`,
      [action.leader, operator, context.reason],
    );
    if (founded.length > 0) for (const sql of recordSequencesSql(record)) await session.simple(sql);
  });
  return undefined;
}
