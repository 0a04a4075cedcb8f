/** What comes after a promotion: everybody attached at once, the stream proved, standby slots, tombstone. Pure. */
import type { Epoch, ReachableNode } from '../cluster/model.js';
import type { Lsn } from '../postgres/lsn.js';
import type { OperationStep } from './actions.js';
import { type Facts, isAttached } from './facts.js';
import { finishSteps } from './finish.js';
import { whyNotMappable } from './mappable.js';
import { stepFor } from './steps.js';

export interface Tail {
  readonly operation: string;
  readonly leader: ReachableNode;
  /** The epoch before. */
  readonly from: Epoch;
  readonly epoch: number;
  /** Who shall follow the leader, among those that answer. */
  readonly siblings: readonly ReachableNode[];
  readonly forkPoint: Lsn;
}

/** The steps; who follows in the end; and for each node that cannot be attached without copying, a note that says why. */
export function tailSteps(
  facts: Facts,
  tail: Tail,
): { steps: OperationStep[]; notes: string[]; attached: readonly string[] } {
  const { operation, leader, from, epoch, siblings, forkPoint } = tail;
  const notes: string[] = [];
  const attach: ReachableNode[] = [];
  const attached: ReachableNode[] = [];
  for (const node of siblings) {
    if (isAttached(node, epoch)) {
      attached.push(node);
      continue;
    }
    const why = whyNotMappable({ node, leader, from, forkPoint });
    if (why === undefined) attach.push(node);
    else
      notes.push(
        `${node.name} stays detached: ${why}; afterwards: repctl ${node.name === from.leader ? 'rejoin' : 'rewire'} ${node.name}`,
      );
  }
  const replicas = siblings.filter((node) => attach.includes(node) || attached.includes(node));
  return {
    notes,
    attached: replicas.map((node) => node.name),
    steps: [
      ...attach.map(({ name }) =>
        stepFor({ kind: 'attach', node: name, leader: leader.name, epoch, from: from.epoch }, 'attach'),
      ),
      ...finishSteps(facts, { leader: leader.name, epoch, replicas, operation, subject: leader.name }),
    ],
  };
}
