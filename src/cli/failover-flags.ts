/** What `failover` and `promote` share: their flags, and the request made of them. */
import { Flags } from '@oclif/core';
import { lastSeen } from '../cluster/last-seen.js';
import { stateDir } from '../config/paths.js';
import type { FailoverRequest } from '../operations/failover-request.js';

export const failoverFlags = {
  'leader-is-dead': Flags.boolean({ summary: 'Go on although replicas still hear the leader.' }),
  'accept-minority': Flags.boolean({ summary: 'Go on although fewer than half of the nodes answer.' }),
};

interface Given<Target extends string | undefined> {
  readonly cluster: string;
  /** The new leader, if one was named. */
  readonly target: Target;
  readonly flags: Readonly<Record<keyof typeof failoverFlags, boolean>>;
}

/** Reads what was noted down of the leader when it was last seen. */
export const failoverRequest = <Target extends string | undefined>({
  cluster,
  target,
  flags,
}: Given<Target>): FailoverRequest & { readonly target: Target } => ({
  target,
  leaderIsDead: flags['leader-is-dead'],
  acceptMinority: flags['accept-minority'],
  lastSeen: lastSeen(stateDir(), cluster),
});
