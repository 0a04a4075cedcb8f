/** What a drill will do to the user's own cluster, before it is asked about. Pure. */
import type { Survey } from '../drill/configured/survey.js';
import type { Scenario } from '../drill/scenario.js';
import { formatDuration } from './format.js';
import { wrap } from './wrap.js';

/** Room for what a line is about, before what it says. */
const LABEL = 11;

export interface DrillPlan {
  readonly survey: Survey;
  readonly scenarios: readonly Scenario[];
  /** Runs of each. */
  readonly repeat: number;
}

/** Lines to read, at most `width` wide, and the question. */
export function renderDrillPlan(
  { survey, scenarios, repeat }: DrillPlan,
  width = 80,
): {
  readonly lines: readonly string[];
  readonly question: string;
} {
  const { cluster, nodes, leader, to, leftover } = survey;
  const moves = scenarios.some(({ steps }) => steps.some(({ action }) => action === 'switchover'));
  const told = (label: string, text: string): string[] =>
    wrap(text, Math.max(20, width - LABEL)).map(
      (line, index) => `${(index === 0 ? `  ${label}` : '').padEnd(LABEL)}${line}`,
    );
  return {
    lines: [
      `Against the cluster ${cluster} (${nodes.join(', ')}), which is in use:`,
      ...(leftover === undefined ? [] : told('first', leftoverText(leftover, leader))),
      ...told(
        'table',
        'repctl_drill.products is made on every node, replicated, and removed again; no other is written to',
      ),
      ...(moves
        ? told(
            'leader',
            `moves from ${leader ?? 'whoever leads'} to ${to ?? 'a replica'} and back, with the hooks of the configuration`,
          )
        : []),
      ...scenarios.flatMap(({ name, workload: { duration, writers, readers } }) =>
        told(
          'load',
          `${name}: ${String(writers.rate)} writes and ${String(readers.rate)} reads a second for ${formatDuration(duration)} at least${repeat === 1 ? '' : `, ${String(repeat)} times`}`,
        ),
      ),
    ],
    question: `Run it on ${cluster} now?`,
  };
}

function leftoverText({ mark, nodes }: NonNullable<Survey['leftover']>, leader: string | null): string {
  const moved =
    leader === null || mark.leader === leader
      ? ''
      : `; ${mark.leader} led before it (repctl switchover ${mark.leader})`;
  return `what drill ${mark.run}, which was killed, has left on ${nodes.join(', ')} is removed${moved}`;
}
