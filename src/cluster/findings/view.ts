/** What the finders look at. */
import type { ClusterConfig } from '../../config/schema.js';
import type { Limits } from '../limits.js';
import type { ReachableNode, Snapshot } from '../model.js';
import type { NodeReport } from '../report.js';

export interface View {
  readonly snapshot: Snapshot;
  readonly config: Pick<ClusterConfig, 'cluster' | 'clusterAssumed'>;
  readonly limits: Limits;
  /** 0 before `create`. */
  readonly epoch: number;
  readonly leaderName: string | null;
  /** The leader, if it answered. */
  readonly leader: ReachableNode | undefined;
  readonly reports: readonly NodeReport[];
}
