/** `node add NAME URL`: one more replica, empty (copied) or holding the rows already (proved equal). */
import type { ClusterConfig } from '../config/schema.js';
import type { Finding, Snapshot, TableName } from '../cluster/model.js';
import { SCHEMA } from '../cluster/names.js';
import { type Planned, planned, refused } from '../plan/plan.js';
import type { Action } from './actions.js';
import { isPublished, nodeObstacles, subscribeSteps } from './create.js';
import { factsOf, isAttached, nodeOf, noEpoch } from './facts.js';
import { finishSteps } from './finish.js';
import { stepFor } from './steps.js';

export interface NodeAddRequest {
  readonly name: string;
  /** Its tables hold rows. */
  readonly prefilled: boolean;
  /** What makes it or its tables unfit, see unfit(). */
  readonly unfit?: readonly Finding[];
}

const OPERATION = 'node-add';

/** `config` is the configuration with the new node in it. */
export function planNodeAdd(
  snapshot: Snapshot,
  config: ClusterConfig,
  request: NodeAddRequest,
): Planned<Action> {
  const facts = factsOf(snapshot, config);
  const { epoch, leader } = facts;
  const node = nodeOf(facts, request.name);
  const findings: Finding[] = [];
  if (epoch === undefined) findings.push(...noEpoch(facts));
  else if (leader === undefined)
    findings.push({
      code: 'no-leader',
      severity: 'error',
      message: `${epoch.leader} leads and does not answer.`,
      fix: 'repctl failover',
    });
  const absent = snapshot.nodes.find((one) => one.name === request.name && !one.reachable);
  if (absent !== undefined && !absent.reachable && !findings.some((one) => one.node === absent.name))
    findings.push({ code: absent.code, severity: 'error', node: absent.name, message: absent.message });
  if (node !== undefined) findings.push(...nodeObstacles(facts, node), ...(request.unfit ?? []));
  if (epoch === undefined || leader === undefined || node === undefined || findings.length > 0)
    return refused(OPERATION, findings);

  const tables = leader.tables
    .filter((table) => table.schema !== SCHEMA)
    .map(({ schema, name }): TableName => ({ schema, name }));
  const replicas = facts.reachable.filter(
    (other) => other.name !== leader.name && (other.name === node.name || isAttached(other, epoch.epoch)),
  );
  return planned({
    operation: OPERATION,
    title: `Add ${node.name} as a replica of ${leader.name} (epoch ${String(epoch.epoch)})`,
    notes: [
      request.prefilled
        ? `${node.name} holds rows: they are proved equal to the leader's, nothing is copied`
        : `${node.name} is empty: ${String(tables.length)} tables are copied`,
    ],
    steps: [
      ...(node.identity === null ? [stepFor({ kind: 'prepare', node: node.name, products: false })] : []),
      ...(isPublished(node, tables, false)
        ? []
        : [stepFor({ kind: 'publish', node: node.name, tables, leads: false })]),
      ...subscribeSteps(
        [node],
        leader.name,
        epoch.epoch,
        { tables, prefilled: request.prefilled ? [node.name] : [] },
        true,
      ),
      ...finishSteps(facts, {
        leader: leader.name,
        epoch: epoch.epoch,
        replicas,
        operation: OPERATION,
        subject: node.name,
      }),
    ],
  });
}
