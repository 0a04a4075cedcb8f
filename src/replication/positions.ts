/** Positions that repctl compares, and how they are made sure of. Never compare those of different nodes. */
import { type Lsn, minLsn } from '../postgres/lsn.js';
import type { Session } from '../postgres/session.js';

/**
 * What a replica has for good: a subscription applies with synchronous_commit=off, so its applied position may
 * be ahead of what is flushed; its slot on the leader is confirmed only as far as the replica has flushed.
 * null when either is unknown.
 */
export const durablePosition = (applied: Lsn | null, confirmedFlush: Lsn | null): Lsn | null =>
  applied === null || confirmedFlush === null ? null : minLsn(applied, confirmedFlush);

/**
 * Flushes this node's WAL, all that is committed so far included, and returns the flush position.
 * Decoding and pg_replication_slot_advance stop at the flushed position, and what a subscription applied with
 * synchronous_commit=off is not flushed yet. One transactional message committed with synchronous_commit=local
 * flushes everything before it, and does not wait for replicas in sync mode.
 */
export async function flushNow(session: Session): Promise<Lsn> {
  const rows = await session.simple<{ lsn: Lsn }>(
    `begin; set local synchronous_commit = local; select pg_logical_emit_message(true, 'repctl', 'flush'); commit; ` +
      `select pg_current_wal_flush_lsn()::text as lsn`,
  );
  return rows[0]?.lsn ?? '0/0';
}

/** Name of a subscription's origin. */
export const originName = (subscriptionOid: number): string => `pg_${String(subscriptionOid)}`;
