/** Transactions at the leader that may have written to a table and are not visible to others yet. */
import type { TableName } from '../../cluster/model.js';
import { qualified } from '../../postgres/quote.js';
import type { Session } from '../../postgres/session.js';

export interface Writer {
  readonly transaction: string;
  /** null: a prepared transaction. */
  readonly pid: number | null;
  readonly idle: boolean;
  readonly user: string | null;
  readonly application: string | null;
  readonly since: string | null;
}

/**
 * $1: tables. Who holds a lock that a statement that changes rows takes: it is kept until the end of the transaction,
 * which is after its commit became visible (CommitTransaction() ends it in the process array first, then releases
 * locks). Others can wait for locks as long as they like: they have written nothing.
 */
const WRITERS_SQL = `
select distinct on (l.virtualtransaction) l.virtualtransaction as transaction, l.pid,
       coalesce(a.state like 'idle in transaction%', false) as idle,
       a.usename as user, a.application_name as application, a.xact_start::text as since
  from pg_catalog.pg_locks l left join pg_catalog.pg_stat_activity a on a.pid = l.pid
 where l.locktype = 'relation' and l.granted and l.pid is distinct from pg_catalog.pg_backend_pid()
   and l.mode in ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
   and l.database = (select d.oid from pg_catalog.pg_database d where d.datname = current_database())
   and l.relation in (select p.relid from unnest($1::text[]) t(name) cross join lateral pg_partition_tree(t.name::regclass) p
                      union select t.name::regclass from unnest($1::text[]) t(name))`;

/**
 * Waits until everybody who has written to the tables at the moment of the call has ended, at most `withinMs`; who
 * has not is returned. Whoever idles in a transaction at some later moment has not committed at the moment of the
 * call, so nobody can have received what it wrote: it is not waited for.
 */
export async function writersGone(
  leader: Session,
  tables: readonly TableName[],
  withinMs: number,
): Promise<readonly Writer[]> {
  const names = tables.map(qualified);
  const ask = () => leader.query<Writer>(WRITERS_SQL, [names]);
  const deadline = performance.now() + withinMs;
  let open = await ask();
  let idle = new Set<string>();
  let pauseMs = 1;
  while (open.length > 0 && performance.now() < deadline) {
    const wait = pauseMs;
    await new Promise((resolve) => setTimeout(resolve, wait));
    pauseMs = Math.min(pauseMs * 2, 20);
    const now = new Map((await ask()).map((writer) => [writer.transaction, writer]));
    // Idle in one look and still there in the next: it idled in this transaction, not in the one before.
    open = open.filter(({ transaction }) => now.has(transaction) && !idle.has(transaction));
    idle = new Set([...now.values()].filter((writer) => writer.idle).map(({ transaction }) => transaction));
  }
  return open;
}
