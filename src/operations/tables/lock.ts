/** A table's lock that stops writers without making them queue. */
import type { TableName } from '../../cluster/model.js';
import { qualified } from '../../postgres/quote.js';
import type { Session } from '../../postgres/session.js';
import { sqlStateOf } from '../../postgres/sqlstate.js';

const LOCK_TRIES = 20;

/**
 * Runs `body` in a transaction that holds SHARE ROW EXCLUSIVE on the table: no writer is in flight and none
 * begins; readers pass. The lock is asked for with a short timeout again and again, so that writers never queue
 * behind it for long. It also keeps a transaction from being published by half: ALTER PUBLICATION alone does
 * not wait for those that have written to the table already.
 */
export async function locked<T>(session: Session, table: TableName, body: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await session.transaction(async () => {
        await session.query(`set local lock_timeout = '500ms'`);
        await session.query(`lock table ${qualified(table)} in share row exclusive mode`);
        return body();
      });
    } catch (error) {
      if (sqlStateOf(error) !== '55P03' || attempt === LOCK_TRIES) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100 + Math.random() * 200));
    }
  }
}
