/** Which server a session has reached, in a few words. */
import type { Session } from './session.js';

/** `n1: PostgreSQL 18.4, database shop`. Throws as the session does. */
export async function describeServer(session: Session): Promise<string> {
  const [row] = await session.query<{ version: string; database: string }>(
    `select current_setting('server_version') as version, current_database() as database`,
  );
  return `${session.node}: PostgreSQL ${row?.version ?? '?'}, database ${row?.database ?? '?'}`;
}
