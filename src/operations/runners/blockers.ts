/** Who holds the locks that keep a replica from going on: named, so that an operator can end or wait for them. */
import type { Session } from '../../postgres/session.js';

export interface Blocker {
  readonly pid: number;
  /** Empty where this role may not see it. */
  readonly application: string;
  /** Its state and since when its transaction is open, as text; empty where this role may not see it. */
  readonly since: string;
}

const COLUMNS = `coalesce(a.application_name, '') as application,
            coalesce(a.state || coalesce(' since ' || to_char(a.xact_start, 'HH24:MI:SS'), ''), '') as since`;

/** Whom the apply worker of repctl's subscription here waits for; process 0 is a prepared transaction. */
export const workerBlockers = (session: Session): Promise<Blocker[]> =>
  session.query<Blocker>(
    `select b.pid, ${COLUMNS}
       from pg_subscription s join pg_stat_subscription w on w.subid = s.oid and w.relid is null
       cross join lateral unnest(pg_blocking_pids(w.pid)) b(pid) left join pg_stat_activity a on a.pid = b.pid
      where s.subdbid = (select oid from pg_database where datname = current_database()) and s.subname ~ '^repctl_'`,
  );

/** Sessions that let nobody else near a published table: CREATE SUBSCRIPTION looks at each of them. */
export const tableBlockers = (session: Session): Promise<Blocker[]> =>
  session.query<Blocker>(
    `select distinct on (l.pid) coalesce(l.pid, 0) as pid, ${COLUMNS}
       from pg_locks l join pg_publication_rel r on r.prrelid = l.relation left join pg_stat_activity a on a.pid = l.pid
      where l.granted and l.mode = 'AccessExclusiveLock' and (l.pid is null or l.pid <> pg_backend_pid())
        and l.database = (select oid from pg_database where datname = current_database())`,
  );

/** `Session 4711 (psql, idle in transaction since 10:14:07)` */
export function blockerText({ pid, application, since }: Blocker): string {
  if (pid === 0) return 'A prepared transaction';
  const about = [application, since].filter((part) => part !== '').join(', ');
  return `Session ${String(pid)}${about === '' ? '' : ` (${about})`}`;
}

/** What to type on the node so that it lets go. */
export const endBlocker = (node: string, { pid }: Blocker): string =>
  pid === 0
    ? `On ${node}: commit prepared or rollback prepared each of pg_prepared_xacts`
    : `On ${node}: select pg_terminate_backend(${String(pid)})`;
