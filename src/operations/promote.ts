/** `promote NODE`: the right way to make a node the leader, chosen by whether the present one answers. */
import type { ClusterConfig } from '../config/schema.js';
import type { Snapshot } from '../cluster/model.js';
import { type Planned, refused } from '../plan/plan.js';
import type { Action } from './actions.js';
import { factsOf, unknownNode } from './facts.js';
import { planFailover } from './failover.js';
import type { FailoverRequest } from './failover-request.js';
import { planSwitchover } from './switchover.js';
import type { SwitchoverRequest } from './switchover-request.js';

export interface PromoteRequest {
  readonly target: string;
  readonly failover: FailoverRequest;
  readonly switchover: SwitchoverRequest;
}

/**
 * A switchover while the leader answers, a failover when it does not. What an interrupted failover left over is
 * finished first, whichever it would be now.
 */
export function planPromote(
  snapshot: Snapshot,
  config: ClusterConfig,
  { target, failover, switchover }: PromoteRequest,
): Planned<Action> {
  const facts = factsOf(snapshot, config);
  const { leader, epoch } = facts;
  if (!config.nodes.some((node) => node.name === target))
    return refused('promote', [unknownNode(facts, target)]);
  if (leader === undefined || epoch === undefined) {
    const gone = epoch === undefined ? 'no leader is known' : `${epoch.leader}, the leader, does not answer`;
    return because(
      planFailover(snapshot, config, { ...failover, target }),
      `failover, because ${gone}: what it had not sent yet is at risk`,
    );
  }
  if (leader.name === target && epoch.operation === 'failover') {
    const rest = planFailover(snapshot, config, { ...failover, target });
    if (rest.kind === 'plan') return rest;
  }
  return because(
    planSwitchover(snapshot, config, { ...switchover, target }),
    `switchover, because ${leader.name}, the leader, answers: nothing is lost`,
  );
}

const because = (planned: Planned<Action>, note: string): Planned<Action> =>
  planned.kind === 'plan'
    ? { kind: 'plan', plan: { ...planned.plan, notes: [note, ...planned.plan.notes] } }
    : planned;
