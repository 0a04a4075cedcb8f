/** What an operator may say to a failover. */
import type { SeenLeader } from '../cluster/last-seen.js';

export interface FailoverRequest {
  /** The new leader; default: the most advanced replica. */
  readonly target?: string | undefined;
  /** The operator says that the leader is dead although replicas still hear it. */
  readonly leaderIsDead: boolean;
  /** Go on although fewer than half of the nodes answer. */
  readonly acceptMinority: boolean;
  /** Go on although transactions are known to be lost by it. */
  readonly acceptDataLoss?: boolean;
  /** A person sees the plan with what is at risk and is asked, or it is only shown: no need to refuse for that. */
  readonly shown?: boolean;
  /** The last position of the leader that anybody noted down, if any. */
  readonly lastSeen?: SeenLeader | undefined;
}
