/** What is known before somebody is asked whether a drill may run on their cluster. Reads only. */
import type { Fleet } from '../../cluster/fleet.js';
import { orRefuse } from '../../operations/run.js';
import { planSwitchover } from '../../operations/switchover.js';
import type { Scenario } from '../scenario.js';
import { lookAt } from './look.js';
import { type Leftover, leftoverIn, requireFit, requireFree } from './refusals.js';

export interface Survey {
  readonly cluster: string;
  readonly nodes: readonly string[];
  /** Who leads now, and leads again in the end; null while something left by another drill hides what is what. */
  readonly leader: string | null;
  /** Whom repctl would choose; null where no step moves the leadership. */
  readonly to: string | null;
  readonly leftover: Leftover | undefined;
}

/** `scenarios` are safe ones. Throws what refusals.ts has, and why there could be no switchover now (exit 6). Nothing is changed. */
export async function survey(fleet: Fleet, scenarios: readonly Scenario[]): Promise<Survey> {
  const look = await lookAt(fleet);
  requireFree(look);
  const leftover = leftoverIn(look);
  const { analysis, snapshot } = look;
  const { leader } = leftover === undefined ? requireFit(look, scenarios) : analysis;
  const moves = scenarios.some(({ steps }) => steps.some(({ action }) => action === 'switchover'));
  const about = {
    cluster: analysis.cluster,
    nodes: snapshot.nodes.map(({ name }) => name),
    leader,
    leftover,
  };
  if (!moves || leftover !== undefined) return { ...about, to: null };
  const request = { without: [], terminateBlockers: false };
  const { data } = orRefuse(planSwitchover(snapshot, fleet.config, request));
  return { ...about, to: typeof data?.['to'] === 'string' ? data['to'] : null };
}
