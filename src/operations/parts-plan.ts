/** A plan of parts.ts, or its refusal thrown; and how to run it. */
import type { Fleet } from '../cluster/fleet.js';
import { type FinishedStep, execute } from '../plan/execute.js';
import type { Plan } from '../plan/plan.js';
import type { PartAction } from './parts.js';
import { partRunners } from './parts-run.js';
import type { RunOptions } from './run.js';

export const runParts =
  (fleet: Fleet, plan: Plan<PartAction>) =>
  (options: RunOptions): Promise<FinishedStep[]> =>
    execute(plan, partRunners(fleet), options);
