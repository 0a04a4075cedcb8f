/** What a `check` or `repair` may not leave on a server. */
import type { Servers } from './servers.js';
import { until } from './wait.js';

/** Waits until no session of repctl is there, hence no lock and no snapshot, and no temporary table. */
export async function nothingLeft(
  servers: Servers,
  names: readonly string[],
  timeoutMs?: number,
): Promise<void> {
  for (const name of names) {
    const session = await servers.superuser(name);
    await until(
      () =>
        session.query(
          `select application_name as what, state, query from pg_stat_activity where application_name ~ '^repctl (check|repair)'
           union all select relname::text, 'temporary', null from pg_class where relpersistence = 't'`,
        ),
      (rows) => rows.length === 0,
      timeoutMs,
    );
    await session.close();
  }
}
