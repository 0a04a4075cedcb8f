/** One look at the lag of every replica, with probes where asked for. */
import { EXIT, RepctlError } from '../errors.js';
import { analyse } from './analyse.js';
import { reachableLeader } from './epochs.js';
import type { Fleet } from './fleet.js';
import { type LagLimits, lagReport, type LagReport } from './lag.js';
import { observe } from './observe.js';
import { probe } from './probe.js';

export interface LagRequest {
  readonly limits: LagLimits;
  /** Probes to send; 0 for none. */
  readonly samples: number;
  readonly signal?: AbortSignal | undefined;
}

/** Throws RepctlError `no-leader` (exit 4) or `leader-unreachable` (exit 3): lag is a distance from the leader. */
export async function measureLag(fleet: Fleet, request: LagRequest): Promise<LagReport> {
  const snapshot = await observe(fleet, { pending: true });
  const analysis = analyse(snapshot, fleet.config);
  const { leader } = analysis;
  if (leader === null) {
    throw new RepctlError('no-leader', 'No node knows of a leader.', {
      exit: EXIT.unhealthy,
      hint: 'repctl status',
    });
  }
  if (!reachableLeader(snapshot)) {
    throw new RepctlError('leader-unreachable', `The leader ${leader} does not answer.`, {
      exit: EXIT.unreachable,
      hint: 'repctl status; if it is gone: repctl failover',
      details: { leader },
    });
  }
  const replicas = analysis.nodes
    .filter((node) => node.state === 'streaming' || node.state === 'catching-up')
    .map((node) => node.name);
  const delays =
    request.samples > 0
      ? await probe(fleet, {
          leader,
          replicas,
          epoch: analysis.epoch ?? 0,
          samples: request.samples,
          timeoutMs: Math.min(10_000, fleet.config.statementTimeoutMs),
          signal: request.signal,
        })
      : undefined;
  return lagReport({ ...analysis, leader }, snapshot, request.limits, delays);
}
