/**
 * A commit that waits for a synchronous standby waits for ever: statement_timeout is taken down before the commit
 * begins (finish_xact_command, postgres.c). Whoever writes is told within about that time all the same.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Fleet } from '../cluster/fleet.js';
import { EXIT, RepctlError } from '../errors.js';
import type { Session } from '../postgres/session.js';

/**
 * Does `body` in `session`. Throws `write-unknown` (exit 7) when the session's commit has been seen to wait for
 * replicas for half of statementTimeoutMs (a look each quarter of it), and closes the session: the row is committed on this node, and confirmed by nobody. Through a
 * pooler that hides the server's process the wait is not seen.
 */
export async function withinPatience<T>(
  fleet: Fleet,
  session: Session,
  hint: string,
  body: () => Promise<T>,
): Promise<T> {
  const over = new AbortController();
  const watch = watchCommit(fleet, session, hint, over.signal);
  const work = body();
  try {
    return await Promise.race([work, watch]);
  } finally {
    over.abort();
    // Whoever lost the race has nothing more to say.
    watch.catch(() => undefined);
    work.catch(() => undefined);
  }
}

async function watchCommit(fleet: Fleet, session: Session, hint: string, over: AbortSignal): Promise<never> {
  const patienceMs = fleet.config.statementTimeoutMs;
  let waiting: { transaction: string; since: number } | undefined;
  for (;;) {
    await delay(patienceMs / 4, undefined, { signal: over });
    const seen = await look(fleet, session).catch(() => undefined);
    if (seen === undefined) waiting = undefined;
    else if (waiting?.transaction !== seen.transaction)
      waiting = { transaction: seen.transaction, since: performance.now() };
    else if (performance.now() - waiting.since >= patienceMs / 2) {
      void session.close();
      throw new RepctlError(
        'write-unknown',
        `${session.node} has committed the write and waits in vain for replicas to confirm it (${seen.setting}): should ${session.node} be lost now, the write may be lost with it.`,
        {
          exit: EXIT.incomplete,
          hint: `repctl status says who is missing. ${hint}`,
          details: { node: session.node },
        },
      );
    }
  }
}

interface Waiting {
  /** When its transaction began, which tells it from the next one. */
  readonly transaction: string;
  readonly setting: string;
}

async function look(fleet: Fleet, session: Session): Promise<Waiting | undefined> {
  const { processID } = session.client as unknown as { processID: number | null };
  const other = await fleet.fresh(session.node);
  try {
    const [row] = await other.query<Waiting>(
      `select xact_start::text as transaction, current_setting('synchronous_standby_names') as setting
         from pg_stat_activity where pid = $1 and wait_event = 'SyncRep' and xact_start is not null`,
      [processID],
    );
    return row;
  } finally {
    await other.close();
  }
}
