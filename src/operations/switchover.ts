/**
 * `switchover`: the leadership moves while everybody is well. The leader is fenced, all it ever committed drains
 * into every replica, the target is promoted, and the others, the former leader too, follow it without a copy.
 */
import type { ClusterConfig } from '../config/schema.js';
import { epochBefore } from '../cluster/epochs.js';
import type { Epoch, ReachableNode, Snapshot } from '../cluster/model.js';
import { type Planned, planned, refused } from '../plan/plan.js';
import { ZERO_LSN, compareLsn } from '../postgres/lsn.js';
import { planUpkeep } from '../replication/upkeep.js';
import type { Action } from './actions.js';
import { type Facts, factsOf, hasStandbySlots, isAttached, strangers, subscriptionOf } from './facts.js';
import { finishSteps } from './finish.js';
import { nextEpoch, reservation, unheardNotes } from './next-epoch.js';
import { stepFor } from './steps.js';
import { midChange, namesWrong, notNow, obstacles } from './switchover-obstacles.js';
import type { SwitchoverRequest } from './switchover-request.js';
import { syncFor, unsynced } from './sync.js';
import { tailSteps } from './tail.js';

const OPERATION = 'switchover';

export function planSwitchover(
  snapshot: Snapshot,
  config: ClusterConfig,
  request: SwitchoverRequest,
): Planned<Action> {
  const facts = factsOf(snapshot, config);
  const wrong = namesWrong(facts, request);
  if (wrong.length > 0) return refused(OPERATION, wrong);
  const foreign = strangers(facts).filter(({ node }) => !request.without.includes(node ?? ''));
  if (foreign.length > 0) return refused(OPERATION, foreign);
  const { epoch, leader } = facts;
  if (epoch === undefined || leader === undefined) return refused(OPERATION, notNow(facts));
  const left = goOn(facts, leader, epoch, request);
  if (left !== undefined) return left;

  const findings = obstacles(facts, leader, epoch, request);
  if (findings.length > 0) return refused(OPERATION, findings);
  const replicas = facts.reachable.filter(
    (node) => node.name !== leader.name && !request.without.includes(node.name),
  );
  const target =
    request.target === undefined
      ? preferred(facts, replicas, epoch)
      : replicas.find((node) => node.name === request.target);
  const subscription = target && subscriptionOf(target, epoch.epoch);
  if (target === undefined || subscription === undefined) return refused(OPERATION, notNow(facts));

  const next = nextEpoch(facts, epoch.epoch, target.name);
  const reserve = reservation(facts, next, target.name);
  const others = facts.reachable.filter(
    (node) => node === leader || (node !== target && replicas.includes(node)),
  );
  const barrier = leader.barriers?.find((one) => one.holds);
  const drained =
    barrier !== undefined &&
    replicas.every((node) => (node.barriers ?? []).some((one) => one.id === barrier.id));
  const sync = syncFor(
    facts,
    target.name,
    others.map((node) => node.name),
  );
  const waitsForNobody = sync === undefined ? [] : unsynced(target);
  if (waitsForNobody.length > 0) return refused(OPERATION, waitsForNobody);
  const timeoutMs = request.drainTimeoutMs ?? config.drainTimeoutMs;
  return planned({
    operation: OPERATION,
    title: `Switch over from ${leader.name} to ${target.name} (epoch ${String(next)})`,
    data: { from: leader.name, to: target.name, without: request.without },
    notes: [
      `nothing is lost: ${leader.name} is fenced and drained first; any failure until ${target.name} is promoted is rolled back`,
      `no row is copied; ${leader.name} is a replica at the end`,
      ...(barrier === undefined
        ? []
        : [`${leader.name} is fenced already, by a switchover that was interrupted`]),
      ...unheardNotes(facts, epoch.epoch),
      ...longTransactions(leader, timeoutMs),
      ...request.without.map((name) => `${name} is left out; afterwards: repctl rewire ${name}`),
    ],
    steps: [
      ...prepareSteps(
        target,
        epoch,
        [leader, ...replicas].map(({ name }) => name),
      ),
      ...(barrier === undefined
        ? [
            stepFor({
              kind: 'fence',
              node: leader.name,
              target: target.name,
              epoch: epoch.epoch,
              timeoutMs,
              terminateBlockers: request.terminateBlockers,
              ...(sync === undefined ? {} : { sync }),
              tables: leader.tables.map(({ schema, name }) => ({ schema, name })),
              upkeep: longSlots(snapshot, target),
              reserve,
            }),
          ]
        : []),
      ...(drained
        ? []
        : [
            stepFor({
              kind: 'drain',
              leader: leader.name,
              nodes: replicas.map((node) => node.name),
              timeoutMs,
            }),
          ]),
      stepFor({
        kind: 'promote',
        node: target.name,
        epoch: next,
        previousLeader: leader.name,
        subscription: subscription.name,
        operation: OPERATION,
        drained: true,
        reserve,
        ...(sync === undefined ? {} : { sync }),
      }),
      ...others.map(({ name }) =>
        stepFor(
          { kind: 'attach', node: name, leader: target.name, epoch: next, from: epoch.epoch },
          'attach',
        ),
      ),
      ...finishSteps(facts, {
        leader: target.name,
        epoch: next,
        replicas: others,
        operation: OPERATION,
        subject: target.name,
        tombstone: subscription.name,
      }),
    ],
  });
}

/**
 * Standby slots that the target lacks. Whatever it has applied by then everybody will have applied once the barrier
 * is visible on all, so that a slot which begins now is as good as one that was there from the beginning.
 */
const prepareSteps = (target: ReachableNode, { epoch, leader }: Epoch, members: readonly string[]) => {
  const siblings = members.filter((name) => name !== target.name);
  return hasStandbySlots(target, siblings, epoch)
    ? []
    : [stepFor({ kind: 'standby', node: target.name, siblings, leader, epoch })];
};

/** From how much WAL on moving a slot before the fence is worth its time: less than that is decoded in a moment. */
const LONG_BYTES = 16 * 1024 * 1024;

const longSlots = (snapshot: Snapshot, target: ReachableNode) =>
  planUpkeep(snapshot, target.name).moves.filter(
    (move) => (target.slots.find((slot) => slot.name === move.slot)?.retainedBytes ?? 0) > LONG_BYTES,
  );

/** The first by priority, then by position, then in the order of the configuration. */
function preferred(
  facts: Facts,
  replicas: readonly ReachableNode[],
  epoch: Epoch,
): ReachableNode | undefined {
  const order = facts.config.nodes.map((node) => node.name);
  const priority = (node: ReachableNode): number =>
    facts.config.nodes.find(({ name }) => name === node.name)?.priority ?? 0;
  const position = (node: ReachableNode) => subscriptionOf(node, epoch.epoch)?.appliedLsn ?? ZERO_LSN;
  return replicas.toSorted(
    (a, b) =>
      priority(b) - priority(a) ||
      compareLsn(position(b), position(a)) ||
      order.indexOf(a.name) - order.indexOf(b.name),
  )[0];
}

/** What is left of a switchover that was interrupted after its promotion; undefined when nothing is. */
function goOn(
  facts: Facts,
  leader: ReachableNode,
  epoch: Epoch,
  request: SwitchoverRequest,
): Planned<Action> | undefined {
  const from = epochBefore(leader.epochs, epoch.epoch);
  if (epoch.operation !== OPERATION || from === undefined) return undefined;
  const told = leader.events.some((event) => event.kind === OPERATION && event.epoch === epoch.epoch);
  const siblings = facts.reachable.filter(
    (node) =>
      node.name !== leader.name &&
      !request.without.includes(node.name) &&
      // Once the event is told, who is not attached was left out or fell behind since; it is rewired.
      (!told || isAttached(node, epoch.epoch)),
  );
  const tail = tailSteps(facts, {
    operation: OPERATION,
    leader,
    from,
    epoch: epoch.epoch,
    siblings,
    forkPoint: epoch.forkPoint ?? ZERO_LSN,
  });
  if (tail.steps.length === 0) return undefined;
  if (request.target !== undefined && request.target !== leader.name)
    return refused(OPERATION, [midChange(epoch, leader, `repctl switchover ${leader.name}`)]);
  return planned({
    operation: OPERATION,
    title: `Finish the switchover from ${from.leader} to ${leader.name} (epoch ${String(epoch.epoch)})`,
    data: { from: from.leader, to: leader.name, without: request.without },
    notes: [`${leader.name} is the leader already; what follows was left over`, ...tail.notes],
    steps: tail.steps,
  });
}

/** Who might be waited for: a transaction that holds a lock on a published table keeps the fence from going up. */
const longTransactions = (leader: ReachableNode, timeoutMs: number): string[] =>
  leader.longTransactions.map(
    ({ pid, user, applicationName, seconds, state }) =>
      `a transaction is open on ${leader.name} for ${seconds.toFixed(0)} s: pid ${String(pid)} (${[user ?? 'another user', applicationName, state ?? ''].filter((part) => part !== '').join(', ')}); if it holds a lock on a published table it is waited for ${(timeoutMs / 1000).toFixed(0)} s`,
  );
