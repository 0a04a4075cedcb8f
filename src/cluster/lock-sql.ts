/** The statements of the lock, and what they tell of its holder. */

/**
 * One key for every cluster: advisory locks are of one database, and a database belongs to one cluster. A name in
 * the key would let two operators in who call the same cluster differently.
 */
const CLASSID = 0x72_65_70_63;
/** What is locked: operators keep each other out, and so do drills, during which operators go on. */
const OBJIDS = { operation: 1, drill: 2 } as const;
export type Locked = keyof typeof OBJIDS;
const keyOf = (what: Locked): string => `${String(CLASSID)}, ${String(OBJIDS[what])}`;

/**
 * $1 `repctl OPERATION`, $2 `PID USER@HOST`: with the time between them they become the session's
 * application_name (63 bytes, cut off by the server), which everybody may read in pg_stat_activity, unlike query.
 * A backend that is busy for a killed client would hold the lock until its statement ends: it looks at the socket
 * four times a second instead, where the system can tell (client_connection_check_interval is refused elsewhere).
 */
export const takeSqlFor = (what: Locked): string => `
  with taken as materialized (select pg_try_advisory_lock(${keyOf(what)}) as got)
  select got,
         case when got then set_config('application_name',
           $1 || ' ' || extract(epoch from clock_timestamp())::int8 || ' ' || $2, false) end as name,
         case when got and version() like '%linux%' then
           set_config('client_connection_check_interval', '250ms', false) end as interval
    from taken`;

export const takeSql = takeSqlFor('operation');

export const releaseSql = `select pg_advisory_unlock(${keyOf('operation')}), set_config('application_name', 'repctl', false)`;

/** At most one row: an exclusive lock has one holder. */
export const holderSqlFor = (what: Locked): string => `
  select a.pid, a.application_name as name, a.usename as role, host(a.client_addr) as address,
         a.backend_start as began
    from pg_locks l join pg_stat_activity a on a.pid = l.pid
   where l.locktype = 'advisory' and l.classid = ${String(CLASSID)} and l.objid = ${String(OBJIDS[what])}
     and l.objsubid = 2 and l.granted and l.pid <> pg_backend_pid()
     and l.database = (select oid from pg_database where datname = current_database())`;

export const holderSql = holderSqlFor('operation');

/** Waits up to two seconds for the end of the backend. */
export const terminateSql = 'select pg_terminate_backend($1, 2000) as ended';

interface HolderRow {
  readonly pid: number;
  readonly name: string;
  readonly role: string | null;
  readonly address: string | null;
  readonly began: string;
}

export interface LockHolder {
  readonly node: string;
  /** Of the backend. */
  readonly pid: number;
  /** Account on the operator's machine; the database role where it is no repctl that holds it. */
  readonly operator: string;
  readonly host: string | null;
  /** RFC 3339, the server's clock. */
  readonly since: string;
  readonly operation: string | null;
  /** Of the process that holds it, on `host`. */
  readonly clientPid: number | null;
}

/** `repctl failover 1790000000 4711 ada@db-admin` */
const NAME = /^repctl (?<operation>\S+) (?<since>\d{1,12}) (?<pid>\d{1,10}) (?<user>[^@]*)@?(?<host>.*)$/u;

export function toHolder(node: string, { pid, name, role, address, began }: HolderRow): LockHolder {
  const parts = NAME.exec(name)?.groups;
  if (parts === undefined) {
    return {
      node,
      pid,
      operator: role ?? 'unknown',
      host: address,
      since: new Date(began).toISOString(),
      operation: null,
      clientPid: null,
    };
  }
  return {
    node,
    pid,
    operator: parts['user'] ?? '',
    host: parts['host'] === '' ? address : (parts['host'] ?? null),
    since: new Date(Number(parts['since']) * 1000).toISOString(),
    operation: parts['operation'] ?? null,
    clientPid: Number(parts['pid']),
  };
}

/** `ada on db-admin (failover, since 2026-11-23 10:14:07Z)` */
export function describeHolder({ operator, host, since, operation }: LockHolder): string {
  const when = `since ${since.slice(0, 19).replace('T', ' ')}Z`;
  return `${operator}${host === null ? '' : ` on ${host}`} (${operation ?? 'not a repctl operation'}, ${when})`;
}
