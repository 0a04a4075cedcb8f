/** Who holds locks on published tables that the fence waits for: found, named, ended. */
import type { TableName } from '../cluster/model.js';
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

/**
 * Transactions of other sessions with a lock on one of the tables that SHARE ROW EXCLUSIVE conflicts with.
 * Partitions are tables of their own here: name them too.
 */
export async function lockHolders(
  session: Session,
  tables: readonly TableName[],
): Promise<readonly LockHolder[]> {
  if (tables.length === 0) return [];
  return session.query<LockHolder>(
    `select distinct on (l.virtualtransaction) l.virtualtransaction as transaction, l.pid, a.usename as user,
            case when a.backend_type = 'client backend' then a.application_name else a.backend_type end as "applicationName",
            to_json(a.xact_start at time zone 'UTC') #>> '{}' || 'Z' as since, a.state, left(a.query, 200) as query,
            l.relation::regclass::text as table, coalesce(a.wait_event = 'SyncRep', false) as "waitsForStandby"
       from pg_locks l left join pg_stat_activity a on a.pid = l.pid
      where l.granted and l.pid is not null and l.pid <> pg_backend_pid() and l.locktype = 'relation'
        and l.database = (select oid from pg_database where datname = current_database())
        and l.mode in ('RowExclusiveLock', 'ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
        and l.relation in (${tables.map((table) => `to_regclass(${literal(qualified(table))})`).join(', ')})
      order by l.virtualtransaction, l.relation`,
  );
}

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
