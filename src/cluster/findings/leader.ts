/** Findings about who leads, who may write, and which epoch each node has reached. Pure. */
import {
  epochOf,
  fenced,
  hasMajority,
  ownSubscription,
  reachableNodes,
  tombstones,
  unheardPromises,
  writable,
} from '../epochs.js';
import type { Finding, ReachableNode } from '../model.js';
import { subscriptionEpoch } from '../names.js';
import { isStaleLeader, wayBack } from '../report.js';
import { membership, twins } from './membership.js';
import type { View } from './view.js';

/** A server that answers, but not as wanted, needs no start. */
const FIXES: Readonly<Record<string, string>> = {
  'auth-failed': 'Check its user and password: the URL, PGPASSWORD or .pgpass.',
  'database-missing': 'Check the database name in its URL.',
  'too-many-connections': 'Raise max_connections there, or close clients.',
  'node-starting': 'Wait until it has started.',
  'version-unsupported': 'Upgrade the server.',
};

export function leaderFindings(view: View): readonly Finding[] {
  const { snapshot } = view;
  const nodes = reachableNodes(snapshot);
  const findings: Finding[] = snapshot.nodes
    .filter((node) => !node.reachable)
    .map((node) =>
      node.name === view.leaderName
        ? {
            code: 'leader-unreachable',
            severity: 'critical',
            node: node.name,
            message: `the leader does not answer: ${node.message}`,
            fix: 'repctl failover',
          }
        : {
            code: node.code === 'version-unsupported' ? node.code : 'node-unreachable',
            severity: 'error',
            node: node.name,
            message: node.message,
            fix: FIXES[node.code] ?? 'Start the server, or check the URL and the network.',
          },
    );
  return [
    ...findings,
    ...leadership(view, nodes),
    ...writers(view, nodes),
    ...nodes.flatMap((node) => [...membership(view, node), ...staleness(view, node)]),
    ...twins(nodes),
  ];
}

function leadership(view: View, nodes: readonly ReachableNode[]): readonly Finding[] {
  const findings: Finding[] = [];
  if (nodes.length > 0 && view.leaderName === null) {
    const made = nodes.some((node) => node.metadata === 'present' || node.identity !== null);
    // Not "not created": on a cluster that is there, creating it would be the wrong thing to type.
    const hidden = nodes.filter((node) => node.metadata === 'denied').map((node) => node.name);
    const silent = view.snapshot.nodes.filter((node) => !node.reachable).map((node) => node.name);
    findings.push({
      code: 'no-leader',
      severity: 'critical',
      message: made
        ? 'no epoch is recorded on any node: the cluster was not finished'
        : hidden.length > 0
          ? `the records of the cluster may not be read on ${hidden.join(', ')}`
          : silent.length > 0
            ? `no node that answers knows of the cluster: ${silent.join(', ')} may`
            : 'the cluster has not been created yet',
      fix:
        !made && hidden.length > 0
          ? 'Grant what is named below, or connect as another role.'
          : silent.length > 0
            ? 'Start the other nodes, or check their URLs and the network.'
            : 'repctl cluster create',
    });
  } else if (view.leaderName !== null && !view.snapshot.nodes.some((node) => node.name === view.leaderName)) {
    findings.push({
      code: 'no-leader',
      severity: 'critical',
      message: `${view.leaderName} leads epoch ${String(view.epoch)} but is not in the configuration`,
      fix: `Add ${view.leaderName} to the configuration, or repctl failover`,
    });
  }
  if (!hasMajority(view.snapshot)) {
    findings.push({
      code: 'no-majority',
      severity: view.leader ? 'error' : 'critical',
      message: `${String(nodes.length)} of ${String(view.snapshot.nodes.length)} nodes answer: a newer epoch may be known to the others`,
      fix: 'Start the other nodes, or run this from where they can be reached.',
    });
  }
  const { leader } = view;
  if (!leader) return findings;
  const closed = leader.tables.filter((table) => table.fence === 'enabled');
  if (closed.length > 0) {
    findings.push({
      code: 'leader-fenced',
      severity: 'critical',
      node: leader.name,
      message: `the leader refuses writes: the fence is up on ${closed.map((it) => `${it.schema}.${it.name}`).join(', ')}`,
      fix: leader.barriers?.some((barrier) => barrier.holds)
        ? `repctl switchover goes on with the one that was interrupted; or repctl unfence ${leader.name} gives it up`
        : `repctl unfence ${leader.name}, unless a switchover is under way`,
    });
  }
  if (leader.settings['default_transaction_read_only'] === 'on' || leader.inRecovery) {
    findings.push({
      code: 'leader-read-only',
      severity: 'critical',
      node: leader.name,
      message: leader.inRecovery
        ? 'the leader is a physical standby and takes no writes'
        : 'the leader refuses writes: default_transaction_read_only is on',
      fix: leader.inRecovery ? 'repctl failover' : 'alter system reset default_transaction_read_only',
    });
  }
  const following = ownSubscription(leader);
  if (following?.enabled) {
    findings.push({
      code: 'leader-subscribed',
      severity: 'error',
      node: leader.name,
      message: `the leader still has the live subscription ${following.name}: rows come in from elsewhere`,
      fix: `repctl subscription disable ${following.name}`,
    });
  }
  for (const { epoch, node } of unheardPromises(view.snapshot, view.epoch))
    findings.push({
      code: 'epoch-promised',
      severity: 'warning',
      node,
      message: `was about to lead epoch ${String(epoch)} when it was last heard of: if it did, it counts as the leader once it is back, and what ${leader.name} writes until then as stranded`,
      fix: view.snapshot.nodes.some(({ name }) => name !== node && name !== leader.name)
        ? `repctl switchover --without ${node}, before it is back, takes a higher number`
        : `Bring ${node} back, then repctl status`,
    });
  const kept = tombstones(leader);
  const attached = view.reports.every(
    (it) => it.role === 'leader' || it.state === 'streaming' || it.state === 'catching-up',
  );
  if (kept.length > 0 && attached) {
    findings.push({
      code: 'tombstone-left',
      severity: 'info',
      node: leader.name,
      message: `${kept.map((it) => it.name).join(', ')} is kept although every node is attached`,
      fix: 'repctl cluster create finishes what was left',
    });
  }
  return findings;
}

/** Whoever takes writes must be the leader, and nobody else. */
function writers(view: View, nodes: readonly ReachableNode[]): readonly Finding[] {
  const members = nodes.filter((node) => node.identity !== null && epochOf(node) > 0);
  const open = members.filter(writable);
  const findings: Finding[] = [];
  if (open.length > 1) {
    const others = open.filter((node) => node.name !== view.leaderName);
    findings.push({
      code: 'two-writable-nodes',
      severity: 'critical',
      message: `${open.map((node) => node.name).join(' and ')} take writes at the same time`,
      fix: others.map((node) => `repctl fence ${node.name}`).join('; '),
    });
  }
  for (const node of nodes.filter((it) => it.identity !== null)) {
    const missing = node.tables.filter((table) => table.fence === 'missing');
    const leads = node.name === view.leaderName;
    if (missing.length > 0) {
      findings.push({
        code: 'fence-missing',
        severity: leads ? 'warning' : 'error',
        node: node.name,
        message: `no fence on ${missing.map((it) => `${it.schema}.${it.name}`).join(', ')}: ${leads ? 'it could not be fenced when the leader changes' : 'clients can write here'}`,
        fix: 'repctl cluster create',
      });
    }
    const down = node.tables.filter((table) => table.fence === 'disabled');
    if (!leads && down.length > 0 && !isStaleLeader(view.snapshot, node) && view.leaderName !== null) {
      findings.push({
        code: 'fence-down',
        severity: 'error',
        node: node.name,
        message: `the fence is down on ${down.map((it) => `${it.schema}.${it.name}`).join(', ')}: clients can write here`,
        fix: `repctl fence ${node.name}`,
      });
    }
  }
  return findings;
}

function staleness(view: View, node: ReachableNode): readonly Finding[] {
  const reached = epochOf(node);
  if (reached === 0 || reached >= view.epoch) return [];
  if (isStaleLeader(view.snapshot, node)) {
    const closed = fenced(node);
    const back = wayBack(view.snapshot, node);
    return [
      {
        code: closed ? 'stale-leader' : 'stale-leader-unfenced',
        severity: closed ? 'error' : 'critical',
        node: node.name,
        message: `led epoch ${String(reached)} and does not know that ${view.leaderName ?? 'another node'} leads epoch ${String(view.epoch)}${closed ? '' : '; it still takes writes'}`,
        fix: closed ? back : `repctl fence ${node.name} stops its writes at once, then ${back}`,
      },
    ];
  }
  const subscription = ownSubscription(node);
  return subscription && subscriptionEpoch(subscription.name) === view.epoch
    ? [
        {
          code: 'epoch-behind',
          severity: 'info',
          node: node.name,
          message: `has reached epoch ${String(reached)} of ${String(view.epoch)}: the newer one is on its way in the stream`,
        },
      ]
    : [];
}
