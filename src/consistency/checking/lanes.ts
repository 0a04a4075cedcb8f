/** Sessions of a check: a lane has one on every node, and works through its blocks one after the other on each. */
import type { Fleet } from '../../cluster/fleet.js';
import type { Session } from '../../postgres/session.js';
import { type Lane, sessionsOf } from '../compare/run.js';
import { pinForDigests } from '../equal.js';
import type { Participants } from './participants.js';

/** A scan of a big table in one statement may take this long. */
const SCAN_TIMEOUT_MS = 3_600_000;

/**
 * A server must notice by itself that repctl was killed or its machine is gone, for a backend that computes digests for
 * nobody costs a core, and one that keeps a snapshot open keeps vacuum out: it looks at the socket once a second while
 * it works (where the system can tell, or the setting is refused), at keepalives while it idles, at what is not
 * acknowledged while it answers (keepalives are not sent then: without tcp_user_timeout that takes a quarter of an
 * hour), and ends a transaction in which nothing is asked any more. Read-only: whatever condition an operator gives, it changes nothing.
 */
const keepSafeSql = `
  select pg_catalog.set_config('statement_timeout', $1, false),
         pg_catalog.set_config('lock_timeout', $3, false),
         pg_catalog.set_config('tcp_keepalives_idle', '10', false),
         pg_catalog.set_config('tcp_keepalives_interval', '5', false),
         pg_catalog.set_config('tcp_keepalives_count', '3', false),
         pg_catalog.set_config('idle_in_transaction_session_timeout', $2, false),
         pg_catalog.set_config('default_transaction_read_only', 'on', false),
         case when version() like '%linux%'
              then pg_catalog.set_config('client_connection_check_interval', '1s', false)
                   || pg_catalog.set_config('tcp_user_timeout', '25s', false) end`;

/** Longer than a lane waits for the others at the end of a scan; milliseconds. */
const IDLE_IN_TRANSACTION_MS = 600_000;

export const APPLICATION = 'repctl check';

/** A session of a check of its own; the caller closes it. A table that somebody holds locked is waited for as long as for any statement. */
export async function openReader(fleet: Fleet, node: string): Promise<Session> {
  const session = await fleet.fresh(node, APPLICATION);
  try {
    await pinForDigests(session);
    await session.query(keepSafeSql, [
      String(SCAN_TIMEOUT_MS),
      String(IDLE_IN_TRANSACTION_MS),
      String(fleet.config.statementTimeoutMs),
    ]);
    return session;
  } catch (error) {
    await session.close();
    throw error;
  }
}

/** Throws what connecting throws; nothing stays open then. */
export async function openLane(fleet: Fleet, leader: string, replicas: readonly string[]): Promise<Lane> {
  const { lane, refused } = await openAnswering(fleet, leader, replicas);
  if (refused.size === 0) return lane;
  await closeAll([lane]);
  throw [...refused.values()][0];
}

/** As many more as can be had: without them it takes longer, and a replica that went away is told of by the first one. */
export async function openMore(
  fleet: Fleet,
  leader: string,
  replicas: readonly string[],
  howMany: number,
): Promise<Lane[]> {
  const more = Array.from({ length: Math.max(0, howMany) }, () => openLane(fleet, leader, replicas));
  return (await Promise.allSettled(more)).flatMap((lane) =>
    lane.status === 'fulfilled' ? [lane.value] : [],
  );
}

/**
 * `howMany` lanes at once, or fewer. The first has those of the replicas that take another connection; `refused` says
 * why the others do not: a server may answer `status` and be full. Throws what connecting to the leader throws; nothing
 * stays open then.
 */
export async function openLanes(
  fleet: Fleet,
  { leader, replicas }: Pick<Participants, 'leader' | 'replicas'>,
  howMany: number,
): Promise<Answering & { readonly more: readonly Lane[] }> {
  const names = replicas.map(({ name }) => name);
  const opening = openMore(fleet, leader.name, names, howMany - 1);
  try {
    const first = await openAnswering(fleet, leader.name, names);
    const more = await opening;
    if (first.refused.size === 0 || howMany === 1) return { ...first, more };
    // Where connections are scarce they may have taken each other's: one lane alone has the best chance.
    await closeAll([first.lane, ...more]);
    return { ...(await openAnswering(fleet, leader.name, names)), more: [] };
  } catch (error) {
    await closeAll(await opening);
    throw error;
  }
}

interface Answering {
  readonly lane: Lane;
  readonly refused: ReadonlyMap<string, unknown>;
}

async function openAnswering(fleet: Fleet, leader: string, replicas: readonly string[]): Promise<Answering> {
  const [first, ...others] = await Promise.allSettled(
    [leader, ...replicas].map((node) => openReader(fleet, node)),
  );
  const nodes = new Map<string, Session>();
  const refused = new Map<string, unknown>();
  for (const [index, outcome] of others.entries()) {
    const node = replicas[index] ?? '';
    if (outcome.status === 'fulfilled') nodes.set(node, outcome.value);
    else refused.set(node, outcome.reason);
  }
  if (first?.status === 'fulfilled') return { lane: { leader: first.value, nodes }, refused };
  await Promise.all([...nodes.values()].map((session) => session.close()));
  throw first?.reason;
}

const closeAll = (lanes: readonly Lane[]): Promise<unknown> =>
  Promise.all(sessionsOf(lanes).map((session) => session.close()));
