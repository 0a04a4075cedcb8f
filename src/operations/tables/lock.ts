/** A table's lock that stops writers without making them queue. */
import type { TableName } from '../../cluster/model.js';
import type { Session } from '../../postgres/session.js';
import { sqlStateOf } from '../../postgres/sqlstate.js';
import { briefMs, lockBriefly, sendAutovacuumAway } from '../../replication/brief-locks.js';
import { locksHeld } from '../../replication/lock-holders.js';

const LOCK_TRIES = 20;

/**
 * Runs `body` in a transaction that holds SHARE ROW EXCLUSIVE on the table: no writer is in flight and none
 * begins; readers pass. The lock is asked for with a short timeout again and again, so that writers never queue
 * behind it for long. It also keeps a transaction from being published by half: ALTER PUBLICATION alone does
 * not wait for those that have written to the table already. Throws `lock-timeout` (exit 7) with who holds it.
 */
export async function locked<T>(session: Session, table: TableName, body: () => Promise<T>): Promise<T> {
  const ms = await briefMs(session);
  const begun = performance.now();
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await session.transaction(async () => {
        await session.query(`set local lock_timeout = '500ms'`);
        await lockBriefly(session, [table], { mode: 'share row exclusive', ms });
        return body();
      });
    } catch (error) {
      if (sqlStateOf(error) !== '55P03') throw error;
      const waitedMs = performance.now() - begun;
      if (attempt === LOCK_TRIES)
        throw await locksHeld(session, [table], { waitedMs, readers: false, cause: error });
      await sendAutovacuumAway(session, [table]);
      await new Promise((resolve) => setTimeout(resolve, 100 + Math.random() * 200));
    }
  }
}
