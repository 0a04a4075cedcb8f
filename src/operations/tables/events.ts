/** Rows of repctl.event that mark the progress of a change, and the wait for them to arrive. */
import { EXIT, RepctlError } from '../../errors.js';
import type { Session } from '../../postgres/session.js';
import { type RunnerContext, waitFor } from '../runners/context.js';

export async function insertEvent(
  context: RunnerContext,
  leader: Session,
  kind: string,
  epoch: number,
  details: Readonly<Record<string, unknown>>,
): Promise<string> {
  const [row] = await leader.query<{ id: string }>(
    `insert into repctl.event (epoch, kind, operator, reason, details) values ($1, $2, $3, $4, $5) returning id`,
    [epoch, kind, context.operator, context.reason, JSON.stringify(details)],
  );
  return row?.id ?? '';
}

/** Waits until the event is visible on every node: the stream has carried all that came before it. */
export async function awaitEvent(
  context: RunnerContext,
  id: string,
  nodes: readonly string[],
): Promise<void> {
  const timeoutMs = context.fleet.config.statementTimeoutMs;
  await Promise.all(
    nodes.map(async (name) => {
      const session = await context.fleet.session(name);
      const seen = await waitFor(
        async () =>
          (await session.query('select from repctl.event where id = $1', [id])).length > 0 ? true : undefined,
        { timeoutMs, pauseMs: 3 },
      );
      if (seen === true) return;
      throw new RepctlError(
        'not-streaming',
        `A row written to the leader has not become visible on ${name} within ${(timeoutMs / 1000).toFixed(0)} s.`,
        { exit: EXIT.incomplete, hint: `repctl subscription show ${name}`, details: { node: name } },
      );
    }),
  );
}
