/** `cluster create`: one leader and its replicas out of bare databases. Idempotent; goes on where it was stopped. */
import { epochOf } from '../cluster/epochs.js';
import type { ClusterConfig } from '../config/schema.js';
import type { Finding, ReachableNode, Snapshot, TableName } from '../cluster/model.js';
import { PUBLICATION } from '../cluster/names.js';
import { type Planned, planned, refused } from '../plan/plan.js';
import type { Action, OperationStep } from './actions.js';
import {
  type Facts,
  factsOf,
  isAttached,
  isCopied,
  nodeOf,
  strangerFindings,
  subscriptionOf,
  unknownNode,
  unreachableNodes,
} from './facts.js';
import { finishSteps } from './finish.js';
import { countTables, stepFor } from './steps.js';

export interface CreateRequest {
  /** The first leader; default: the first node of the configuration. */
  readonly leader?: string | undefined;
  /** config.tables resolved to explicit names; see resolveTables(). */
  readonly tables: readonly TableName[];
  /** Make the products table on every node. */
  readonly products: boolean;
  /** Replicas whose tables hold rows: proved equal instead of copied. */
  readonly prefilled: readonly string[];
  /** What makes nodes or tables unfit, see unfit(). */
  readonly unfit?: readonly Finding[];
}

const OPERATION = 'create';

export function planCreate(
  snapshot: Snapshot,
  config: ClusterConfig,
  request: CreateRequest,
): Planned<Action> {
  const facts = factsOf(snapshot, config);
  const leaderName = facts.epoch?.leader ?? request.leader ?? config.nodes[0]?.name ?? '';
  const findings = obstacles(facts, request, leaderName);
  if (findings.length > 0) return refused(OPERATION, findings);

  const leader = nodeOf(facts, leaderName);
  if (leader === undefined) return refused(OPERATION, [unknownNode(facts, leaderName)]);
  const epoch = facts.epoch?.epoch ?? 1;
  const replicas = facts.reachable.filter((node) => node.name !== leaderName);
  const steps: OperationStep[] = [
    ...facts.reachable
      .filter((node) => node.identity === null)
      .map((node) => stepFor({ kind: 'prepare', node: node.name, products: request.products }, 'prepare')),
    ...facts.reachable
      .filter((node) => !isPublished(node, request.tables, node.name === leaderName))
      .map((node) =>
        stepFor(
          { kind: 'publish', node: node.name, tables: request.tables, leads: node.name === leaderName },
          'publish',
        ),
      ),
    ...(leader.epochs.length === 0 ? [stepFor({ kind: 'found', leader: leaderName })] : []),
    ...subscribeSteps(replicas, leaderName, epoch, request, shareIdentifier(facts.reachable)),
    ...finishSteps(facts, { leader: leaderName, epoch, replicas, operation: OPERATION, subject: null }),
  ];
  return planned({
    operation: OPERATION,
    title: `Create cluster ${config.cluster}: leader ${leaderName}, ${replicas.length === 0 ? 'no replica' : `replicas ${replicas.map((node) => node.name).join(', ')}`}`,
    notes: [
      `${countTables(request.tables)}: ${request.tables.map((table) => `${table.schema}.${table.name}`).join(', ')}`,
      ...(request.prefilled.length > 0
        ? [`not empty, proved equal instead of copied: ${request.prefilled.join(', ')}`]
        : []),
    ],
    steps,
  });
}

/** Steps that bring new replicas to the leader: all at once, or one after the other where twins are among them. */
export function subscribeSteps(
  replicas: readonly ReachableNode[],
  leader: string,
  epoch: number,
  request: Pick<CreateRequest, 'tables' | 'prefilled'>,
  oneByOne: boolean,
): OperationStep[] {
  const subscribe = (node: ReachableNode, group?: string): OperationStep[] => {
    if (isAttached(node, epoch)) return [];
    return request.prefilled.includes(node.name)
      ? [stepFor({ kind: 'attach-equal', node: node.name, leader, epoch, tables: request.tables }, group)]
      : [stepFor({ kind: 'subscribe', node: node.name, leader, epoch }, group)];
  };
  const wait = (nodes: readonly ReachableNode[]): OperationStep[] => {
    const waiting = nodes
      .filter((node) => !isCopied(subscriptionOf(node, epoch)))
      .filter((node) => isAttached(node, epoch) || !request.prefilled.includes(node.name))
      .map((node) => node.name);
    return waiting.length === 0 ? [] : [stepFor({ kind: 'await-copy', nodes: waiting, leader, epoch })];
  };
  // A table's sync slot is named after subscription OID, table OID and system identifier: two initial copies
  // from one leader to nodes that share the identifier would take each other's slot, and one would hang.
  if (oneByOne) return replicas.flatMap((node) => [...subscribe(node), ...wait([node])]);
  return [...replicas.flatMap((node) => subscribe(node, 'subscribe')), ...wait(replicas)];
}

/** Publication and fences are as they should be on this node. */
export function isPublished(node: ReachableNode, tables: readonly TableName[], leads: boolean): boolean {
  const publication = node.publications.find((candidate) => candidate.name === PUBLICATION);
  const wanted = leads ? 'disabled' : 'enabled';
  return (
    publication !== undefined &&
    tables.every((table) =>
      node.tables.some(
        (one) => one.schema === table.schema && one.name === table.name && one.fence === wanted,
      ),
    ) &&
    node.tables.every((table) => table.fence === wanted)
  );
}

/** Some two nodes share the system identifier: copied data directories, restored backups, Neon branches. */
const shareIdentifier = (nodes: readonly ReachableNode[]): boolean =>
  new Set(nodes.map((node) => node.systemIdentifier)).size < nodes.length;

function obstacles(facts: Facts, request: CreateRequest, leader: string): Finding[] {
  const findings: Finding[] = unreachableNodes(facts);
  if (request.leader !== undefined && !facts.config.nodes.some((node) => node.name === request.leader))
    findings.push(unknownNode(facts, request.leader));
  if (request.leader !== undefined && facts.epoch !== undefined && facts.epoch.leader !== request.leader) {
    findings.push({
      code: 'already-created',
      severity: 'error',
      message: `The cluster exists and ${facts.epoch.leader} leads it (epoch ${String(facts.epoch.epoch)}).`,
      fix: 'repctl status',
    });
  }
  if (request.tables.length === 0) {
    findings.push({
      code: 'no-tables',
      severity: 'error',
      message: `No table on ${leader} matches ${facts.config.tables.join(', ')}.`,
      fix: 'Name tables that exist in the configuration, or add --with-products.',
    });
  }
  for (const node of facts.reachable) findings.push(...nodeObstacles(facts, node));
  findings.push(...(request.unfit ?? []));
  return findings;
}

/** Why a node cannot be part of this cluster. */
export function nodeObstacles(facts: Facts, node: ReachableNode): Finding[] {
  const findings: Finding[] = [];
  const error = (code: string, message: string, fix: string) => {
    findings.push({ code, severity: 'error', node: node.name, message, fix });
  };
  if (node.versionNum < 150_000)
    error(
      'version-unsupported',
      `${node.name} runs PostgreSQL ${node.version}; repctl needs 15 or later.`,
      'Upgrade the server.',
    );
  if (node.settings['wal_level'] !== undefined && node.settings['wal_level'] !== 'logical')
    error(
      'wal-level',
      `${node.name} has wal_level=${node.settings['wal_level']}; logical replication needs logical.`,
      `ALTER SYSTEM SET wal_level = 'logical', then restart the server.`,
    );
  findings.push(...strangerFindings(facts, node));
  const epoch = facts.epoch?.epoch;
  if (
    epoch !== undefined &&
    node.name !== facts.epoch?.leader &&
    epochOf(node) > 0 &&
    !isAttached(node, epoch)
  )
    error(
      'node-detached',
      `${node.name} was part of the cluster and is not attached now.`,
      `repctl rewire ${node.name}`,
    );
  return findings;
}
