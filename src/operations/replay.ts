/** `rejoin NODE --replay --file FILE`: what was stranded earlier is offered to the present leader. */
import type { Finding, Snapshot } from '../cluster/model.js';
import type { ClusterConfig } from '../config/schema.js';
import { type Planned, planned, refused } from '../plan/plan.js';
import type { StrandedCounts, StrandedHeader } from '../replication/stranded/model.js';
import type { Action } from './actions.js';
import { factsOf, unknownNode } from './facts.js';
import { stepFor } from './steps.js';

export interface ReplayRequest {
  readonly node: string;
  readonly file: string;
  /** Of the file, which was proved whole. */
  readonly header: StrandedHeader;
  readonly counts: StrandedCounts;
  /** What a dry run found, one sentence each. */
  readonly preview: readonly string[];
}

const OPERATION = 'replay';

export function planReplay(
  snapshot: Snapshot,
  config: ClusterConfig,
  request: ReplayRequest,
): Planned<Action> {
  const { node, file, header, counts } = request;
  const facts = factsOf(snapshot, config);
  const { leader, epoch } = facts;
  const no = (code: string, message: string, fix: string): Finding[] => [
    { code, severity: 'error', node, message, fix },
  ];
  if (!config.nodes.some((one) => one.name === node)) return refused(OPERATION, [unknownNode(facts, node)]);
  if (header.cluster !== config.cluster || header.node !== node)
    return refused(
      OPERATION,
      no(
        'stranded-of-another',
        `${file} is of node ${header.node} of cluster ${header.cluster}.`,
        header.cluster === config.cluster
          ? `repctl rejoin ${header.node} --replay --file …`
          : `With the configuration of ${header.cluster}: repctl rejoin ${header.node} --replay --file …`,
      ),
    );
  if (epoch === undefined || leader === undefined)
    return refused(OPERATION, no('no-leader', 'The leader does not answer.', 'repctl failover'));
  return planned({
    operation: OPERATION,
    title: `Replay what only ${node} had in epoch ${String(header.epoch)} on ${leader.name} (epoch ${String(epoch.epoch)})`,
    notes: [
      `${file}: ${String(counts.changes)} changes in ${String(counts.transactions)} transactions, committed from ${counts.firstAt ?? ''} to ${counts.lastAt ?? ''}`,
      ...request.preview,
    ],
    steps: [
      stepFor({
        kind: 'replay-stranded',
        leader: leader.name,
        node,
        reign: header.epoch,
        epoch: epoch.epoch,
        file,
      }),
    ],
  });
}
