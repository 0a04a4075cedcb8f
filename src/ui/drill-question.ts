/** What a drill will do to the user's own cluster, before it is asked about. Pure. */
import type { Survey } from '../drill/configured/survey.js';
import type { Scenario } from '../drill/scenario.js';
import { formatDuration } from './format.js';

export interface DrillPlan {
  readonly survey: Survey;
  readonly scenarios: readonly Scenario[];
  /** Runs of each. */
  readonly repeat: number;
}

/** Lines to read, and the question. */
export function renderDrillPlan({ survey, scenarios, repeat }: DrillPlan): {
  readonly lines: readonly string[];
  readonly question: string;
} {
  const { cluster, nodes, leader, to, leftover } = survey;
  const moves = scenarios.some(({ steps }) => steps.some(({ action }) => action === 'switchover'));
  return {
    lines: [
      `Against the cluster ${cluster} (${nodes.join(', ')}), which is in use:`,
      ...(leftover === undefined ? [] : [leftoverLine(leftover, leader)]),
      `  table    repctl_drill.products is made on every node, replicated, and removed again; no other is written to`,
      ...(moves
        ? [
            `  leader   moves from ${leader ?? 'whoever leads'} to ${to ?? 'a replica'} and back, with the hooks of the configuration`,
          ]
        : []),
      ...scenarios.map(
        ({ name, workload: { duration, writers, readers } }) =>
          `  load     ${name}: ${String(writers.rate)} writes and ${String(readers.rate)} reads a second for ${formatDuration(duration)} at least${repeat === 1 ? '' : `, ${String(repeat)} times`}`,
      ),
    ],
    question: `Run it on ${cluster} now?`,
  };
}

function leftoverLine({ mark, nodes }: NonNullable<Survey['leftover']>, leader: string | null): string {
  const moved =
    leader === null || mark.leader === leader
      ? ''
      : `; ${mark.leader} led before it (repctl switchover ${mark.leader})`;
  return `  first    what drill ${mark.run}, which was killed, has left on ${nodes.join(', ')} is removed${moved}`;
}
