/** Runs of the same experiment together: medians and spread. Pure. */
import { groupBy } from '../judge/group.js';
import { percentile } from '../../percentile.js';
import type { DrillResult } from '../result.js';
import { experimentOf } from './read.js';

export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  /** Runs that have this figure. */
  readonly runs: number;
}

/** Runs that came to their end: `interrupted` and `failed` ones tell of nothing. */
export const wholeRuns = (results: readonly DrillResult[]): DrillResult[] =>
  results.filter(({ status }) => status === 'met' || status === 'violated');

/** What is compared over runs; milliseconds, shares, rows, or operations a second. */
export const FIGURES = {
  rto: 'Recovery',
  lost: 'Lost rows',
  noWrites: 'No writes',
  noReads: 'No reads',
  availability: 'Writes answered',
  errors: 'Errors',
  writesPerSecond: 'Writes/s',
  writeP50: 'Write p50',
  writeP99: 'Write p99',
  readP99: 'Read p99',
  lagP95: 'Lag p95',
} as const;
export type Figure = keyof typeof FIGURES;

export interface Experiment {
  /** `scenario` or `scenario/variant`. */
  readonly name: string;
  readonly title: string;
  readonly about: string | null;
  readonly runs: number;
  readonly met: number;
  /** null where no run has it. */
  readonly figures: Readonly<Record<Figure, Spread | null>>;
  /** In how many runs each expectation was met, in the order of the first run. */
  readonly verdicts: readonly {
    readonly expectation: string;
    readonly met: number;
    readonly of: number;
    readonly limit: number | string | null;
    readonly measured: Spread | null;
    /** What was measured where it is no figure, `healthy`; null elsewhere. */
    readonly words: string | null;
  }[];
}

/** The figures of one run; null where it has none: no fault of a leader, no leader in the end, no measurement. */
export function figuresOf({ measurements: m }: DrillResult): Record<Figure, number | null> {
  if (m === null)
    return Object.fromEntries(Object.keys(FIGURES).map((key) => [key, null])) as Record<Figure, null>;
  const recoveries = m.rto.map(({ ms }) => ms);
  const lags = Object.entries(m.lag)
    .filter(([node]) => node !== m.end.leader)
    .flatMap(([, lag]) => lag.p95 ?? []);
  return {
    rto:
      recoveries.length === 0 || recoveries.includes(null)
        ? null
        : Math.max(...recoveries.map((ms) => ms ?? 0)),
    lost: m.rpo?.rows ?? null,
    noWrites: m.writes.unavailable.max ?? 0,
    noReads: m.reads.unavailable.max ?? 0,
    availability: m.writes.availability,
    errors: m.writes.refused + m.writes.unknown + m.reads.refused + m.reads.unknown,
    writesPerSecond: m.ms === 0 ? null : (m.writes.ok * 1000) / m.ms,
    writeP50: m.writes.latency.p50,
    writeP99: m.writes.latency.p99,
    readP99: m.reads.latency.p99,
    lagP95: lags.length === 0 ? null : Math.max(...lags),
  };
}

export function spreadOf(values: readonly (number | null)[]): Spread | null {
  const known = values.filter((value) => value !== null).sort((a, b) => a - b);
  const [min] = known;
  const max = known.at(-1);
  const median = percentile(known, 0.5);
  return min === undefined || max === undefined || median === null
    ? null
    : { median, min, max, runs: known.length };
}

const wordsOf = (measured: readonly (number | string | null)[]): string | null => {
  const words = [...new Set(measured.filter((one) => typeof one === 'string'))];
  return words.length === 0 ? null : words.join(', ');
};

export function experimentsOf(results: readonly DrillResult[]): Experiment[] {
  return [...groupBy(results, experimentOf)].map(([name, runs]) => {
    const figures = runs.map(figuresOf);
    const [first] = runs;
    const expectations = [...new Set(runs.flatMap((run) => run.verdicts.map((one) => one.expectation)))];
    return {
      name,
      title: first?.title ?? name,
      about: first?.about ?? null,
      runs: runs.length,
      met: runs.filter((run) => run.status === 'met').length,
      figures: Object.fromEntries(
        Object.keys(FIGURES).map((key) => [key, spreadOf(figures.map((one) => one[key as Figure]))]),
      ) as Record<Figure, Spread | null>,
      verdicts: expectations.map((expectation) => {
        const all = runs.flatMap((run) => run.verdicts.filter((one) => one.expectation === expectation));
        return {
          expectation,
          met: all.filter((one) => one.met).length,
          of: all.length,
          limit: all.at(-1)?.limit ?? null,
          measured: spreadOf(all.map((one) => (typeof one.measured === 'number' ? one.measured : null))),
          words: wordsOf(all.map((one) => one.measured)),
        };
      }),
    };
  });
}
