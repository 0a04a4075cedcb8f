/** What `drill run` is to run. */
import { drawGameDay } from '../drill/game-day.js';
import { loadScenarios, shippedFiles } from '../drill/load.js';
import type { Scenario } from '../drill/scenario.js';
import { RepctlError } from '../errors.js';
import { parseDuration } from './duration.js';

export interface DrillChoice {
  readonly all: boolean;
  readonly 'game-day': boolean;
  readonly 'time-limit'?: string | undefined;
  readonly seed: number;
}

/** By name, all, or one that is drawn. Throws `usage` (exit 2) for none of these or several, and as loadScenarios does. */
export function chosenScenarios(named: readonly string[], flags: DrillChoice): readonly Scenario[] {
  const { all, 'game-day': gameDay, 'time-limit': limit, seed } = flags;
  const ways = [all, gameDay, named.length > 0].filter(Boolean).length;
  if (ways !== 1)
    throw new RepctlError('usage', ways === 0 ? 'Which drill?' : 'Give names, --all or --game-day.', {
      hint: 'repctl drill list shows them.',
    });
  if (gameDay) return [drawGameDay(seed, limit === undefined ? undefined : parseDuration(limit))];
  return loadScenarios(all ? shippedFiles() : named);
}
