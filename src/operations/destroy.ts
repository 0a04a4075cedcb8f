/** `cluster destroy`: everything that repctl made goes; user rows and tables stay. */
import type { ClusterConfig } from '../config/schema.js';
import type { ReachableNode, Snapshot } from '../cluster/model.js';
import { PUBLICATION, slotName } from '../cluster/names.js';
import { quorumOf } from '../cluster/sync.js';
import { type Planned, planned, refused } from '../plan/plan.js';
import type { Action, OperationStep } from './actions.js';
import { type Facts, factsOf, nodeOf, ownSubscriptions, unknownNode, unreachableNodes } from './facts.js';
import { tombstoneSteps } from './finish.js';
import { stepFor } from './steps.js';
import { syncSteps, tooFewWithout } from './sync.js';

export interface DestroyRequest {
  /** Nodes that do not answer are left as they are. */
  readonly withoutUnreachable: boolean;
}

export function planDestroy(
  snapshot: Snapshot,
  config: ClusterConfig,
  request: DestroyRequest,
): Planned<Action> {
  const facts = factsOf(snapshot, config);
  const missing = unreachableNodes(facts);
  if (missing.length > 0 && !request.withoutUnreachable) {
    return refused(
      'destroy',
      missing.map((finding) => ({
        ...finding,
        fix: 'repctl cluster destroy --without-unreachable leaves it as it is',
      })),
    );
  }
  const names = config.nodes.map((node) => node.name);
  return planned({
    operation: 'destroy',
    acceptMinority: request.withoutUnreachable,
    title: `Destroy cluster ${config.cluster}: every node becomes a server of its own`,
    notes: [
      'rows and tables stay; fences go, so every node takes writes afterwards',
      ...missing.map((finding) => `${finding.node ?? ''} does not answer and is left as it is`),
    ],
    steps: [
      // First of all: once nobody follows the leader, its commits would wait for ever.
      ...facts.reachable.flatMap((node) => forgetSyncSteps(node)),
      ...facts.reachable.flatMap((node) => unsubscribeSteps(node)),
      ...facts.reachable.flatMap((node) => dropSlotSteps(node, names)),
      ...facts.reachable.flatMap((node) => unpublishSteps(node)),
    ],
  });
}

/** The cluster as it will be without the node. */
const without = (facts: Facts, name: string): Facts => ({
  ...facts,
  config: { ...facts.config, nodes: facts.config.nodes.filter((one) => one.name !== name) },
  reachable: facts.reachable.filter((one) => one.name !== name),
});

/** `node remove NAME`: the replica is detached, its slots are dropped everywhere. */
export function planNodeRemove(snapshot: Snapshot, config: ClusterConfig, name: string): Planned<Action> {
  const facts = factsOf(snapshot, config);
  if (!config.nodes.some((node) => node.name === name))
    return refused('node-remove', [unknownNode(facts, name)]);
  if (facts.epoch?.leader === name) {
    return refused('node-remove', [
      {
        code: 'is-leader',
        severity: 'error',
        node: name,
        message: `${name} leads the cluster: another node must lead before it can be removed.`,
        fix: 'repctl status',
      },
    ]);
  }
  const tooFew = tooFewWithout(facts, name);
  if (tooFew !== undefined) return refused('node-remove', [tooFew]);
  const node = nodeOf(facts, name);
  const rest = { ...config, nodes: config.nodes.filter((one) => one.name !== name) };
  const leader = facts.epoch?.leader;
  return planned({
    operation: 'node-remove',
    title: `Remove ${name} from cluster ${config.cluster}`,
    notes: [
      node === undefined
        ? `${name} does not answer: what repctl made there is left as it is`
        : `rows on ${name} stay as they are`,
    ],
    steps: [
      // Before it goes: commits must not wait for somebody who will not be there.
      ...(leader === undefined || facts.epoch === undefined
        ? []
        : syncSteps(without(facts, name), { leader, epoch: facts.epoch.epoch, replicas: [] })),
      ...(node === undefined ? [] : [...forgetSyncSteps(node), ...unsubscribeSteps(node)]),
      ...facts.reachable.flatMap((other) =>
        dropSlotSteps(other, other.name === name ? config.nodes.map((one) => one.name) : [name]),
      ),
      ...(node === undefined ? [] : unpublishSteps(node)),
      ...(leader === undefined || facts.epoch === undefined
        ? []
        : tombstoneSteps({ ...facts, config: rest }, leader, facts.epoch.epoch, [])),
    ],
  });
}

function forgetSyncSteps(node: ReachableNode): OperationStep[] {
  return (quorumOf(node.settings['synchronous_standby_names'] ?? '')?.k ?? 0) > 0
    ? [stepFor({ kind: 'sync-setting', node: node.name, value: '' }, 'sync-reset')]
    : [];
}

function unsubscribeSteps(node: ReachableNode): OperationStep[] {
  const subscriptions = ownSubscriptions(node).map((subscription) => subscription.name);
  return subscriptions.length === 0
    ? []
    : [stepFor({ kind: 'unsubscribe', node: node.name, subscriptions }, 'unsubscribe')];
}

function dropSlotSteps(node: ReachableNode, names: readonly string[]): OperationStep[] {
  const slots = node.slots
    .map((slot) => slot.name)
    .filter((slot) => names.some((name) => slotName(name) === slot));
  return slots.length === 0 ? [] : [stepFor({ kind: 'drop-slots', node: node.name, slots }, 'drop-slots')];
}

function unpublishSteps(node: ReachableNode): OperationStep[] {
  const there =
    node.identity !== null || node.publications.some((publication) => publication.name === PUBLICATION);
  return there ? [stepFor({ kind: 'unpublish', node: node.name }, 'unpublish')] : [];
}
