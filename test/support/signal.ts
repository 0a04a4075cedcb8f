/** Signals to single processes of a server. */
import type { Session } from '../../src/postgres/session.js';
import { until } from './wait.js';

/** Sends a signal to server processes; those that ended meanwhile are passed over. */
export function signalAll(pids: readonly number[], which: NodeJS.Signals): void {
  for (const pid of pids)
    try {
      process.kill(pid, which);
    } catch {
      // It ended meanwhile.
    }
}

/** What processes of a server wait for while they have no work, and hold nothing that others need. */
const AT_REST = ['LogicalApplyMain', 'LogicalLauncherMain', 'WalWriterMain', 'CheckpointerMain'];

/**
 * Stops (SIGSTOP) the process of a server that `which`, a condition on `pg_stat_activity`, names: while it has no
 * work, since anywhere else it may hold a lock that stops everybody. Returns its pid.
 */
export async function stopAtRest(session: Session, which: string): Promise<number> {
  const atRest = async (): Promise<number | undefined> => {
    const sql = `select pid from pg_stat_activity where ${which} and wait_event = any($1)`;
    return (await session.query<{ pid: number }>(sql, [AT_REST]))[0]?.pid;
  };
  const stopped = await until(
    async () => {
      const pid = await atRest();
      if (pid === undefined) return undefined;
      signalAll([pid], 'SIGSTOP');
      if ((await atRest()) === pid) return pid;
      signalAll([pid], 'SIGCONT');
      return undefined;
    },
    (pid) => pid !== undefined,
  );
  return stopped ?? 0;
}
