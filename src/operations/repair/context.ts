/** What the runners of a repair work with. */
import type { RunnerContext } from '../runners/context.js';

export interface RepairContext extends RunnerContext {
  /** How long a replica that lags may be waited for, altogether. */
  readonly waitMs: number;
  /** See settle(). */
  readonly writersMs?: number;
  readonly signal?: AbortSignal | undefined;
}
