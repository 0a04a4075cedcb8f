/** A slot that the server invalidates. */
import type { Session } from '../../src/postgres/session.js';
import { until } from './wait.js';

const ROUNDS_MAX = 10;

/**
 * Lets the server invalidate a slot that nobody reads, and none of the others: those must follow before a checkpoint
 * looks, or they would be invalidated with it. `write` changes a published table.
 */
export async function invalidateSlot(
  admin: Session,
  slot: string,
  write: (round: number) => Promise<unknown>,
): Promise<void> {
  await admin.simple(`alter system set max_slot_wal_keep_size = '20MB'`);
  await admin.simple('select pg_reload_conf()');
  try {
    const lost = () =>
      admin.query(`select from pg_replication_slots where slot_name = $1 and wal_status = 'lost'`, [slot]);
    for (let round = 0; (await lost()).length === 0; round += 1) {
      if (round === ROUNDS_MAX) throw new Error(`${slot} is not invalidated`);
      await write(round);
      const [row] = await admin.query<{ lsn: string }>('select pg_switch_wal()::text as lsn');
      await until(
        async () => {
          await admin.simple('select pg_log_standby_snapshot()');
          return admin.query(
            `select slot_name from pg_replication_slots where slot_name <> $1 and restart_lsn < $2::pg_lsn`,
            [slot, row?.lsn ?? ''],
          );
        },
        (behind) => behind.length === 0,
      );
      await admin.simple('checkpoint');
    }
  } finally {
    await admin.simple('alter system reset max_slot_wal_keep_size');
    await admin.simple('select pg_reload_conf()');
  }
}
