/** CREATE SUBSCRIPTION, the only statement of repctl's that connects from one node to another. */
import { EXIT, RepctlError } from '../../errors.js';
import type { Session } from '../../postgres/session.js';
import { type SubscriptionRequest, createSubscriptionSql } from '../../replication/subscriptions.js';

/**
 * Creates the subscription of `request`. A way to the leader that swallows everything is waited for without a limit:
 * libpqrcv_connect() does not look at connect_timeout. So the session's statement_timeout must not be 0.
 * Throws `subscribe-timeout` (exit 7).
 */
export async function createSubscription(
  session: Session,
  request: SubscriptionRequest,
  leader: string,
): Promise<void> {
  try {
    await session.simple(createSubscriptionSql(request));
  } catch (error) {
    throw error instanceof RepctlError && error.code === 'statement-timeout'
      ? subscribeTimeout({ node: request.node, leader }, error)
      : error;
  }
}

export const subscribeTimeout = (
  { node, leader }: { readonly node: string; readonly leader: string },
  cause: unknown,
): RepctlError =>
  new RepctlError(
    'subscribe-timeout',
    `${node} got no answer from ${leader} in time, or a lock held it up that is gone by now.`,
    {
      exit: EXIT.incomplete,
      hint: 'repctl doctor tries the way from each node to each other one, and names long transactions.',
      details: { node, leader },
      cause,
    },
  );
