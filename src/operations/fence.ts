/** `fence` and `unfence`: who takes writes, set by hand. Pure. */
import type { ClusterConfig } from '../config/schema.js';
import { epochOf, fenced, hasMajority, ownSubscription } from '../cluster/epochs.js';
import type { Finding, ReachableNode, Snapshot } from '../cluster/model.js';
import { isStaleLeader, wayBack } from '../cluster/report.js';
import { type Planned, planned, refused } from '../plan/plan.js';
import type { Action } from './actions.js';
import {
  type Facts,
  factsOf,
  isAttached,
  mayNotRead,
  nodeOf,
  noEpoch,
  strangerFindings,
  unknownNode,
} from './facts.js';
import { stepFor } from './steps.js';
import { unconfirmedAtFormer } from './unconfirmed.js';

export interface FenceRequest {
  readonly node: string;
  /** How long it waits for writers in flight, milliseconds. */
  readonly timeoutMs: number;
  readonly terminateBlockers: boolean;
}

/** Works on any node that answers, whoever leads and however few the others are: it can only stop writes. */
export function planFence(snapshot: Snapshot, config: ClusterConfig, request: FenceRequest): Planned<Action> {
  const facts = factsOf(snapshot, config);
  const node = nodeOf(facts, request.node);
  const finding = absent(facts, request.node, node);
  if (finding !== undefined || node === undefined) return refused('fence', finding ? [finding] : []);
  const leads = facts.leader?.name === node.name;
  const done = fenced(node);
  return planned({
    operation: 'fence',
    // Stopping writes can make no second writer, whoever else is at work.
    acceptMinority: true,
    title: `Fence ${node.name}`,
    notes: [
      ...(done ? [`${node.name} is fenced already`] : []),
      ...(leads
        ? [
            `${node.name} is the leader: nobody takes writes until repctl unfence ${node.name} or another leads`,
          ]
        : []),
      ...(isStaleLeader(snapshot, node)
        ? [
            `${node.name} led epoch ${String(epochOf(node))} and may have writes that nobody else has; next: ${wayBack(snapshot, node)}`,
            ...unconfirmedAtFormer(node),
          ]
        : []),
    ],
    steps: done
      ? []
      : [
          stepFor({
            kind: 'fence-node',
            node: node.name,
            epoch: leads ? epochOf(node) : null,
            timeoutMs: request.timeoutMs,
            terminateBlockers: request.terminateBlockers,
            endUnconfirmed: isStaleLeader(snapshot, node),
          }),
        ],
  });
}

/**
 * Only for the leader of the newest epoch that a majority knows. While some node does not answer that node may have
 * been promoted; each way of promoting leaves a sign first. A failover stops the workers of a majority: one of those
 * that answer here. A switchover writes its barrier on the leader itself.
 */
export function planUnfence(
  snapshot: Snapshot,
  config: ClusterConfig,
  request: Omit<FenceRequest, 'terminateBlockers'>,
): Planned<Action> {
  const facts = factsOf(snapshot, config);
  const node = nodeOf(facts, request.node);
  const finding = absent(facts, request.node, node) ?? (node && notTheLeader(facts, node));
  if (finding !== undefined || node === undefined) return refused('unfence', finding ? [finding] : []);
  const open = node.tables.every((table) => table.fence === 'disabled');
  return planned({
    operation: 'unfence',
    title: `Unfence ${node.name}`,
    notes: open ? [`${node.name} takes writes already`] : [],
    steps: open
      ? []
      : [
          stepFor({
            kind: 'unfence-node',
            node: node.name,
            epoch: epochOf(node),
            timeoutMs: request.timeoutMs,
          }),
        ],
  });
}

function absent(facts: Facts, name: string, node: ReachableNode | undefined): Finding | undefined {
  if (!facts.config.nodes.some((one) => one.name === name)) return unknownNode(facts, name);
  if (node === undefined) {
    const found = facts.snapshot.nodes.find((one) => one.name === name);
    return error(
      'node-unreachable',
      name,
      found?.reachable === false ? found.message : `${name} does not answer.`,
      found?.reachable === false && found.code !== 'node-unreachable'
        ? 'repctl status'
        : `Start ${name}, then run the same command again.`,
    );
  }
  const [stranger] = strangerFindings(facts, node);
  if (stranger !== undefined) return stranger;
  if (node.metadata === 'denied') return mayNotRead(node);
  if (node.tables.length > 0 && node.identity !== null) return undefined;
  return error(
    'not-created',
    name,
    `${name} belongs to no cluster: it has no fence.`,
    'repctl cluster create',
  );
}

function notTheLeader(facts: Facts, node: ReachableNode): Finding | undefined {
  const { epoch, snapshot } = facts;
  if (epoch === undefined) return noEpoch(facts)[0];
  if (isStaleLeader(snapshot, node))
    return error(
      'stale-leader',
      node.name,
      `${node.name} led epoch ${String(epochOf(node))}; ${epoch.leader} leads epoch ${String(epoch.epoch)}: unfenced there would be two writers.`,
      wayBack(snapshot, node),
    );
  if (epoch.leader !== node.name)
    return error(
      'not-leader',
      node.name,
      `${node.name} is a replica; ${epoch.leader} leads epoch ${String(epoch.epoch)}: unfenced there would be two writers.`,
      `repctl switchover ${node.name}`,
    );
  if (!hasMajority(snapshot))
    return error(
      'no-majority',
      node.name,
      `Only ${String(facts.reachable.length)} of ${String(facts.config.nodes.length)} nodes answer: the others may have another leader.`,
      'Run it from where more of them can be reached.',
    );
  return successor(facts, node);
}

/** A node that does not answer may lead already: the signs of that. */
function successor(facts: Facts, node: ReachableNode): Finding | undefined {
  const silent = facts.snapshot.nodes.filter((one) => !one.reachable).map((one) => one.name);
  if (silent.length === 0) return undefined;
  const epoch = epochOf(node);
  // The row goes when its switchover ends, whichever way.
  const barrier = (node.barriers ?? []).some((one) => one.epoch === epoch);
  const stopped = facts.reachable.filter(
    (one) => one.name !== node.name && ownSubscription(one) !== undefined && !isAttached(one, epoch),
  );
  if (!barrier && stopped.length === 0) return undefined;
  const sign = barrier
    ? `a switchover from ${node.name} was under way`
    : `${stopped.map((one) => one.name).join(', ')} ${stopped.length === 1 ? 'does' : 'do'} not follow ${node.name} any more`;
  return error(
    'successor-possible',
    node.name,
    `${sign}, and ${silent.join(', ')} ${silent.length === 1 ? 'does' : 'do'} not answer: ${silent.length === 1 ? 'it' : 'one of them'} may lead already.`,
    `Bring ${silent.join(', ')} back, then look at repctl status.`,
  );
}

const error = (code: string, node: string, message: string, fix: string): Finding => ({
  code,
  severity: 'error',
  node,
  message,
  fix,
});
