/** `check`: every published table on the leader against every replica, schema and sequences too. Changes nothing. */
import type { Fleet } from '../cluster/fleet.js';
import type { Snapshot } from '../cluster/model.js';
import { RepctlError } from '../errors.js';
import { attempt } from './checking/attempt.js';
import type { CheckRequest } from './checking/request.js';
import { readCondition } from './condition.js';
import type { CheckResult } from './result.js';

export type { CheckProgress, CheckRequest } from './checking/request.js';

/**
 * Compares. Throws `not-created`, `unknown-node`, `unknown-table`, `table-not-published`, `bad-condition`,
 * `no-time-column` (exit 2), `node-unreachable` (exit 3) for the leader and for replicas that were named.
 */
export async function check(fleet: Fleet, snapshot: Snapshot, request: CheckRequest): Promise<CheckResult> {
  // A name with a typing error must not make an empty, hence equal, comparison.
  for (const node of request.nodes) fleet.node(node);
  if (request.where !== undefined) {
    readCondition(request.where);
    if (request.tables.length === 0)
      throw new RepctlError('usage', '--where is a condition on the key of a table: name the table too.');
  }
  return attempt(fleet, snapshot, request);
}
