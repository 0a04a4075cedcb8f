/** What doctor saw and tried. */
import type { ClusterConfig } from '../../config/schema.js';
import type { Analysis } from '../analyse.js';
import type { Snapshot } from '../model.js';
import type { Trials } from './trials.js';

export interface DoctorView {
  readonly snapshot: Snapshot;
  readonly config: ClusterConfig;
  readonly analysis: Analysis;
  readonly trials: readonly Trials[];
  /** Nodes whose URL is a pooler's. */
  readonly pooled: readonly string[];
}
