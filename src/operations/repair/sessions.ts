/** Sessions of a repair. */
import type { Fleet } from '../../cluster/fleet.js';
import { pinForDigests } from '../../consistency/equal.js';
import type { Session } from '../../postgres/session.js';

/**
 * A server lets go of what a client holds that is gone: at once where its connection was closed, and where the link
 * was cut, once it notices. Without these, tcp keepalive notices after two hours,
 * and an answer that nobody acknowledges keeps it for a quarter of an hour, while the apply worker waits for the lock.
 */
const SESSION_SQL = `
  set statement_timeout = '10min'; set idle_in_transaction_session_timeout = '5min';
  set tcp_keepalives_idle = 5; set tcp_keepalives_interval = 5; set tcp_keepalives_count = 3;
  set random_page_cost = 1.1;
  select case when version() like '%linux%'
              then pg_catalog.set_config('client_connection_check_interval', '1s', false)
                   || pg_catalog.set_config('tcp_user_timeout', '20s', false) end`;

export interface RepairSessions {
  readonly leader: Session;
  /** A second one on the leader: in a snapshot, or decoding. */
  readonly source: Session;
  readonly node: Session;
}

/** Three sessions of their own, for one replica; closed whatever happens. */
export async function withRepairSessions<T>(
  fleet: Fleet,
  leader: string,
  node: string,
  body: (sessions: RepairSessions) => Promise<T>,
): Promise<T> {
  const opened: Session[] = [];
  const open = async (name: string) => {
    const session = await fleet.fresh(name, 'repctl repair');
    opened.push(session);
    await session.simple(SESSION_SQL);
    await pinForDigests(session);
    return session;
  };
  try {
    return await body({ leader: await open(leader), source: await open(leader), node: await open(node) });
  } finally {
    await Promise.all(opened.map((session) => session.close()));
  }
}
