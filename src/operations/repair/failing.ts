/** A replica that was waited for in vain: whether its apply worker fails, and what passes over the reason. */
import { ownSubscription } from '../../cluster/epochs.js';
import type { Fleet } from '../../cluster/fleet.js';
import type { Finding } from '../../cluster/model.js';
import type { Stall } from '../../consistency/repair/stall.js';
import { look, waitFor } from '../runners/context.js';
import type { Failing } from './model.js';

/** A worker that failed starts again after wal_retrieve_retry_interval, 5 s. */
const RETRY_MS = 8_000;

/** Whether the server counts one more failure of it before anything else is applied. */
export async function isFailing(fleet: Fleet, node: string): Promise<boolean> {
  const ask = async () => ownSubscription(await look({ fleet, operator: '', reason: null }, node));
  const before = await ask();
  if (before === undefined) return false;
  const fails = await waitFor(
    async () => {
      const now = await ask();
      if (now?.appliedLsn !== before.appliedLsn) return false;
      return now.applyErrors > before.applyErrors ? true : undefined;
    },
    { timeoutMs: RETRY_MS, pauseMs: 100 },
  );
  return fails ?? false;
}

/** What is said of it, where no row is in the way that could be removed. */
export const failingText = (node: string): string =>
  `the apply worker of ${node} keeps failing, and no row that repair could remove is the reason: the log of ${node} says what is`;

/** Rows that are on their way to it would never come, so that nothing of it can be proven. */
export const failingFinding = ({ node, stall }: Failing): Finding => ({
  // As `status` has it.
  code: 'apply-error',
  severity: 'error',
  node,
  message: `${failingText(node)}; until then nothing of it can be proven.`,
  fix: stall === undefined ? 'repctl status' : `${skipText(node, stall)}.`,
});

/** The other way, and what it costs. */
export const skipText = (node: string, { transaction, changes, tables }: Omit<Stall, 'obstacles'>): string =>
  `repctl subscription skip ${node} --lsn ${transaction.lsn} passes over that whole transaction (${String(changes)} ${changes === 1 ? 'change' : 'changes'} of ${tables.join(', ')}); what it changed is lost on ${node} until it is repaired`;
