/** What an operator may say to a switchover. */
export interface SwitchoverRequest {
  /** The new leader; default: the preferred replica. */
  readonly target?: string | undefined;
  /** Replicas that are left as they are; they are rewired later. */
  readonly without: readonly string[];
  /** How long writers that hold locks, and then the replicas, are waited for; default: the configuration's. */
  readonly drainTimeoutMs?: number | undefined;
  /** End the sessions that still hold locks then, instead of giving up. */
  readonly terminateBlockers: boolean;
}
