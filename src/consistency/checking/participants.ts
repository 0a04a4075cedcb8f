/** Who is compared with whom; pure. */
import { leaderOf, reachableNodes } from '../../cluster/epochs.js';
import { leaderless } from '../../cluster/leaderless.js';
import type { ReachableNode, Snapshot } from '../../cluster/model.js';
import { EXIT, RepctlError, messageOf } from '../../errors.js';

export interface Participants {
  readonly leader: ReachableNode;
  readonly replicas: readonly ReachableNode[];
  /** Replicas that did not answer. */
  readonly unreachable: readonly { readonly node: string; readonly code: string; readonly message: string }[];
}

/**
 * `wanted`: replicas; none for all of them. Throws as leaderless() says, `usage` (exit 2), and `node-unreachable`
 * (exit 3) for the leader and for replicas that were named.
 */
export function participantsOf(snapshot: Snapshot, wanted: readonly string[]): Participants {
  const leader = leaderOf(snapshot);
  if (!leader) throw leaderless(snapshot);
  if (!leader.reachable) throw unreachableError(leader.name, leader.message);
  if (wanted.includes(leader.name))
    throw new RepctlError('usage', `${leader.name} is the leader: the others are compared with it.`, {
      hint: 'Name replicas, or no node at all.',
    });
  const others = snapshot.nodes.filter(
    (node) => node.name !== leader.name && (wanted.length === 0 || wanted.includes(node.name)),
  );
  const unreachable = others.flatMap((node) =>
    node.reachable ? [] : [{ node: node.name, code: node.code, message: node.message }],
  );
  const named = unreachable.find((node) => wanted.includes(node.node));
  if (named) throw unreachableError(named.node, named.message);
  return { leader, replicas: reachableNodes(snapshot).filter((node) => others.includes(node)), unreachable };
}

/**
 * The same without replicas that answered before and take no connection now. Throws `node-unreachable` (exit 3) for one
 * that was named.
 */
export function without(
  who: Participants,
  refused: ReadonlyMap<string, unknown>,
  wanted: readonly string[],
): Participants {
  const gone = [...refused].map(([node, error]) => ({
    node,
    code: error instanceof RepctlError ? error.code : 'node-unreachable',
    message: messageOf(error),
  }));
  const named = gone.find(({ node }) => wanted.includes(node));
  if (named) throw unreachableError(named.node, named.message);
  return {
    ...who,
    replicas: who.replicas.filter(({ name }) => !refused.has(name)),
    unreachable: [...who.unreachable, ...gone],
  };
}

const unreachableError = (node: string, message: string): RepctlError =>
  new RepctlError('node-unreachable', message, {
    exit: EXIT.unreachable,
    hint: 'repctl status',
    details: { node },
  });
