/** The swap of subscriptions: from the former leader to the present one, in one transaction. */
import { EXIT, RepctlError } from '../../errors.js';
import type { Attach } from '../actions.js';
import { type Blocker, blockerText, endBlocker, tableBlockers } from './blockers.js';
import type { RunnerContext } from './context.js';
import { subscribeTimeout } from './create-subscription.js';

/**
 * CREATE SUBSCRIPTION opens each published table, so somebody's ACCESS EXCLUSIVE lock holds it up: for drainTimeout,
 * not for as long as a statement may take. Throws `replica-locked` or `subscribe-timeout` (exit 7).
 */
export async function swap(
  context: RunnerContext,
  action: Attach,
  statements: readonly string[],
): Promise<void> {
  const { drainTimeoutMs } = context.fleet.config;
  const session = await context.fleet.session(action.node);
  try {
    await session.transaction(async () => {
      await session.simple(
        [`set local lock_timeout = '${String(Math.ceil(drainTimeoutMs))}ms'`, ...statements].join('; '),
      );
    });
  } catch (error) {
    const code = error instanceof RepctlError ? error.code : undefined;
    if (code !== 'statement-timeout' && code !== 'lock-timeout') throw error;
    const [first] = await tableBlockers(session).catch(() => []);
    throw first === undefined ? subscribeTimeout(action, error) : locked(action, first, error);
  }
}

const locked = ({ node, leader }: Attach, blocker: Blocker, cause: unknown): RepctlError =>
  new RepctlError(
    'replica-locked',
    `${node} cannot be attached to ${leader}: ${blockerText(blocker)} holds a lock on a published table.`,
    {
      exit: EXIT.incomplete,
      hint: `${endBlocker(node, blocker)}, or let it end.`,
      details: { node, leader, blockers: [blocker] },
      cause,
    },
  );
