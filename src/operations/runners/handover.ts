/**
 * What is made ready before a leader is fenced, so that between the fence's commit and the promotion's nothing runs
 * that could have run before: sessions, locks, statements, sequences.
 */
import type { TableName } from '../../cluster/model.js';
import { type FencedTable, fenceSql, fencedTablesSql } from '../../cluster/fence.js';
import { EXIT, RepctlError } from '../../errors.js';
import { qualified } from '../../postgres/quote.js';
import type { Session } from '../../postgres/session.js';
import { sqlStateOf } from '../../postgres/sqlstate.js';
import { type SequencesPast, highestInUse, readSequences, setPastSql } from '../../replication/sequences.js';
import { withRecorded } from '../../replication/sequence-record.js';
import type { RunnerContext } from './context.js';
import type { Target } from './handed-on.js';

/** Longest wait for the locks that only keep maintenance away; nobody who reads or writes queues behind them. */
const MAINTENANCE_LOCK_MS = 5000;

export const lockSql = (tables: readonly TableName[], mode: string): string =>
  `lock table ${tables.map((table) => `only ${qualified(table)}`).join(', ')} in ${mode} mode`;

/**
 * Begins a transaction that holds SHARE UPDATE EXCLUSIVE on the tables. It conflicts with neither readers nor
 * writers, but with VACUUM and ANALYZE: autovacuum would else hold the fence's lock up for as long as it runs. A
 * running autovacuum is cancelled by the server after deadlock_timeout, since somebody waits for it.
 */
export async function beginAlone(session: Session, tables: readonly TableName[]): Promise<void> {
  await session.simple(
    `begin; set local synchronous_commit = local; set local idle_in_transaction_session_timeout = 0; ` +
      `set local lock_timeout = '${String(MAINTENANCE_LOCK_MS)}ms'; ${lockSql(tables, 'share update exclusive')}`,
  );
}

/** Learns what the promotion will do. Throws `sequence-exhausted` (exit 6). */
export async function readyTarget(
  context: RunnerContext,
  name: string,
  tables: readonly TableName[],
): Promise<Target> {
  const session = await context.fleet.fresh(name);
  const fences = await session.query<FencedTable>(fencedTablesSql(tables));
  const sequences = await withRecorded(
    session,
    await highestInUse(session, await readSequences(session, tables)),
  );
  const exhausted = setPastSql(sequences, context.fleet.config.sequenceGap).exhausted;
  if (exhausted.length > 0) throw sequenceExhausted(exhausted, context.fleet.config.sequenceGap);
  const [own] = await session.query<{ pid: number }>('select pg_backend_pid() as pid');
  return {
    ...{ name, session, pid: own?.pid ?? 0 },
    ...{ tables: fences, fencesDown: fenceSql(fences, 'disabled'), sequences },
  };
}

/** Begins the promotion's transaction. Throws `target-locked` (exit 6). */
export async function lockTarget({ name, session, tables }: Target): Promise<void> {
  try {
    await beginAlone(session, tables);
  } catch (error) {
    if (sqlStateOf(error) !== '55P03') throw error;
    throw new RepctlError('target-locked', `Published tables on ${name} are locked by somebody else.`, {
      exit: EXIT.refused,
      hint: `On ${name}: select pid, relation::regclass, mode from pg_locks where relation is not null`,
      details: { node: name },
      cause: error,
    });
  }
}

export const sequenceExhausted = (exhausted: SequencesPast['exhausted'], gap: number): RepctlError =>
  new RepctlError(
    'sequence-exhausted',
    exhausted
      .map(
        ({ schema, name, last, end }) =>
          `Sequence ${schema}.${name} is at ${last} and ends at ${end}: no room for the gap of ${String(gap)}.`,
      )
      .join('\n'),
    {
      exit: EXIT.refused,
      hint: 'Widen the sequence and its column, or lower sequenceGap in the configuration.',
      details: { exhausted },
    },
  );
