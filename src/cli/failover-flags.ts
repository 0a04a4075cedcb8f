/** What `failover` and `promote` share: their flags, and the request made of them. */
import { Flags } from '@oclif/core';
import { lastSeen } from '../cluster/last-seen.js';
import { stateDir } from '../config/paths.js';
import type { FailoverRequest } from '../operations/failover-request.js';
import type { Risk } from '../operations/failover-risk.js';
import type { Plan } from '../plan/plan.js';

export const failoverFlags = {
  'leader-is-dead': Flags.boolean({ summary: 'Go on although replicas still hear the leader.' }),
  'accept-data-loss': Flags.boolean({ summary: 'Go on although transactions are known to be lost by it.' }),
  'accept-minority': Flags.boolean({ summary: 'Go on although fewer than half of the nodes answer.' }),
};

interface Given<Target extends string | undefined> {
  readonly cluster: string;
  /** The new leader, if one was named. */
  readonly target: Target;
  readonly flags: Readonly<Record<keyof typeof failoverFlags, boolean>>;
  /** Whether somebody sees the plan before anything is done: a terminal that is asked, or --dry-run. */
  readonly shown: boolean;
}

/** Reads what was noted down of the leader when it was last seen. */
export const failoverRequest = <Target extends string | undefined>({
  cluster,
  target,
  flags,
  shown,
}: Given<Target>): FailoverRequest & { readonly target: Target } => ({
  target,
  leaderIsDead: flags['leader-is-dead'],
  acceptMinority: flags['accept-minority'],
  acceptDataLoss: flags['accept-data-loss'],
  shown,
  lastSeen: lastSeen(stateDir(), cluster),
});

/** What to type next; `awaited`: the former leader, while it has not found back. */
export const nextAfterFailover = (awaited: string | undefined): string =>
  awaited === undefined ? 'repctl status' : `repctl rejoin ${awaited}, once ${awaited} is back`;

/** The question names what is known to be lost: whoever says yes has accepted it. */
export function failoverQuestion({ data }: Plan): string {
  const { leader = '', knownTransactions = 0 } = (data?.['risk'] ?? {}) as Partial<Risk>;
  return knownTransactions === 0
    ? 'Fail over now?'
    : `Fail over now and lose up to ${String(knownTransactions)} transactions of ${leader}?`;
}
