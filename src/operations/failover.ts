/** `failover`: the leader is gone; the most advanced replica takes over and the others follow it. */
import type { ClusterConfig } from '../config/schema.js';
import { epochBefore } from '../cluster/epochs.js';
import type { Epoch, ReachableNode, Snapshot } from '../cluster/model.js';
import { type Planned, planned, refused } from '../plan/plan.js';
import { ZERO_LSN } from '../postgres/lsn.js';
import type { Action, OperationStep } from './actions.js';
import { behindNote, noCandidate, notACandidate, position, rankCandidates } from './failover-candidates.js';
import { type Facts, factsOf, isAttached, noEpoch, strangers, subscriptionOf, unknownNode } from './facts.js';
import { obstacles } from './failover-obstacles.js';
import { nextEpoch, reservation, unheardNotes } from './next-epoch.js';
import type { FailoverRequest } from './failover-request.js';
import { knownLoss, lossNotes, riskNote, riskOf } from './failover-risk.js';
import { stepFor } from './steps.js';
import { tailSteps } from './tail.js';
import { syncFor, unsynced } from './sync.js';

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
  if (epoch === undefined) return refused(OPERATION, noEpoch(facts));
  const foreign = strangers(facts);
  if (foreign.length > 0) return refused(OPERATION, foreign);
  if (facts.leader !== undefined) return goOn(facts, facts.leader, epoch, request);

  const findings = obstacles(facts, epoch, request);
  if (findings.length > 0) return refused(OPERATION, findings);
  const candidates = rankCandidates(facts, epoch);
  const best = candidates[0];
  if (best === undefined) return refused(OPERATION, [noCandidate(facts, epoch)]);
  const named =
    candidates.find((node) => node.name === request.target) ??
    (request.target === undefined ? best : undefined);
  if (named === undefined) return refused(OPERATION, [notACandidate(facts, epoch, request.target ?? '')]);
  const waits = behindNote(epoch, named, best);
  const chosen = waits === undefined ? named : best;

  const forkPoint = position(chosen, epoch) ?? ZERO_LSN;
  const siblings = facts.reachable.filter((node) => node.name !== chosen.name);
  const next = nextEpoch(facts, epoch.epoch, chosen.name);
  const tail = tailSteps(facts, {
    operation: OPERATION,
    leader: chosen,
    from: epoch,
    epoch: next,
    siblings,
    forkPoint,
  });
  const present = candidates.map((node) => node.name);
  const question = { epoch, forkPoint, present, seen: request.lastSeen };
  const risk = riskOf(facts, question);
  const loss = risk.sync.impossible ? undefined : knownLoss(facts, question);
  if (loss !== undefined && request.acceptDataLoss !== true && request.shown !== true)
    return refused(OPERATION, [loss]);
  const sync = syncFor(facts, chosen.name, tail.attached);
  return planned({
    operation: OPERATION,
    acceptMinority: request.acceptMinority,
    data: { risk },
    ...(waits === undefined ? {} : { then: named.name }),
    title: `Fail over from ${epoch.leader} to ${chosen.name} (epoch ${String(next)})`,
    notes: [
      `${chosen.name} has applied ${forkPoint}: ${
        candidates.length > 1
          ? `the most advanced of ${candidates.map((node) => node.name).join(', ')}`
          : 'the only candidate'
      }`,
      ...(waits === undefined ? [] : [waits]),
      riskNote(risk),
      ...lossNotes(risk),
      // No reason to leave the cluster without a leader.
      ...(sync === undefined ? [] : unsynced(chosen).map(({ message }) => message)),
      ...tail.notes,
      ...unheardNotes(facts, epoch.epoch),
      ...absentNotes(facts, epoch.leader),
    ],
    steps: [
      ...drainSteps(facts, epoch, { present, acceptDataLoss: request.acceptDataLoss ?? false }),
      stepFor({
        kind: 'promote',
        node: chosen.name,
        epoch: next,
        previousLeader: epoch.leader,
        subscription: subscriptionOf(chosen, epoch.epoch)?.name ?? '',
        operation: OPERATION,
        reserve: reservation(facts, next, chosen.name),
        ...(risk.seenAt === null ? {} : { seenLsn: request.lastSeen?.lsn }),
        ...(risk.sync.impossible ? { lossRuledOut: true as const } : {}),
        ...(sync === undefined ? {} : { sync }),
      }),
      ...tail.steps,
    ],
  });
}

interface Draining {
  /** Candidates: who has all that another received may let it go. */
  readonly present: readonly string[];
  readonly acceptDataLoss: boolean;
}

function drainSteps(facts: Facts, epoch: Epoch, { present, acceptDataLoss }: Draining): OperationStep[] {
  const followers = facts.reachable.flatMap((node) => {
    const subscription = subscriptionOf(node, epoch.epoch);
    return subscription === undefined ? [] : [{ node: node.name, subscription }];
  });
  const rivalsOf = (name: string) =>
    followers
      .filter(({ node }) => node !== name && present.includes(node))
      .map(({ node, subscription }) => ({ node, subscription: subscription.name }));
  return followers
    .filter(({ subscription }) => subscription.enabled)
    .map(({ node, subscription }) =>
      stepFor(
        {
          kind: 'quiesce',
          node,
          subscription: subscription.name,
          rivals: rivalsOf(node),
          acceptDataLoss,
        },
        'quiesce',
      ),
    );
}

/** The newest leader answers: either an interrupted failover is finished, or there is nothing to fail over from. */
function goOn(facts: Facts, leader: ReachableNode, epoch: Epoch, request: FailoverRequest): Planned<Action> {
  const other = request.target === leader.name ? undefined : request.target;
  const from = epochBefore(leader.epochs, epoch.epoch);
  const told = leader.events.some((event) => event.kind === OPERATION && event.epoch === epoch.epoch);
  const others = facts.reachable.filter((node) => node.name !== leader.name);
  // Once the event is told only the standby slots of those that were attached can be left over; who comes back
  // later is rewired.
  const siblings = told ? others.filter((node) => isAttached(node, epoch.epoch)) : others;
  const tail =
    epoch.operation !== OPERATION || from === undefined
      ? undefined
      : tailSteps(facts, {
          operation: OPERATION,
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
        fix: other === undefined ? 'repctl status' : `repctl switchover ${other}`,
      },
    ]);
  }
  return planned({
    operation: OPERATION,
    acceptMinority: request.acceptMinority,
    title: `Finish the failover from ${from?.leader ?? 'the former leader'} to ${leader.name} (epoch ${String(epoch.epoch)})`,
    notes: [`${leader.name} is the leader already; what follows was left over`, ...tail.notes],
    ...(other === undefined ? {} : { then: other }),
    steps: tail.steps,
  });
}

/** The former leader as long as it is gone or has not found back: who is to be rejoined after the failover. */
export function awaitedBack(snapshot: Snapshot, config: ClusterConfig): string | undefined {
  const { epoch, leader, reachable } = factsOf(snapshot, config);
  if (epoch === undefined) return undefined;
  const former = leader === undefined ? epoch.leader : epoch.previousLeader;
  const node = reachable.find((one) => one.name === former);
  return former === null || (node !== undefined && isAttached(node, epoch.epoch)) ? undefined : former;
}

/** Who is not there now and what to do about it later. */
function absentNotes(facts: Facts, formerLeader: string): string[] {
  return facts.snapshot.nodes
    .filter((node) => !node.reachable && node.name !== formerLeader)
    .map((node) => `${node.name} does not answer; when it is back: repctl rewire ${node.name}`);
}
