/** What `cluster create` and `node add` try before they change anything: room, privileges, and the way between nodes. */
import { examine } from '../cluster/doctor/examine.js';
import type { Fleet } from '../cluster/fleet.js';
import type { Finding } from '../cluster/model.js';
import { type Planned, refused } from '../plan/plan.js';
import type { Action } from './actions.js';

/** Findings of doctor with which the operation would stop half way; unfit() asks about the tables. */
const BLOCKING: ReadonlySet<string> = new Set([
  ...['slots-short', 'senders-short', 'workers-short'],
  ...['privilege-missing', 'capability-missing', 'password-missing', 'node-cannot-reach', 'pooled-host'],
]);

/** What is in the way of the operation; `node`: of what concerns this node alone. */
export async function preflight(fleet: Fleet, node?: string): Promise<readonly Finding[]> {
  const { findings } = await examine(fleet);
  return findings
    .filter((finding) => BLOCKING.has(finding.code) && (node === undefined || finding.node === node))
    .map((finding) => ({ ...finding, message: `${finding.node ?? ''}: ${finding.message}` }));
}

/** The plan, unless there is something to do and something in its way. */
export const unlessBlocked = (planned: Planned<Action>, findings: readonly Finding[]): Planned<Action> =>
  planned.kind === 'plan' && planned.plan.steps.length > 0 && findings.length > 0
    ? refused(planned.plan.operation, findings)
    : planned;
