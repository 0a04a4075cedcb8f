/**
 * Commits that wait for synchronous standbys which are not there. Such a transaction still counts as running
 * (RecordTransactionCommit waits before ProcArrayEndTransaction, xact.c), and making a logical slot waits for whatever
 * runs (SnapBuildWaitSnapshot, snapbuild.c). So a leader in sync mode that lost its replicas could never give a slot
 * to a new one: the commits wait for a replica, the replica for the commits.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Fleet } from '../cluster/fleet.js';
import { slotName } from '../cluster/names.js';
import { quorumOf } from '../cluster/sync.js';
import type { Session } from '../postgres/session.js';
import { endSessions } from './lock-holders.js';

/** How long a replica that is only connecting again may take, milliseconds. */
const GRACE_MS = 1000;
const PAUSE_MS = 200;

/**
 * Does `work`, which waits for transactions on the node, and meanwhile ends sessions there whose commit waits for
 * more replicas than follow. Their rows are committed and were not acknowledged; the client learns that its connection
 * is gone. (pg_cancel_backend would answer COMMIT, which no replica has confirmed.) Sessions of other roles are ended
 * only where this role may; `work` then fails as it would have.
 */
export async function withoutUnconfirmed<T>(fleet: Fleet, node: string, work: () => Promise<T>): Promise<T> {
  const over = new AbortController();
  const ending = endAgain(fleet, node, over.signal).catch(() => undefined);
  try {
    return await work();
  } finally {
    over.abort();
    await ending;
  }
}

async function endAgain(fleet: Fleet, node: string, over: AbortSignal): Promise<void> {
  await pause(GRACE_MS, undefined, { signal: over });
  const session = await fleet.fresh(node);
  try {
    for (;;) {
      await endUnconfirmed(session);
      await pause(PAUSE_MS, undefined, { signal: over });
    }
  } finally {
    await session.close();
  }
}

/**
 * Ends them if fewer of the named replicas read their slots than must confirm. A slot that is being made is active
 * too, and has confirmed nothing yet.
 */
async function endUnconfirmed(session: Session): Promise<void> {
  const [row] = await session.query<{ setting: string; slots: string[]; pids: number[] }>(
    `select current_setting('synchronous_standby_names') as setting,
            array(select slot_name::text from pg_replication_slots where active and confirmed_flush_lsn is not null) as slots,
            array(select pid from pg_stat_activity where wait_event = 'SyncRep') as pids`,
  );
  const quorum = quorumOf(row?.setting ?? '');
  if (row === undefined || quorum === undefined) return;
  if (quorum.names.filter((name) => row.slots.includes(slotName(name))).length >= quorum.k) return;
  await endSessions(session, row.pids);
}
