/** Why a failover is refused before anybody is chosen. Pure. */
import { hasMajority } from '../cluster/epochs.js';
import type { Epoch, Finding, ReachableNode } from '../cluster/model.js';
import { type Facts, subscriptionOf } from './facts.js';
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
  const findings: Finding[] = [];
  if (request.target === epoch.leader) {
    findings.push({
      code: 'target-is-leader',
      severity: 'error',
      node: epoch.leader,
      message: `${epoch.leader} is the leader that is gone; it cannot take over from itself.`,
      fix: 'Name another node, or none for the most advanced one.',
    });
  }
  const gone = facts.snapshot.nodes.find((node) => node.name === epoch.leader && !node.reachable);
  if (gone?.reachable === false && ANSWERS.has(gone.code) && !request.leaderIsDead) {
    findings.push({
      code: 'leader-answers',
      severity: 'error',
      node: epoch.leader,
      message: `${epoch.leader} lets nobody in, but its server answers, so it may be taking writes: ${gone.message}`,
      fix: 'Mend the login; or, if you know that it serves nobody: repctl failover --leader-is-dead',
    });
  }
  const witnesses = request.leaderIsDead ? [] : facts.reachable.filter((node) => hearsLeader(node, epoch));
  if (witnesses.length > 0) {
    findings.push({
      code: 'leader-heard',
      severity: 'error',
      node: epoch.leader,
      message: `${epoch.leader} does not answer here, but ${witnesses.map((node) => node.name).join(', ')} still hear${witnesses.length === 1 ? 's' : ''} it: it may be alive and taking writes.`,
      fix: 'If you know that it is dead or cut off from all clients: repctl failover --leader-is-dead',
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
  return findings;
}

/** A live apply worker with a message younger than half the receiver's timeout: the leader was there just now. */
function hearsLeader(node: ReachableNode, epoch: Epoch): boolean {
  const subscription = subscriptionOf(node, epoch.epoch);
  // A worker that has not been let in yet has heard nothing, whatever time it gives: it notes that of its own start.
  if (subscription?.workerPid == null || subscription.receivedLsn === null) return false;
  if (subscription.lastMessageAt === null) return false;
  // wal_receiver_timeout, in ms; an idle sender pings after half of wal_sender_timeout, which has the same default.
  const timeout = Number(node.settings['wal_receiver_timeout'] ?? '60000') || 60_000;
  return Date.parse(node.serverTime) - Date.parse(subscription.lastMessageAt) < timeout / 2;
}
