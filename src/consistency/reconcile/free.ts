/** A lock that is met after everything was compared must not cost that work. */
import type { TableName } from '../../cluster/model.js';
import type { Session } from '../../postgres/session.js';
import { sqlStateOf } from '../../postgres/sqlstate.js';
import { briefMs } from '../../replication/brief-locks.js';
import { holderText, locksHeld, oldestHolders } from '../../replication/lock-holders.js';
import { tablesTouched } from './clear.js';
import type { KeptRows } from './kept.js';

export interface FreeOptions {
  readonly kept?: KeptRows | undefined;
  /** Told each time that `body` met a lock of who may be in the way. */
  readonly onWait?: ((who: string) => void) | undefined;
}

/** How long it is waited altogether. */
const WAIT_MS = 600_000;
/** Readers get on in between. */
const PAUSE_MS = 200;

/**
 * In the transaction that is open on `session`: runs `body`, which writes to `tables`, until it meets no lock. Each time
 * it waits for one briefly, goes back to the savepoint, so that nobody is held up by the locks that it had, and begins
 * anew; the locks and the temporary tables of before stay. Throws `lock-timeout` (exit 7) with who is in the way.
 */
export async function whenFree<T>(
  session: Session,
  tables: readonly TableName[],
  { kept, onWait }: FreeOptions,
  body: () => Promise<T>,
): Promise<T> {
  const ms = await briefMs(session);
  const begun = performance.now();
  const [row] = await session.query<{ before: string }>(`select current_setting('lock_timeout') as before`);
  for (;;) {
    await session.simple(`savepoint repctl_free; set local lock_timeout = '${String(ms)}ms'`);
    try {
      const value = await body();
      await session.query(`select set_config('lock_timeout', $1, true)`, [row?.before ?? '0']);
      await session.simple('release savepoint repctl_free');
      return value;
    } catch (error) {
      if (sqlStateOf(error) !== '55P03') throw error;
      await session.simple('rollback to savepoint repctl_free');
      await kept?.rewind();
      const waitedMs = performance.now() - begun;
      const all = await tablesTouched(session, tables);
      if (waitedMs > WAIT_MS) throw await locksHeld(session, all, { waitedMs, readers: true, cause: error });
      onWait?.((await oldestHolders(session, all, true)).map(holderText).join('; '));
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }
}
