/** `check`: every published table on the leader against every replica, schema and sequences too. Changes nothing. */
import type { Fleet } from '../cluster/fleet.js';
import { leaderOf } from '../cluster/epochs.js';
import type { Snapshot } from '../cluster/model.js';
import { EXIT, RepctlError } from '../errors.js';
import { isConnectionLoss } from '../postgres/sqlstate.js';
import { attempt } from './checking/attempt.js';
import { EpochChanged, settled } from './checking/epoch.js';
import { participantsOf } from './checking/participants.js';
import type { CheckRequest } from './checking/request.js';
import { readCondition } from './condition.js';
import type { CheckResult } from './result.js';
import { assertCurrent } from './resume/frame.js';

export type { CheckProgress, CheckRequest } from './checking/request.js';

/**
 * Compares. Throws `not-created`, `unknown-node`, `unknown-table`, `table-not-published`, `bad-condition`,
 * `no-time-column` (exit 2), `resume-stale` (exit 6), `node-unreachable` (exit 3) for the leader and for replicas that were named, `exact-lock`,
 * `leader-unsettled` (exit 4). When the leader changes meanwhile, or comes back, it begins anew.
 */
export async function check(fleet: Fleet, snapshot: Snapshot, request: CheckRequest): Promise<CheckResult> {
  // A name with a typing error must not make an empty, hence equal, comparison.
  for (const node of request.nodes) fleet.node(node);
  if (request.where !== undefined) {
    readCondition(request.where);
    if (request.tables.length === 0)
      throw new RepctlError('usage', '--where is a condition on the key of a table: name the table too.');
  }
  if (request.checkpoints?.last) assertCurrent(request.checkpoints.last, snapshot);
  let seen = snapshot;
  for (let restarts = 0; ; restarts += 1) {
    // Whoever does not answer at the beginning is not waited for.
    const { leader } = participantsOf(seen, request.nodes);
    try {
      const result = await attempt(fleet, seen, request, request.report);
      return { ...result, restarts, report: (await request.report?.finish()) ?? null };
    } catch (error) {
      request.signal?.throwIfAborted();
      // The leader is lost, or another one reigns: a switchover or a failover is under way, or its server restarts.
      if (!(error instanceof EpochChanged) && !isLost(error, leader.name)) throw error;
      seen = await settled(fleet, request.waitMs, request.signal);
      const gone = !(leaderOf(seen)?.reachable ?? false);
      if (gone && !(error instanceof EpochChanged)) throw goingOnLater(error, request);
      if (restarts >= MOST_RESTARTS) throw restless(restarts);
      // Anew even where the same leader came back: what its recovery did to rows that were compared before (fsync off, a
      // backup put in its place) is just what is asked, and only who types --resume has said that they may be passed over.
      await request.checkpoints?.drop();
      await request.report?.restart();
    }
  }
}

/** With what to type once the leader is back. */
function goingOnLater(error: unknown, { checkpoints }: CheckRequest): unknown {
  if (!(error instanceof RepctlError) || checkpoints?.last === undefined) return error;
  const { message, hint, details, exit, code } = error;
  const next = `${checkpoints.command}   goes on once it is back; how far it is: ${checkpoints.file}`;
  return new RepctlError(code, message, {
    ...{ details, exit, cause: error },
    hint: hint === undefined ? next : `${hint}\n${next}`,
  });
}

const isLost = (error: unknown, node: string): boolean =>
  isConnectionLoss(error) && error instanceof RepctlError && error.details['node'] === node;

/** A cluster that changes its leader more often than a check takes has other worries. */
const MOST_RESTARTS = 10;

const restless = (restarts: number): RepctlError =>
  new RepctlError(
    'leader-unsettled',
    `The leader changed, or was lost, ${String(restarts + 1)} times while it was compared with.`,
    { exit: EXIT.unhealthy, hint: 'repctl status' },
  );
