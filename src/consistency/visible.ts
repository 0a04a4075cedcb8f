/**
 * Whether a replica shows everything that the leader had committed at some position.
 *
 * What the apply worker received (pg_stat_subscription, readable by everyone) tells it: the worker handles one
 * message at a time and notes a message's position before it handles it; no message of a transaction lies past
 * that transaction's end, and one that does comes after its commit. So a position *past* L means that every
 * transaction up to L is committed and visible. At exactly L the commit may be at work just now: then no apply
 * worker may have a transaction open (backend_xid, asked for afterwards, is visible to everyone too).
 * On a quiet leader keepalives carry the position on.
 */
import type { Lsn } from '../postgres/lsn.js';
import { compareLsn } from '../postgres/lsn.js';
import type { Session } from '../postgres/session.js';

/**
 * The insert position: past every commit that a reader on the leader has seen. The message after it, a
 * transaction of its own that no subscription asks for, makes the server flush and the stream move on at once.
 */
const leaderPositionSql = 'select pg_catalog.pg_current_wal_insert_lsn()::text as lsn';
const nudgeSql = `select pg_catalog.pg_logical_emit_message(true, 'repctl', 'check')`;

/** $1: oid of the subscription. */
const receivedSql = `
  select max(s.received_lsn)::text as received from pg_catalog.pg_stat_subscription s
  where s.subid = $1 and s.relid is null and to_jsonb(s) ->> 'leader_pid' is null`;

/** $1: oid of the subscription. Parallel apply workers (16+) are listed with the same subscription. */
const openTransactionsSql = `
  select count(*)::int as open from pg_catalog.pg_stat_subscription s
  join pg_catalog.pg_stat_activity a on a.pid = s.pid
  where s.subid = $1 and s.relid is null and a.backend_xid is not null`;

/** How long a wait for one replica may take altogether; waiting uses it up. */
export interface Patience {
  leftMs: number;
}

/** How often it is asked whether there is still something to wait for, milliseconds. */
const MEANWHILE_MS = 500;

/**
 * True once everything up to `target` is visible on the replica; false when patience ran out. `meanwhile` is called now
 * and then while it waits; what it throws ends the wait.
 */
export async function waitVisible(
  replica: Session,
  subscription: number,
  target: Lsn,
  patience: Patience,
  meanwhile?: () => Promise<void>,
): Promise<boolean> {
  const start = performance.now();
  const deadline = start + patience.leftMs;
  let askAt = start + MEANWHILE_MS;
  let pauseMs = 1;
  let reached = await isVisible(replica, subscription, target);
  while (!reached && performance.now() < deadline) {
    const wait = pauseMs;
    await new Promise((resolve) => setTimeout(resolve, wait));
    pauseMs = Math.min(pauseMs * 2, 50);
    if (meanwhile !== undefined && performance.now() > askAt) {
      await meanwhile();
      askAt = performance.now() + MEANWHILE_MS;
    }
    reached = await isVisible(replica, subscription, target);
  }
  // Only waits in vain count: a check of a busy but healthy replica may wait ten thousand times.
  if (!reached) patience.leftMs = 0;
  return reached;
}

async function isVisible(replica: Session, subscription: number, target: Lsn): Promise<boolean> {
  const [row] = await replica.query<{ received: Lsn | null }>(receivedSql, [subscription]);
  if (row?.received == null) return false;
  const order = compareLsn(row.received, target);
  if (order !== 0) return order > 0;
  const [workers] = await replica.query<{ open: number }>(openTransactionsSql, [subscription]);
  return workers?.open === 0;
}

/** The leader's position now, with the stream set going. */
export async function leaderPosition(leader: Session): Promise<Lsn> {
  const [row] = await leader.query<{ lsn: Lsn }>(leaderPositionSql);
  await leader.query(nudgeSql);
  return row?.lsn ?? '0/0';
}
