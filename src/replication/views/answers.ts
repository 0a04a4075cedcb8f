/** Whose answers a view rests on, and who did not answer. Pure. */
import { nodeNamed, reachableNodes } from '../../cluster/epochs.js';
import type { ReachableNode, Snapshot } from '../../cluster/model.js';
import { EXIT, RepctlError } from '../../errors.js';

export interface Unseen {
  readonly node: string;
  readonly code: string;
  readonly message: string;
}

/** Nodes that did not answer: shown beside what the others said. */
export const unseenNodes = (snapshot: Snapshot, only?: string): readonly Unseen[] =>
  snapshot.nodes.flatMap((node) =>
    node.reachable || (only !== undefined && node.name !== only)
      ? []
      : [{ node: node.name, code: node.code, message: node.message }],
  );

/**
 * Throws `unknown-node` (exit 2), and `node-unreachable` (exit 3) when the asked node, or no node at all, answered.
 * One dead node of many is shown, not thrown: what the others say is worth seeing.
 */
export function requireAnswers(snapshot: Snapshot, only?: string): void {
  if (only !== undefined && nodeNamed(snapshot, only) === undefined) {
    throw new RepctlError('unknown-node', `There is no node ${only} in this cluster.`, {
      hint: `Known nodes: ${snapshot.nodes.map((node) => node.name).join(', ')}`,
    });
  }
  const asked = snapshot.nodes.filter((node) => only === undefined || node.name === only);
  if (asked.some((node) => node.reachable)) return;
  throw new RepctlError(
    'node-unreachable',
    unseenNodes(snapshot, only)
      .map((one) => one.message)
      .join('; '),
    {
      exit: EXIT.unreachable,
      hint: 'repctl status',
    },
  );
}

export const nodesOf = (snapshot: Snapshot, only?: string): readonly ReachableNode[] =>
  reachableNodes(snapshot).filter((node) => only === undefined || node.name === only);
