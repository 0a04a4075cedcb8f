/** How far each replica is behind its leader, and which thresholds that crosses. Pure. */
import type { Analysis } from './analyse.js';
import type { NodeState, Snapshot } from './model.js';
import { reachableLeader, slotFor } from './epochs.js';
import { percentile } from '../percentile.js';
import { round } from './words.js';

/** End-to-end delays of probe rows, milliseconds. */
export interface ProbeSummary {
  readonly samples: number;
  /** Probes that did not arrive in time. */
  readonly timeouts: number;
  readonly minMs: number | null;
  readonly p50Ms: number | null;
  readonly p95Ms: number | null;
  readonly maxMs: number | null;
}

export interface ReplicaLag {
  readonly node: string;
  readonly state: NodeState;
  readonly behindBytes: number | null;
  readonly behindMs: number | null;
  /** Published transactions that wait; null where counting them is not cheap. */
  readonly behindTransactions: number | null;
  readonly probe: ProbeSummary | null;
}

export interface Crossed {
  readonly node: string;
  readonly limit: 'max-bytes' | 'max-seconds';
  readonly allowed: number;
  /** null: not known, which is not below the limit. */
  readonly actual: number | null;
}

export interface LagReport {
  readonly cluster: string;
  readonly takenAt: string;
  readonly leader: string;
  readonly replicas: readonly ReplicaLag[];
  readonly crossed: readonly Crossed[];
}

export interface LagLimits {
  readonly maxBytes?: number | undefined;
  readonly maxSeconds?: number | undefined;
}

/** `delays` by node, as probe() measures them; without it nothing was probed. */
export function lagReport(
  analysis: Analysis & { readonly leader: string },
  snapshot: Snapshot,
  limits: LagLimits = {},
  delays?: ReadonlyMap<string, readonly (number | null)[]>,
): LagReport {
  const leader = reachableLeader(snapshot);
  const replicas = analysis.nodes
    .filter((node) => node.role === 'replica')
    .map((node): ReplicaLag => {
      const pending = leader && slotFor(leader, node.name)?.pendingTransactions;
      const measured = delays?.get(node.name);
      return {
        node: node.name,
        state: node.state,
        behindBytes: node.behindBytes,
        behindMs: node.behindMs === null ? null : round(node.behindMs),
        behindTransactions: node.behindBytes === 0 ? 0 : (pending ?? null),
        probe: measured ? summarise(measured) : null,
      };
    });
  return {
    cluster: analysis.cluster,
    takenAt: analysis.takenAt,
    leader: analysis.leader,
    replicas,
    crossed: replicas.flatMap((replica) => crossedBy(replica, limits)),
  };
}

function crossedBy(replica: ReplicaLag, { maxBytes, maxSeconds }: LagLimits): readonly Crossed[] {
  const crossed: Crossed[] = [];
  const { node, behindBytes, behindMs, probe } = replica;
  if (maxBytes !== undefined && (behindBytes === null || behindBytes > maxBytes))
    crossed.push({ node, limit: 'max-bytes', allowed: maxBytes, actual: behindBytes });
  if (maxSeconds !== undefined) {
    const lost = (probe?.timeouts ?? 0) > 0;
    const known = [behindMs, probe?.maxMs ?? null].filter((ms) => ms !== null);
    const worst = known.length === 0 || lost ? null : Math.max(...known) / 1000;
    if (worst === null || worst > maxSeconds)
      crossed.push({ node, limit: 'max-seconds', allowed: maxSeconds, actual: worst });
  }
  return crossed;
}

/** `null` among the delays is a probe that did not arrive. */
export function summarise(delays: readonly (number | null)[]): ProbeSummary {
  const arrived = delays.filter((ms) => ms !== null).toSorted((a, b) => a - b);
  const at = (share: number): number | null => {
    const ms = percentile(arrived, share);
    return ms === null ? null : round(ms);
  };
  return {
    samples: delays.length,
    timeouts: delays.length - arrived.length,
    minMs: at(0),
    p50Ms: at(0.5),
    p95Ms: at(0.95),
    maxMs: at(1),
  };
}
