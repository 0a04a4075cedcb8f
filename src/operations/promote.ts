/** `promote NODE`: the right way to make a node the leader, chosen by whether the present one answers. */
import type { ClusterConfig } from '../config/schema.js';
import type { Snapshot } from '../cluster/model.js';
import { type Planned, refused } from '../plan/plan.js';
import type { Action } from './actions.js';
import { factsOf, unknownNode } from './facts.js';
import { planFailover } from './failover.js';
import type { FailoverRequest } from './failover-request.js';

export function planPromote(
  snapshot: Snapshot,
  config: ClusterConfig,
  request: FailoverRequest & { readonly target: string },
): Planned<Action> {
  const facts = factsOf(snapshot, config);
  const { leader, epoch } = facts;
  if (!config.nodes.some((node) => node.name === request.target))
    return refused('promote', [unknownNode(facts, request.target)]);
  const plan = planFailover(snapshot, config, request);
  if (plan.kind === 'plan' || leader === undefined || epoch === undefined) return plan;
  const message =
    leader.name === request.target
      ? `${leader.name} is the leader already (epoch ${String(epoch.epoch)}).`
      : `${leader.name} leads and answers; a planned switchover to ${request.target} comes with the next release.`;
  return refused('promote', [
    {
      code: leader.name === request.target ? 'is-leader' : 'leader-alive',
      severity: 'error',
      node: leader.name,
      message,
      fix: 'repctl status',
    },
  ]);
}
