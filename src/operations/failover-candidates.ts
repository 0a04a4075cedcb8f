/** Whom a failover may promote, and why not somebody else. Pure. */
import { epochOf } from '../cluster/epochs.js';
import type { Epoch, Finding, ReachableNode } from '../cluster/model.js';
import { type Lsn, ZERO_LSN, compareLsn, lsnDistance } from '../postgres/lsn.js';
import { ident } from '../postgres/quote.js';
import { type Facts, nodeOf, subscriptionOf } from './facts.js';

/** Replicas that reached the epoch and whose position is known: the furthest first, then priority, then order. */
export function rankCandidates(facts: Facts, epoch: Epoch): ReachableNode[] {
  const order = facts.config.nodes.map((node) => node.name);
  const priority = (name: string): number =>
    facts.config.nodes.find((node) => node.name === name)?.priority ?? 0;
  return facts.reachable
    .filter((node) => node.name !== epoch.leader && epochOf(node) === epoch.epoch)
    .filter(
      (node) => subscriptionOf(node, epoch.epoch)?.tables.every((table) => table.state === 'r') ?? false,
    )
    .filter((node) => position(node, epoch) !== null)
    .sort(
      (a, b) =>
        compareLsn(position(b, epoch) ?? ZERO_LSN, position(a, epoch) ?? ZERO_LSN) ||
        priority(b.name) - priority(a.name) ||
        order.indexOf(a.name) - order.indexOf(b.name),
    );
}

export const position = (node: ReachableNode, epoch: Epoch): Lsn | null =>
  subscriptionOf(node, epoch.epoch)?.appliedLsn ?? null;

export function noCandidate(facts: Facts, epoch: Epoch): Finding {
  const unknown = facts.reachable.flatMap((node) => {
    const why = subscriptionOf(node, epoch.epoch)?.appliedUnknown;
    return why === undefined ? [] : [{ node, why }];
  });
  return {
    code: 'no-candidate',
    severity: 'error',
    message: [
      `No reachable replica has reached epoch ${String(epoch.epoch)} with its tables ready and its position known.`,
      ...unknown.map(({ node, why }) => `${node.name}: its position is not known: ${why}.`),
    ].join('\n'),
    fix:
      unknown[0] === undefined
        ? 'repctl status'
        : `As a superuser, in database ${unknown[0].node.database}: grant execute on function pg_show_replication_origin_status() to ${ident(unknown[0].node.user)}`,
  };
}

export function notACandidate(facts: Facts, epoch: Epoch, name: string): Finding {
  const node = nodeOf(facts, name);
  const why =
    node === undefined
      ? 'it does not answer'
      : epochOf(node) < epoch.epoch
        ? `it has only reached epoch ${String(epochOf(node))}`
        : 'its subscription, its initial copy or its position is not in order';
  return {
    code: 'not-a-candidate',
    severity: 'error',
    node: name,
    message: `${name} cannot be promoted: ${why}.`,
    fix: 'repctl failover without a name takes the most advanced replica.',
  };
}

/** What is said of a named node that is not the furthest; undefined when it is. Naming costs no data, only a moment. */
export function behindNote(epoch: Epoch, named: ReachableNode, best: ReachableNode): string | undefined {
  const here = position(named, epoch) ?? ZERO_LSN;
  const there = position(best, epoch) ?? ZERO_LSN;
  if (compareLsn(here, there) >= 0) return undefined;
  return `${named.name} is ${String(lsnDistance(here, there))} bytes of WAL behind ${best.name} (${here}): ${best.name} takes over so that nothing of it is lost and writes come back at once; then ${named.name}, caught up, by a switchover`;
}
