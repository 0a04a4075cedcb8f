/** What an operator may say to a failover. */
import type { SeenLeader } from '../cluster/last-seen.js';

export interface FailoverRequest {
  /** The new leader; default: the most advanced replica. */
  readonly target?: string | undefined;
  /** The operator says that the leader is dead although replicas still hear it. */
  readonly leaderIsDead: boolean;
  /** Go on although fewer than half of the nodes answer. */
  readonly acceptMinority: boolean;
  /** The last position of the leader that anybody noted down, if any. */
  readonly lastSeen?: SeenLeader | undefined;
}
