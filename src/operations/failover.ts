/** `failover`: the leader is gone; the most advanced replica takes over and the others follow it. */
import { epochOf, hasMajority } from '../cluster/epochs.js';
import type { ClusterConfig } from '../config/schema.js';
import type { Epoch, Finding, ReachableNode, Snapshot } from '../cluster/model.js';
import type { SeenLeader } from '../cluster/last-seen.js';
import { type Planned, planned, refused } from '../plan/plan.js';
import { type Lsn, ZERO_LSN, compareLsn, lsnDistance, maxLsn } from '../postgres/lsn.js';
import { ident } from '../postgres/quote.js';
import type { Action, OperationStep } from './actions.js';
import { type Facts, factsOf, isAttached, nodeOf, subscriptionOf, unknownNode } from './facts.js';
import { finishSteps } from './finish.js';
import { whyNotMappable } from './mappable.js';
import { stepFor } from './steps.js';

export interface FailoverRequest {
  /** The new leader; default: the most advanced replica. */
  readonly target?: string | undefined;
  /** The operator says that the leader is dead although replicas still hear it. */
  readonly leaderIsDead: boolean;
  /** Go on although fewer than half of the nodes answer. */
  readonly acceptMinority: boolean;
  /** The last position of the leader that anybody noted down, if any. */
  readonly lastSeen?: SeenLeader | undefined;
}

const OPERATION = 'failover';

export function planFailover(
  snapshot: Snapshot,
  config: ClusterConfig,
  request: FailoverRequest,
): Planned<Action> {
  const facts = factsOf(snapshot, config);
  const { epoch } = facts;
  if (request.target !== undefined && !config.nodes.some((node) => node.name === request.target))
    return refused(OPERATION, [unknownNode(facts, request.target)]);
  if (epoch === undefined) return refused(OPERATION, [notCreated(facts)]);
  if (facts.leader !== undefined) return goOn(facts, facts.leader, epoch);

  const findings = obstacles(facts, epoch, request);
  if (findings.length > 0) return refused(OPERATION, findings);
  const candidates = rankCandidates(facts, epoch);
  const best = candidates[0];
  if (best === undefined) return refused(OPERATION, [noCandidate(facts, epoch)]);
  const chosen =
    request.target === undefined ? best : candidates.find((node) => node.name === request.target);
  const refusal =
    chosen === undefined ? notACandidate(facts, epoch, request.target ?? '') : behind(epoch, chosen, best);
  if (chosen === undefined || refusal !== undefined)
    return refused(OPERATION, refusal === undefined ? [] : [refusal]);

  const forkPoint = position(chosen, epoch) ?? ZERO_LSN;
  const siblings = facts.reachable.filter((node) => node.name !== chosen.name);
  const next = epoch.epoch + 1;
  const tail = tailSteps(facts, { leader: chosen, from: epoch, epoch: next, siblings, forkPoint });
  const risk = riskOf(facts, epoch, forkPoint, request.lastSeen);
  return planned({
    operation: OPERATION,
    data: { risk },
    title: `Fail over from ${epoch.leader} to ${chosen.name} (epoch ${String(next)})`,
    notes: [
      `${chosen.name} has applied ${forkPoint}: ${
        candidates.length > 1
          ? `the most advanced of ${candidates.map((node) => node.name).join(', ')}`
          : 'the only candidate'
      }`,
      riskNote(risk),
      ...tail.notes,
      ...absentNotes(facts, epoch.leader),
    ],
    steps: [
      ...facts.reachable.flatMap((node) => {
        const subscription = subscriptionOf(node, epoch.epoch);
        return subscription?.enabled
          ? [stepFor({ kind: 'quiesce', node: node.name, subscription: subscription.name }, 'quiesce')]
          : [];
      }),
      stepFor({
        kind: 'promote',
        node: chosen.name,
        epoch: next,
        previousLeader: epoch.leader,
        subscription: subscriptionOf(chosen, epoch.epoch)?.name ?? '',
        operation: OPERATION,
      }),
      ...tail.steps,
    ],
  });
}

/** The newest leader answers: either an interrupted failover is finished, or there is nothing to fail over from. */
function goOn(facts: Facts, leader: ReachableNode, epoch: Epoch): Planned<Action> {
  const from = leader.epochs.find((row) => row.epoch === epoch.epoch - 1);
  const told = leader.events.some((event) => event.kind === OPERATION && event.epoch === epoch.epoch);
  const others = facts.reachable.filter((node) => node.name !== leader.name);
  // Once the event is told only the standby slots of those that were attached can be left over; who comes back
  // later is rewired.
  const siblings = told ? others.filter((node) => isAttached(node, epoch.epoch)) : others;
  const tail =
    epoch.operation !== OPERATION || from === undefined
      ? undefined
      : tailSteps(facts, {
          leader,
          from,
          epoch: epoch.epoch,
          siblings,
          forkPoint: epoch.forkPoint ?? ZERO_LSN,
        });
  if (tail === undefined || (told && tail.steps.length === 0)) {
    return refused(OPERATION, [
      {
        code: 'leader-alive',
        severity: 'error',
        node: leader.name,
        message: `${leader.name} leads epoch ${String(epoch.epoch)} and answers: there is nothing to fail over from.`,
        fix: 'repctl status',
      },
    ]);
  }
  return planned({
    operation: OPERATION,
    title: `Finish the failover from ${from?.leader ?? 'the former leader'} to ${leader.name} (epoch ${String(epoch.epoch)})`,
    notes: [`${leader.name} is the leader already; what follows was left over`, ...tail.notes],
    steps: tail.steps,
  });
}

interface Tail {
  readonly leader: ReachableNode;
  readonly from: Epoch;
  readonly epoch: number;
  readonly siblings: readonly ReachableNode[];
  readonly forkPoint: Lsn;
}

/** What comes after the promotion: siblings attached at once, the stream proved, standby slots, tombstone. */
function tailSteps(facts: Facts, tail: Tail): { steps: OperationStep[]; notes: string[] } {
  const { leader, from, epoch, siblings, forkPoint } = tail;
  const notes: string[] = [];
  const attach: ReachableNode[] = [];
  const attached: ReachableNode[] = [];
  for (const node of siblings) {
    if (isAttached(node, epoch)) {
      attached.push(node);
      continue;
    }
    const why = whyNotMappable({ node, leader, from, forkPoint });
    if (why === undefined) attach.push(node);
    else notes.push(`${node.name} stays detached: ${why}; afterwards: repctl rewire ${node.name}`);
  }
  const replicas = siblings.filter((node) => attach.includes(node) || attached.includes(node));
  const names = attach.map((node) => node.name);
  return {
    notes,
    steps: [
      ...names.map((node) => stepFor({ kind: 'attach', node, leader: leader.name, epoch }, 'attach')),
      ...finishSteps(facts, {
        leader: leader.name,
        epoch,
        replicas,
        operation: OPERATION,
        subject: leader.name,
      }),
    ],
  };
}

/** Replicas that reached the epoch and whose position is known: the furthest first, then priority, then order. */
function rankCandidates(facts: Facts, epoch: Epoch): ReachableNode[] {
  const order = facts.config.nodes.map((node) => node.name);
  const priority = (name: string): number =>
    facts.config.nodes.find((node) => node.name === name)?.priority ?? 0;
  return facts.reachable
    .filter((node) => node.name !== epoch.leader && epochOf(node) === epoch.epoch)
    .filter(
      (node) => subscriptionOf(node, epoch.epoch)?.tables.every((table) => table.state === 'r') ?? false,
    )
    .filter((node) => position(node, epoch) !== null)
    .sort(
      (a, b) =>
        compareLsn(position(b, epoch) ?? ZERO_LSN, position(a, epoch) ?? ZERO_LSN) ||
        priority(b.name) - priority(a.name) ||
        order.indexOf(a.name) - order.indexOf(b.name),
    );
}

const position = (node: ReachableNode, epoch: Epoch): Lsn | null =>
  subscriptionOf(node, epoch.epoch)?.appliedLsn ?? null;

/** What a living server says to somebody whom it does not let in. */
const ANSWERS = new Set([
  'auth-failed',
  'database-missing',
  'too-many-connections',
  'node-starting',
  'privilege-missing',
]);

function obstacles(facts: Facts, epoch: Epoch, request: FailoverRequest): Finding[] {
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

/** What may be lost, as exactly as anybody can know while the leader is gone. */
export interface Risk {
  readonly leader: string;
  /** What the new leader has of the former one's WAL. */
  readonly forkPoint: Lsn;
  /** The furthest position of the former leader that a replica received or a repctl command saw. */
  readonly lastKnownLsn: Lsn;
  /** When a command saw it, RFC 3339; null when none did in this epoch. */
  readonly seenAt: string | null;
  /** WAL between the two; not all of it need be writes, and more may have come after it. */
  readonly knownBytes: number;
}

function riskOf(facts: Facts, epoch: Epoch, forkPoint: Lsn, seen: SeenLeader | undefined): Risk {
  const note = seen?.epoch === epoch.epoch && seen.leader === epoch.leader ? seen : undefined;
  const lastKnownLsn = facts.reachable
    .map((node) => subscriptionOf(node, epoch.epoch))
    .flatMap((one) => [one?.receivedLsn, one?.latestEndLsn, one?.appliedLsn, note?.lsn])
    .filter((lsn) => lsn != null)
    .reduce<Lsn>((best, lsn) => maxLsn(best, lsn), forkPoint);
  return {
    leader: epoch.leader,
    forkPoint,
    lastKnownLsn,
    seenAt: note?.at ?? null,
    knownBytes: lsnDistance(forkPoint, lastKnownLsn),
  };
}

function riskNote({ leader, forkPoint, lastKnownLsn, seenAt, knownBytes }: Risk): string {
  const what = `at risk: writes that ${leader} acknowledged after ${forkPoint} and had not sent yet; how many only ${leader} knows`;
  if (knownBytes === 0) return what;
  return `${what} (its WAL was seen at ${lastKnownLsn}${seenAt === null ? '' : ` at ${seenAt}`}, ${String(knownBytes)} bytes further)`;
}

/** Who is not there now and what to do about it later. */
function absentNotes(facts: Facts, formerLeader: string): string[] {
  return facts.snapshot.nodes
    .filter((node) => !node.reachable && node.name !== formerLeader)
    .map((node) => `${node.name} does not answer; when it is back: repctl rewire ${node.name}`);
}

const notCreated = (facts: Facts): Finding => ({
  code: 'not-created',
  severity: 'error',
  message: `No reachable node knows an epoch of cluster ${facts.config.cluster}.`,
  fix: 'repctl cluster create',
});

function noCandidate(facts: Facts, epoch: Epoch): Finding {
  const unknown = facts.reachable.flatMap((node) => {
    const why = subscriptionOf(node, epoch.epoch)?.appliedUnknown;
    return why === undefined ? [] : [{ node, why }];
  });
  return {
    code: 'no-candidate',
    severity: 'error',
    message: [
      `No reachable replica has reached epoch ${String(epoch.epoch)} with its tables ready and its position known.`,
      ...unknown.map(({ node, why }) => `${node.name}: its position is not known: ${why}.`),
    ].join('\n'),
    fix:
      unknown[0] === undefined
        ? 'repctl status'
        : `As a superuser, in database ${unknown[0].node.database}: grant execute on function pg_show_replication_origin_status() to ${ident(unknown[0].node.user)}`,
  };
}

function notACandidate(facts: Facts, epoch: Epoch, name: string): Finding {
  const node = nodeOf(facts, name);
  const why =
    node === undefined
      ? 'it does not answer'
      : epochOf(node) < epoch.epoch
        ? `it has only reached epoch ${String(epochOf(node))}`
        : 'its subscription, its initial copy or its position is not in order';
  return {
    code: 'not-a-candidate',
    severity: 'error',
    node: name,
    message: `${name} cannot be promoted: ${why}.`,
    fix: 'repctl failover without a name takes the most advanced replica.',
  };
}

function behind(epoch: Epoch, chosen: ReachableNode, best: ReachableNode): Finding | undefined {
  const here = position(chosen, epoch) ?? ZERO_LSN;
  const there = position(best, epoch) ?? ZERO_LSN;
  if (compareLsn(here, there) >= 0) return undefined;
  return {
    code: 'candidate-behind',
    severity: 'error',
    node: chosen.name,
    message: `${chosen.name} has applied ${here}, ${best.name} ${there}: promoting ${chosen.name} would lose ${String(lsnDistance(here, there))} bytes of WAL.`,
    fix: `repctl failover ${best.name}`,
  };
}
