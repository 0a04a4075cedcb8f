/** Commits that wait for a standby that does not exist. */
import type { Session } from '../../src/postgres/session.js';
import type { Servers } from './servers.js';
import { until } from './wait.js';

const STANDBYS = 'ANY 1 (nobody)';

/**
 * From now on commits on this node hang. Seen hanging: a session may have heard of the setting while the checkpointer,
 * whose flag committing sessions ask (SyncRepUpdateSyncStandbysDefined), has not.
 */
export async function commitsHang(servers: Servers, node: string): Promise<void> {
  const admin = await servers.superuser(node);
  const other = await servers.superuser(node);
  const [own] = await other.query<{ pid: number }>('select pg_backend_pid() as pid');
  await admin.simple(`alter system set synchronous_standby_names = '${STANDBYS}'`);
  await admin.simple('select pg_reload_conf()');
  for (;;) {
    const commit = { done: false };
    const probe = other.simple(`select pg_logical_emit_message(true, 'probe', '')`).finally(() => {
      commit.done = true;
    });
    const hangs = await until(
      async () => commit.done || (await waitingCommits(admin)).includes(own?.pid ?? 0),
      Boolean,
    ).then(() => !commit.done);
    if (hangs) await admin.query('select pg_cancel_backend($1)', [own?.pid]);
    await probe;
    if (hangs) return;
  }
}

/** Those that hang go on, as soon as the server has heard it. */
export async function commitsGoOn(servers: Servers, node: string): Promise<void> {
  const admin = await servers.superuser(node);
  await admin.simple('alter system reset synchronous_standby_names');
  await admin.simple('select pg_reload_conf()');
}

/** Processes whose commit hangs. */
export async function waitingCommits(admin: Session): Promise<number[]> {
  const rows = await admin.query<{ pid: number }>(
    `select pid from pg_stat_activity where wait_event = 'SyncRep'`,
  );
  return rows.map(({ pid }) => pid);
}
