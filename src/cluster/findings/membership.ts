/** Findings about whether each database is the one that the configuration means. Pure. */
import { ident } from '../../postgres/quote.js';
import { reachableNodes } from '../epochs.js';
import type { Finding, ReachableNode } from '../model.js';
import type { View } from './view.js';

/** Whether the database is the one that the configuration means. */
export function membership(view: View, node: ReachableNode): readonly Finding[] {
  const findings: Finding[] = [];
  if (node.metadata === 'denied') {
    findings.push({
      code: 'privilege-missing',
      severity: 'error',
      node: node.name,
      message: `${node.user} may not read schema repctl`,
      fix: `grant usage on schema repctl to ${node.user}; grant select on all tables in schema repctl to ${node.user}`,
    });
  } else if (node.identity === null && view.epoch > 0) {
    findings.push({
      code: 'node-not-created',
      severity: 'error',
      node: node.name,
      message: 'this database is not part of the cluster yet',
      fix: 'repctl cluster create',
    });
  }
  if (node.metadata === 'present' && node.reserved === null) findings.push(reservedHidden(node));
  const foreign = node.clusterName !== null && node.clusterName !== view.config.cluster;
  if (foreign && !view.config.clusterAssumed) {
    findings.push({
      code: 'other-cluster',
      severity: 'error',
      node: node.name,
      message: `this database belongs to cluster ${node.clusterName}`,
      fix: 'Check the URL in the configuration.',
    });
  }
  const twin = reachableNodes(view.snapshot).some(
    (other) => other.name !== node.name && isSameDatabase(other, node),
  );
  if (node.identity !== null && node.identity !== node.name && !twin) {
    findings.push({
      code: 'identity-mismatch',
      severity: 'error',
      node: node.name,
      message: `the database behind ${node.name} says that it is ${node.identity}`,
      fix: 'Check the URLs in the configuration: two may be swapped.',
    });
  }
  return findings;
}

/** No leader is promoted where it cannot be noted down beforehand. */
export const reservedHidden = ({ name, user }: ReachableNode): Finding => ({
  code: 'reservations-hidden',
  severity: 'warning',
  node: name,
  message: `${user} may not see and note down on ${name} which epochs were promised to whom: no leader can be promoted`,
  fix: `On ${name}, as the owner of repctl.reserved: grant select, insert, update, delete on repctl.reserved to ${ident(user)}`,
});

const isSameDatabase = (a: ReachableNode, b: ReachableNode): boolean =>
  a.identity !== null &&
  a.identity === b.identity &&
  a.systemIdentifier === b.systemIdentifier &&
  a.database === b.database;

export function twins(nodes: readonly ReachableNode[]): readonly Finding[] {
  return nodes.flatMap((node, at) => {
    const first = nodes.slice(0, at).find((other) => isSameDatabase(other, node));
    return first
      ? [
          {
            code: 'same-database-twice',
            severity: 'error',
            node: node.name,
            message: `${first.name} and ${node.name} are the same database (it says that it is ${node.identity ?? '?'})`,
            fix: 'Give each node a URL of its own in the configuration.',
          } as const,
        ]
      : [];
  });
}
