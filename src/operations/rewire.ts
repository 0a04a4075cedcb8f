/** `rewire NODE`: attach a node to the present leader by the cheapest safe method. */
import { epochOf } from '../cluster/epochs.js';
import type { ClusterConfig } from '../config/schema.js';
import type {
  Epoch,
  Finding,
  ReachableNode,
  Snapshot,
  SubscriptionInfo,
  TableName,
} from '../cluster/model.js';
import { SCHEMA } from '../cluster/names.js';
import { type Planned, planned, refused } from '../plan/plan.js';
import { ZERO_LSN } from '../postgres/lsn.js';
import type { Action, OperationStep } from './actions.js';
import {
  type Facts,
  factsOf,
  hasStandbySlots,
  isAttached,
  isCopied,
  nodeOf,
  subscriptionOf,
  unknownNode,
} from './facts.js';
import { finishSteps } from './finish.js';
import { whyNotMappable } from './mappable.js';
import { stepFor } from './steps.js';

export interface RewireRequest {
  readonly node: string;
  /** Empty the node and copy everything again, if nothing cheaper is safe. */
  readonly recopy: boolean;
  /** A former leader's transactions that nobody else has may be thrown away. */
  readonly acceptDataLoss: boolean;
}

const OPERATION = 'rewire';

export function planRewire(
  snapshot: Snapshot,
  config: ClusterConfig,
  request: RewireRequest,
): Planned<Action> {
  const facts = factsOf(snapshot, config);
  const { epoch, leader } = facts;
  const node = nodeOf(facts, request.node);
  const findings = obstacles(facts, request, node);
  if (findings.length > 0) return refused(OPERATION, findings);
  if (epoch === undefined || leader === undefined || node === undefined) return refused(OPERATION, []);

  const siblings = config.nodes.map((one) => one.name).filter((name) => name !== node.name);
  const finish = (fresh: readonly string[]): OperationStep[] => [
    ...finishSteps(facts, {
      fresh,
      leader: leader.name,
      epoch: epoch.epoch,
      replicas: [node],
      operation: OPERATION,
      subject: node.name,
    }),
  ];
  const make = (
    method: string,
    steps: readonly OperationStep[],
    fresh: readonly string[] = [],
  ): Planned<Action> =>
    planned({
      operation: OPERATION,
      title: `Attach ${node.name} to ${leader.name} (epoch ${String(epoch.epoch)})`,
      notes: [method],
      steps: [...steps, ...finish(fresh)],
    });

  const attached = isAttached(node, epoch.epoch);
  if (attached && !isCopied(subscriptionOf(node, epoch.epoch)))
    return make('method: the initial copy goes on', [awaitCopy(node, leader, epoch)]);
  if (attached && (!request.recopy || !hasStandbySlots(node, siblings, epoch.epoch)))
    return make(
      finish([]).length === 0
        ? `${node.name} follows ${leader.name} already`
        : 'method: attached already; what is left',
      [],
    );

  const stopped = subscriptionOf(node, epoch.epoch);
  if (stopped?.enabled === false && hasItsSlot(stopped, leader) && !request.recopy)
    return make('method: its subscription is disabled; it goes on exactly where it stopped', [
      stepFor({ kind: 'resume', node: node.name, subscription: stopped.name }),
      ...(isCopied(stopped) ? [] : [awaitCopy(node, leader, epoch)]),
    ]);

  const from = leader.epochs.find((row) => row.epoch === epoch.epoch - 1);
  const why =
    from?.epoch === epochOf(node)
      ? whyNotMappable({ node, leader, from, forkPoint: epoch.forkPoint ?? ZERO_LSN })
      : `${node.name} has reached epoch ${String(epochOf(node))}, ${leader.name} knows the way only from epoch ${String(epoch.epoch - 1)}`;
  if (why === undefined && !request.recopy) {
    const subscription = subscriptionOf(node, epoch.epoch - 1);
    return make(`method: mapped; no row is copied, the cost grows with what ${node.name} missed`, [
      ...(subscription?.enabled
        ? [stepFor({ kind: 'quiesce', node: node.name, subscription: subscription.name })]
        : []),
      stepFor({ kind: 'attach', node: node.name, leader: leader.name, epoch: epoch.epoch }),
    ]);
  }
  if (!request.recopy) return refused(OPERATION, [notMappable(facts, node, why ?? '')]);
  if (mayHoldStranded(facts, node) && !request.acceptDataLoss)
    return refused(OPERATION, [wouldDiscard(node)]);
  const tables = leader.tables
    .filter((table) => table.schema !== SCHEMA)
    .map(({ schema, name }): TableName => ({ schema, name }));
  return make(
    `method: recopy, because it was asked for${why === undefined ? '' : ` (mapped is not possible: ${why})`}; every row of ${String(tables.length)} tables is copied`,
    [
      ...(attached
        ? [
            stepFor({
              kind: 'unsubscribe',
              node: node.name,
              subscriptions: node.subscriptions.filter((one) => one.own).map((one) => one.name),
            }),
          ]
        : []),
      stepFor({ kind: 'recopy', node: node.name, leader: leader.name, epoch: epoch.epoch, tables }),
      awaitCopy(node, leader, epoch),
    ],
    [node.name],
  );
}

const hasItsSlot = (subscription: SubscriptionInfo, leader: ReachableNode): boolean =>
  leader.slots.some(
    (slot) =>
      slot.name === subscription.slotName &&
      slot.walStatus !== 'lost' &&
      (slot.invalidReason ?? null) === null,
  );

const awaitCopy = (node: ReachableNode, leader: ReachableNode, epoch: Epoch): OperationStep =>
  stepFor({ kind: 'await-copy', nodes: [node.name], leader: leader.name, epoch: epoch.epoch });

/** A node that led an epoch which the present leader did not end in peace. */
function mayHoldStranded(facts: Facts, node: ReachableNode): boolean {
  return (facts.leader?.epochs ?? []).some(
    (row) => row.previousLeader === node.name && epochOf(node) < row.epoch,
  );
}

function obstacles(facts: Facts, request: RewireRequest, node: ReachableNode | undefined): Finding[] {
  if (!facts.config.nodes.some((one) => one.name === request.node)) return [unknownNode(facts, request.node)];
  const error = (code: string, message: string, fix: string): Finding => ({
    code,
    severity: 'error',
    node: request.node,
    message,
    fix,
  });
  if (facts.epoch === undefined)
    return [
      error('not-created', 'No reachable node knows an epoch of this cluster.', 'repctl cluster create'),
    ];
  if (facts.leader === undefined)
    return [
      error(
        'no-leader',
        `${facts.epoch.leader}, which leads epoch ${String(facts.epoch.epoch)}, does not answer.`,
        'repctl failover',
      ),
    ];
  if (node === undefined)
    return [error('node-unreachable', `${request.node} does not answer.`, 'repctl status')];
  if (node.name === facts.leader.name)
    return [
      error('is-leader', `${node.name} is the leader: there is nobody to attach it to.`, 'repctl status'),
    ];
  if (node.identity !== null && node.identity !== node.name)
    return [
      error(
        'identity-mismatch',
        `The database behind ${request.node} says that it is ${node.identity}.`,
        'Check the URLs in the configuration.',
      ),
    ];
  return [];
}

function notMappable(facts: Facts, node: ReachableNode, why: string): Finding {
  const stranded = mayHoldStranded(facts, node);
  return {
    code: stranded ? 'rejoin-needed' : 'not-mappable',
    severity: 'error',
    node: node.name,
    message: `${node.name} cannot be attached without copying: ${why}.`,
    fix: `repctl rewire ${node.name} --recopy${stranded ? ' --accept-data-loss' : ''}`,
  };
}

const wouldDiscard = (node: ReachableNode): Finding => ({
  code: 'data-loss',
  severity: 'error',
  node: node.name,
  message: `${node.name} was the leader and may hold acknowledged writes that nobody else has; a fresh copy throws them away.`,
  fix: `repctl rewire ${node.name} --recopy --accept-data-loss`,
});
