/** Snapshot → what it means: each node's state, the cluster's, and every finding. Pure. */
import type { ClusterConfig } from '../config/schema.js';
import { currentEpoch, reachableLeader } from './epochs.js';
import { leaderFindings } from './findings/leader.js';
import { lockFindings } from './findings/lock.js';
import { replicaFindings } from './findings/replica.js';
import { serverFindings } from './findings/server.js';
import { syncFindings } from './findings/sync.js';
import type { View } from './findings/view.js';
import { DEFAULT_LIMITS, type Limits } from './limits.js';
import type { ClusterState, Finding, Snapshot } from './model.js';
import { type NodeReport, reportOf } from './report.js';
import { bySeverity } from './severity.js';
import { type SyncSummary, syncSummary } from './sync.js';

export interface Analysis {
  readonly cluster: string;
  readonly state: ClusterState;
  readonly takenAt: string;
  readonly epoch: number | null;
  readonly leader: string | null;
  /** What commits wait for; null before `create`. */
  readonly sync: SyncSummary | null;
  readonly nodes: readonly NodeReport[];
  /** The gravest first. */
  readonly findings: readonly Finding[];
}

export function analyse(
  snapshot: Snapshot,
  config: Pick<ClusterConfig, 'cluster' | 'clusterAssumed'>,
  limits: Limits = DEFAULT_LIMITS,
): Analysis {
  const epoch = currentEpoch(snapshot);
  const leader = reachableLeader(snapshot);
  const reports = snapshot.nodes.map((node) => reportOf(snapshot, node, limits));
  const view: View = {
    snapshot,
    config,
    limits,
    epoch: epoch?.epoch ?? 0,
    leaderName: epoch?.leader ?? null,
    leader,
    reports,
  };
  const order = (finding: Finding): number => snapshot.nodes.findIndex((node) => node.name === finding.node);
  const findings = [
    ...leaderFindings(view),
    ...replicaFindings(view),
    ...serverFindings(view),
    ...lockFindings(view),
    ...syncFindings(snapshot),
  ].toSorted((a, b) => bySeverity(a, b) || order(a) - order(b));
  return {
    cluster: snapshot.cluster,
    state: clusterState(findings, reports),
    takenAt: snapshot.takenAt,
    epoch: epoch?.epoch ?? null,
    leader: epoch?.leader ?? null,
    sync: syncSummary(snapshot),
    nodes: reports,
    findings,
  };
}

/** Warnings alone leave a cluster healthy: every node does its work. */
function clusterState(findings: readonly Finding[], reports: readonly NodeReport[]): ClusterState {
  if (findings.some((it) => it.severity === 'critical')) return 'critical';
  const working = reports.every((it) => it.state === 'leading' || it.state === 'streaming');
  return working && !findings.some((it) => it.severity === 'error') ? 'healthy' : 'degraded';
}
