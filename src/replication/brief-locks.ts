/**
 * Locks on tables that others use, asked for so briefly that nobody is ended for them: a process that has waited for
 * deadlock_timeout looks whether it is in a deadlock, and if so it is the one that is ended. Who holds some locks and
 * waits for others must give up sooner than the other side looks, and others may have queued since the first lock was
 * held: what counts is the time for all of them together.
 */
import type { TableName } from '../cluster/model.js';
import { EXIT, RepctlError } from '../errors.js';
import { literal, qualified } from '../postgres/quote.js';
import type { Session } from '../postgres/session.js';
import { sqlStateOf } from '../postgres/sqlstate.js';
import { withPartitions } from './lock-holders.js';

const BRIEF_MS = 300;

/** deadlock_timeout is 1 s by default; it may be set lower. */
export async function briefMs(session: Session): Promise<number> {
  return Math.max(1, Math.min(BRIEF_MS, Math.floor((await deadlockMs(session)) / 2)));
}

async function deadlockMs(session: Session): Promise<number> {
  const [row] = await session.query<{ ms: number }>(
    `select setting::int as ms from pg_catalog.pg_settings where name = 'deadlock_timeout'`,
  );
  return row?.ms ?? 1000;
}

export interface BriefLock {
  readonly mode: 'share row exclusive' | 'access exclusive';
  /** Milliseconds, for all tables together. */
  readonly ms: number;
  /** Without partitions: they are in the list themselves. */
  readonly only?: boolean;
}

/**
 * In a transaction: locks all the tables. Throws `lock-timeout` (55P03) when that takes too long; what was locked then
 * is held until the caller rolls back.
 */
export async function lockBriefly(
  session: Session,
  tables: readonly TableName[],
  { mode, ms, only = false }: BriefLock,
): Promise<void> {
  if (tables.length === 0) return;
  const [row] = await session.query<{ before: string }>(
    `select current_setting('statement_timeout') as before`,
  );
  await session.simple(`set local statement_timeout = '${String(Math.round(ms))}ms'`);
  const names = tables.map((table) => `${only ? 'only ' : ''}${qualified(table)}`);
  try {
    await session.simple(`lock table ${names.join(', ')} in ${mode} mode`);
  } catch (error) {
    // query_canceled: each lock came in time, all of them did not.
    if (sqlStateOf(error) !== '57014') throw error;
    throw new RepctlError('lock-timeout', `${session.node}: locks were not to be had in time`, {
      exit: EXIT.incomplete,
      hint: 'A lock is held by another session: repctl doctor.',
      details: { node: session.node, sqlstate: '55P03' },
      cause: error,
    });
  }
  await session.simple(`set local statement_timeout = ${literal(row?.before ?? '0')}`);
}

/** $1: tables. Null: this role may not see whose process it is. */
const AUTOVACUUM_SQL = `
  select distinct n.nspname as schema, c.relname as name
    from pg_catalog.pg_locks l join pg_catalog.pg_class c on c.oid = l.relation
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    left join pg_catalog.pg_stat_activity a on a.pid = l.pid
   where l.locktype = 'relation' and l.granted and l.mode = 'ShareUpdateExclusiveLock'
     and l.database = (select d.oid from pg_catalog.pg_database d where d.datname = current_database())
     and coalesce(a.backend_type, 'autovacuum worker') = 'autovacuum worker'
     and l.relation in (select to_regclass(t) from unnest($1::text[]) t)`;

/** How long past deadlock_timeout a cancelled autovacuum may take to end. */
const ENDING_MS = 500;

/**
 * Autovacuum gives way to whoever has waited for its lock for deadlock_timeout, so to no brief attempt ever. Here it is
 * waited for, outside of any transaction: one table at a time with nothing else held, in a mode (SHARE UPDATE
 * EXCLUSIVE) behind which neither readers nor writers queue. One that prevents wraparound does not give way.
 */
export async function sendAutovacuumAway(session: Session, tables: readonly TableName[]): Promise<void> {
  if (tables.length === 0) return;
  const all = await withPartitions(session, tables);
  const busy = await session.query<TableName>(AUTOVACUUM_SQL, [all.map(qualified)]);
  if (busy.length === 0) return;
  const ms = (await deadlockMs(session)) + ENDING_MS;
  for (const table of busy) {
    try {
      await session.transaction(() =>
        session.simple(
          `set local lock_timeout = '${String(ms)}ms'; lock table only ${qualified(table)} in share update exclusive mode`,
        ),
      );
    } catch (error) {
      // lock_not_available, insufficient_privilege (a partition of a table that may be locked): it is no worse than before.
      if (!['55P03', '42501'].includes(sqlStateOf(error) ?? '')) throw error;
    }
  }
}
