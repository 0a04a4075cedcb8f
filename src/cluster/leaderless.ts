/** No leader is known: whether there is none yet, or nobody could say. Pure. */
import { EXIT, RepctlError } from '../errors.js';
import { currentEpoch, reachableNodes } from './epochs.js';
import type { Snapshot } from './model.js';

/**
 * For a snapshot without a leader: `node-unreachable` (exit 3) where one who knows may not have been heard, `no-leader`
 * (exit 4) where the configuration lacks the leader, and `not-created` (exit 2) only where every node answered and
 * none knows of a cluster: whoever is told to create one that is there already ruins it.
 */
export function leaderless(snapshot: Snapshot): RepctlError {
  const epoch = currentEpoch(snapshot);
  if (epoch !== undefined)
    return new RepctlError(
      'no-leader',
      `${epoch.leader} leads epoch ${String(epoch.epoch)} but is not in the configuration.`,
      {
        exit: EXIT.unhealthy,
        hint: `Add ${epoch.leader} to the configuration, or repctl failover`,
        details: { leader: epoch.leader },
      },
    );
  const silent = snapshot.nodes.flatMap((node) => (node.reachable ? [] : [node]));
  const denied = reachableNodes(snapshot).filter((node) => node.metadata === 'denied');
  if (silent.length + denied.length > 0)
    return new RepctlError(
      'node-unreachable',
      `No node says who leads: ${[
        ...silent.map(({ message }) => message.replace(/\.$/u, '')),
        ...denied.map(({ name, user }) => `${user} may not read schema repctl on ${name}`),
      ].join('; ')}.`,
      {
        exit: EXIT.unreachable,
        hint: 'repctl status',
        details: { nodes: [...silent, ...denied].map(({ name }) => name) },
      },
    );
  return new RepctlError('not-created', 'This cluster has no leader: it was not created yet.', {
    hint: 'repctl cluster create',
  });
}
