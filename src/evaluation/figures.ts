/** Recorded runs → the figures that the evaluation may name. Pure. */
import { groupBy } from '../drill/judge/group.js';
import { experimentOf } from '../drill/report/read.js';
import { FIGURES, type Spread, figuresOf, spreadOf, wholeRuns } from '../drill/report/summary.js';
import type { DrillResult } from '../drill/result.js';
import { READ_LEVELS } from '../routing/route.js';

type Measure = (result: DrillResult) => number | null;

const known = (of: (m: NonNullable<DrillResult['measurements']>) => number | null): Measure => {
  return ({ measurements }) => (measurements === null ? null : of(measurements));
};

const greatest = (values: readonly number[]): number | null =>
  values.length === 0 ? null : Math.max(...values);

/** How long each command of repctl took, milliseconds; the longest where it was typed several times. */
const took =
  (action: string): Measure =>
  ({ steps }) => {
    const times = steps
      .filter((step) => step.action === action && step.beganAt !== null && step.endedAt !== null)
      .map((step) => (step.endedAt ?? 0) - (step.beganAt ?? 0));
    return greatest(times);
  };

interface Kind {
  readonly head: string;
  readonly measure: Measure;
}

/** Beyond those of the report. */
const MORE: Readonly<Record<string, Kind>> = {
  pause: { head: 'No write of anybody', measure: known((m) => m.writes.pauseMs) },
  readAvailability: { head: 'Reads answered', measure: known((m) => m.reads.availability) },
  writeErrors: { head: 'Failed writes', measure: known((m) => m.writes.refused + m.writes.unknown) },
  readP50: { head: 'Read p50', measure: known((m) => m.reads.latency.p50) },
  lagP50: {
    head: 'Lag p50',
    measure: known((m) => {
      const lags = Object.entries(m.lag)
        .filter(([node]) => node !== m.end.leader)
        .flatMap(([, lag]) => lag.p50 ?? []);
      return greatest(lags);
    }),
  },
  balance: { head: 'Balance of reads', measure: known((m) => m.readBalance ?? null) },
  bytesPerWrite: {
    head: 'Bytes sent a write',
    measure: known((m) => {
      // Runs that were recorded before this was counted have none.
      const sent = Object.values(m.sentBytes ?? {});
      return sent.length === 0 || m.writes.ok === 0
        ? null
        : Math.round(sent.reduce((sum, bytes) => sum + bytes, 0) / m.writes.ok);
    }),
  },
  broughtBack: { head: 'Rows brought back', measure: known((m) => m.rpo?.broughtBack ?? null) },
  violations: {
    head: 'Promises broken',
    measure: known((m) => Object.values(m.violations).reduce((sum, found) => sum + found.length, 0)),
  },
  ...Object.fromEntries(
    READ_LEVELS.map((level): [string, Kind] => [
      `stale:${level}`,
      {
        head: `Stale at ${level}`,
        measure: known((m) => {
          const reads = m.readsByLevel[level] ?? 0;
          return reads === 0 ? null : (m.staleByLevel[level] ?? 0) / reads;
        }),
      },
    ]),
  ),
  ...Object.fromEntries(
    ['failover', 'switchover', 'rejoin', 'rewire', 'repair'].map((action): [string, Kind] => [
      `took:${action}`,
      { head: `repctl ${action}`, measure: took(action) },
    ]),
  ),
};

const kindOf = (figure: string): Kind | undefined =>
  figure in FIGURES
    ? {
        head: FIGURES[figure as keyof typeof FIGURES],
        measure: (result) => figuresOf(result)[figure as keyof typeof FIGURES],
      }
    : MORE[figure];

export interface Figures {
  /** The experiments of a scenario, or the one with this name; none where it was not run. */
  experiments(name: string): readonly string[];
  /** undefined: there is no such figure. Null: no run has it. */
  spread(experiment: string, figure: string): Spread | null | undefined;
  head(figure: string): string | undefined;
  /** How many runs an experiment had, and in how many every expectation was met. */
  runs(experiment: string): { readonly runs: number; readonly met: number };
}

/** Of {@link wholeRuns}. */
export function figuresFrom(results: readonly DrillResult[]): Figures {
  const byName = groupBy(wholeRuns(results), experimentOf);
  return {
    experiments: (name) => [...byName.keys()].filter((one) => one === name || one.startsWith(`${name}/`)),
    spread(experiment, figure) {
      const kind = kindOf(figure);
      return kind === undefined ? undefined : spreadOf((byName.get(experiment) ?? []).map(kind.measure));
    },
    head: (figure) => kindOf(figure)?.head,
    runs(experiment) {
      const all = byName.get(experiment) ?? [];
      return { runs: all.length, met: all.filter((one) => one.status === 'met').length };
    },
  };
}
