/** Who holds locks on published tables that the fence waits for: found, named, ended. */
import type { TableName } from '../cluster/model.js';
import { EXIT, RepctlError } from '../errors.js';
import { literal, qualified } from '../postgres/quote.js';
import type { Session } from '../postgres/session.js';
import { sqlStateOf } from '../postgres/sqlstate.js';

export interface LockHolder {
  /** virtualtransaction: tells one transaction of a session from its next one. */
  readonly transaction: string;
  readonly pid: number;
  /** The rest is null where this role may not see it. */
  readonly user: string | null;
  /** Of a background process, such as autovacuum, its kind. */
  readonly applicationName: string | null;
  /** When its transaction began, RFC 3339. */
  readonly since: string | null;
  readonly state: string | null;
  readonly query: string | null;
  readonly table: string;
  /** It has committed and waits for a synchronous standby, with its locks, for as long as none confirms. */
  readonly waitsForStandby: boolean;
}

/** Modes that SHARE ROW EXCLUSIVE conflicts with, and the others, of those who read or lock rows. */
const WRITING = [
  ...['RowExclusiveLock', 'ShareUpdateExclusiveLock', 'ShareLock'],
  ...['ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock'],
];
const READING = ['AccessShareLock', 'RowShareLock'];

/**
 * Transactions of other sessions with a lock on one of the tables that SHARE ROW EXCLUSIVE conflicts with; `readers`:
 * with any lock. Partitions are tables of their own here: name them too.
 */
export async function lockHolders(
  session: Session,
  tables: readonly TableName[],
  { readers = false }: { readonly readers?: boolean } = {},
): Promise<readonly LockHolder[]> {
  if (tables.length === 0) return [];
  const modes = [...WRITING, ...(readers ? READING : [])].map(literal).join(', ');
  return session.query<LockHolder>(
    `select distinct on (l.virtualtransaction) l.virtualtransaction as transaction, l.pid, a.usename as user,
            case when a.backend_type = 'client backend' then a.application_name else a.backend_type end as "applicationName",
            to_json(a.xact_start at time zone 'UTC') #>> '{}' || 'Z' as since, a.state, left(a.query, 200) as query,
            l.relation::regclass::text as table, coalesce(a.wait_event = 'SyncRep', false) as "waitsForStandby"
       from pg_locks l left join pg_stat_activity a on a.pid = l.pid
      where l.granted and l.pid is not null and l.pid <> pg_backend_pid() and l.locktype = 'relation'
        and l.database = (select oid from pg_database where datname = current_database())
        and l.mode in (${modes})
        and l.relation in (${tables.map((table) => `to_regclass(${literal(qualified(table))})`).join(', ')})
      order by l.virtualtransaction, l.relation`,
  );
}

/** $1: tables, as to_regclass reads them. pg_partition_tree() would lock them. */
const PARTITIONS_SQL = `
  with recursive tree(oid) as (
    select to_regclass(t)::oid from unnest($1::text[]) t union
    select i.inhrelid from tree join pg_catalog.pg_inherits i on i.inhparent = tree.oid
      join pg_catalog.pg_class k on k.oid = i.inhrelid and k.relispartition)
  select n.nspname as schema, c.relname as name
  from tree join pg_catalog.pg_class c on c.oid = tree.oid join pg_catalog.pg_namespace n on n.oid = c.relnamespace`;

/** The tables and all their partitions, without a wait for whoever holds a lock on them. */
export const withPartitions = (session: Session, tables: readonly TableName[]): Promise<TableName[]> =>
  session.query<TableName>(PARTITIONS_SQL, [tables.map(qualified)]);

/** {@link endSessions} of those who hold the locks. */
export const endHolders = (session: Session, holders: readonly LockHolder[]): Promise<number> =>
  endSessions(
    session,
    holders.map(({ pid }) => pid),
  );

/** Ends sessions of the server, as far as this role may; returns how many ended within two seconds. */
export async function endSessions(session: Session, pids: readonly number[]): Promise<number> {
  let ended = 0;
  for (const pid of pids) {
    const [row] = await session
      .query<{ done: boolean }>('select pg_terminate_backend($1, 2000) as done', [pid])
      .catch((error: unknown) => {
        // 42501: somebody else's session; the caller names it.
        if (sqlStateOf(error) === '42501') return [];
        throw error;
      });
    if (row?.done === true) ended += 1;
  }
  return ended;
}

/** `pid 4711 (app, psql, idle in transaction) holds a lock on products since 2026-11-23T10:14:07Z` */
export function holderText(holder: LockHolder): string {
  const { pid, user, applicationName, since, table } = holder;
  const state = holder.waitsForStandby
    ? 'waits for a synchronous standby to confirm its commit'
    : holder.state;
  const about = [user ?? 'unknown', applicationName, state].filter((part) => (part ?? '') !== '').join(', ');
  return `pid ${String(pid)} (${about}) holds a lock on ${table}${since === null ? '' : ` since ${since}`}`;
}

/** For --json: without what only tells transactions apart. */
export function holderDetails(holder: LockHolder): Readonly<Record<string, unknown>> {
  const { pid, user, applicationName, since, state, query, table } = holder;
  return { pid, user, applicationName, since, state, query, table };
}

/** Named in a message at most, who has been at it longest first: readers come and go. */
const NAMED = 3;

/** {@link lockHolders} of the tables and their partitions, as many as a message can name. */
export async function oldestHolders(
  session: Session,
  tables: readonly TableName[],
  readers: boolean,
): Promise<readonly LockHolder[]> {
  const holders = await lockHolders(session, await withPartitions(session, tables), { readers });
  return holders.toSorted((a, b) => (a.since ?? '').localeCompare(b.since ?? '')).slice(0, NAMED);
}

/** `lock-timeout` (exit 7): who keeps a lock on these tables; `readers`: they are in the way too. */
export async function locksHeld(
  session: Session,
  tables: readonly TableName[],
  {
    waitedMs,
    readers,
    cause,
  }: { readonly waitedMs: number; readonly readers: boolean; readonly cause: unknown },
): Promise<RepctlError> {
  const { node } = session;
  const holders = await oldestHolders(session, tables, readers).catch(() => []);
  const names = tables.map(({ schema, name }) => `${schema}.${name}`);
  const who =
    holders.length === 0 ? `somebody holds one on ${names.join(', ')}` : holders.map(holderText).join('; ');
  const [first] = holders;
  return new RepctlError(
    'lock-timeout',
    `${node}: a lock was not to be had within ${(waitedMs / 1000).toFixed(0)} s: ${who}.`,
    {
      exit: EXIT.incomplete,
      hint:
        first === undefined
          ? `On ${node}: select * from pg_prepared_xacts shows transactions that hold locks without a session.`
          : `Let them end; or, on ${node}: select pg_terminate_backend(${String(first.pid)})`,
      details: { node, tables: names, holders: holders.map(holderDetails) },
      cause,
    },
  );
}
