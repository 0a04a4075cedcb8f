/** Why a failover is refused before anybody is chosen. Pure. */
import { hasMajority } from '../cluster/epochs.js';
import type { Epoch, Finding, ReachableNode } from '../cluster/model.js';
import { type Facts, subscriptionOf } from './facts.js';
import { reservationsHidden } from './next-epoch.js';
import type { FailoverRequest } from './failover-request.js';

/** What a living server says to somebody whom it does not let in. */
const ANSWERS = new Set([
  'auth-failed',
  'database-missing',
  'too-many-connections',
  'node-starting',
  'privilege-missing',
]);

export function obstacles(facts: Facts, epoch: Epoch, request: FailoverRequest): Finding[] {
  const findings: Finding[] = [...reservationsHidden(facts)];
  if (request.target === epoch.leader) {
    findings.push({
      code: 'target-is-leader',
      severity: 'error',
      node: epoch.leader,
      message: `${epoch.leader} is the leader that is gone; it cannot take over from itself.`,
      fix: 'Name another node, or none for the most advanced one.',
    });
  }
  const found = facts.snapshot.nodes.find((node) => node.name === epoch.leader);
  const gone = found?.reachable === false ? found : undefined;
  if (gone !== undefined && ANSWERS.has(gone.code) && !request.leaderIsDead) {
    findings.push({
      code: 'leader-answers',
      severity: 'error',
      node: epoch.leader,
      message: `${epoch.leader} lets nobody in, but its server answers, so it may be taking writes: ${gone.message}`,
      fix: 'Mend the login; or, if you know that it serves nobody: repctl failover --leader-is-dead',
    });
  }
  if (!hasMajority(facts.snapshot) && !request.acceptMinority) {
    findings.push({
      code: 'no-majority',
      severity: 'error',
      message: `Only ${String(facts.reachable.length)} of ${String(facts.config.nodes.length)} nodes answer: the others may have gone on without these.`,
      fix: 'If you know that the others are gone: repctl failover --accept-minority',
    });
  }
  const witnesses = request.leaderIsDead
    ? []
    : facts.reachable.filter((node) => hearsLeader(node, epoch, gone?.silentTo ?? []));
  if (witnesses.length > 0) {
    findings.push({
      code: 'leader-heard',
      severity: 'error',
      node: epoch.leader,
      message: `${epoch.leader} does not answer here, but ${witnesses.map((node) => node.name).join(', ')} still hear${witnesses.length === 1 ? 's' : ''} it: it may be alive and taking writes.`,
      fix: 'If you know that it is dead or cut off from all clients: repctl failover --leader-is-dead',
    });
  }
  return findings;
}

/** A message so young that the leader was there just now, milliseconds. */
const FRESH_MS = 500;
/**
 * How long an idle leader may be silent towards a living worker, milliseconds, beyond half of wal_receiver_timeout:
 * then the worker asks, at the next turn of a loop of one second (LogicalRepApplyLoop).
 */
const ASKING_MS = 2000;

/**
 * A live apply worker that had a message just now; or one that the leader may merely have had nothing to tell, unless
 * it was tried and there was no way to log in to the leader from that node either. All times are of one server's
 * clock, however wrong that is.
 */
function hearsLeader(node: ReachableNode, epoch: Epoch, silentTo: readonly string[]): boolean {
  const subscription = subscriptionOf(node, epoch.epoch);
  // One that is being stopped hears nobody; one that has not been let in yet neither, whatever time it gives: it
  // notes that of its own start.
  if (subscription?.enabled !== true || subscription.workerPid === null) return false;
  if (subscription.receivedLsn === null || subscription.lastMessageAt === null) return false;
  const age = Date.parse(node.serverTime) - Date.parse(subscription.lastMessageAt);
  if (age >= 0 && age < FRESH_MS) return true;
  const timeout = Number(node.settings['wal_receiver_timeout'] ?? '60000') || 60_000;
  return age < timeout / 2 + ASKING_MS && !silentTo.includes(node.name);
}
