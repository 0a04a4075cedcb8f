/** Figures against expectations: one verdict each. Pure. */
import type { StepLine } from '../history.js';
import type { ExpectPart, Limits } from '../scenario.js';
import type { Measurements } from './measure.js';
import type { Service } from './service.js';

export interface Verdict {
  /** Stable: `rto`, `writes.availability`, `read-your-writes`, … */
  readonly expectation: string;
  readonly met: boolean;
  /** What was asked for and what was measured; durations in milliseconds. */
  readonly limit: number | string | null;
  readonly measured: number | string | null;
  /** The first few violations, where there are any. */
  readonly examples: readonly string[];
}

const most = (expectation: string, limit: number | undefined, measured: number | null): Verdict[] =>
  limit === undefined
    ? []
    : [{ expectation, met: measured !== null && measured <= limit, limit, measured, examples: [] }];

const least = (expectation: string, limit: number | undefined, measured: number | null): Verdict[] =>
  limit === undefined
    ? []
    : [{ expectation, met: measured !== null && measured >= limit, limit, measured, examples: [] }];

const service = (kind: 'writes' | 'reads', limits: Limits | undefined, measured: Service): Verdict[] =>
  limits === undefined
    ? []
    : [
        ...least(`${kind}.availability`, limits.availability, measured.availability),
        ...most(`${kind}.unavailable`, limits.unavailable, measured.unavailable.max),
        ...most(`${kind}.pause`, limits.pause, measured.pauseMs),
        ...most(`${kind}.p99`, limits.p99, measured.latency.p99),
        ...least(`${kind}.p99AtLeast`, limits.p99AtLeast, measured.latency.p99),
        ...most(`${kind}.errors`, limits.errors, measured.refused + measured.unknown),
      ];

function lossWithin(
  loss: Measurements['rpo'],
  rpo: Exclude<ExpectPart['rpo'], 'any'>,
): Pick<Verdict, 'met' | 'limit' | 'measured'> {
  const limit = rpo === 'saved' ? 0 : rpo.rows;
  const measured = (rpo === 'saved' ? loss?.unsaved : loss?.rows) ?? null;
  return { met: measured !== null && measured <= limit, limit, measured };
}

/** Promises that are always judged: a scenario can ask for more, not for less. */
const ALWAYS = {
  'no row twice': 'doubled',
  'no phantom row': 'phantoms',
  'constant total': 'totals',
  'whole transfers': 'transfers',
  'read-your-writes': 'readYourWrites',
  'monotonic reads': 'monotonicReads',
  'consistent prefix': 'consistentPrefix',
  'strong reads': 'strongReads',
} as const;

/** What a session is promised: not judged by itself where a scenario is about its loss (`forgotten`). */
const SESSIONS: readonly string[] = ['read-your-writes', 'monotonic reads'];

const forgotten = ({ violations }: Measurements): number =>
  violations.readYourWrites.length + violations.monotonicReads.length;

export function verdictsOf(
  expect: ExpectPart,
  measured: Measurements,
  steps: readonly StepLine[],
): Verdict[] {
  const worstRto = measured.rto.map(({ ms }) => ms);
  const slowest = worstRto.includes(null) ? null : Math.max(0, ...worstRto.map((ms) => ms ?? 0));
  const failed = steps.filter((step) => step.phase === 'ended' && step.ok === false);
  const unfinished = steps.filter(
    (step) =>
      step.phase === 'began' && !steps.some((one) => one.phase === 'ended' && one.index === step.index),
  );
  const lags = Object.entries(measured.lag)
    .filter(([node]) => node !== measured.end.leader)
    .map(([, lag]) => lag.p95 ?? 0);
  const alone = measured.end.leader === null;
  return [
    {
      expectation: 'every step done',
      met: failed.length + unfinished.length === 0,
      limit: null,
      measured: failed.length + unfinished.length,
      examples: [...failed, ...unfinished].map(
        (step) => `${step.title}${step.detail === undefined ? '' : `: ${step.detail}`}`,
      ),
    },
    ...most('rto', expect.rto, slowest),
    ...(expect.rpo === 'any'
      ? []
      : [
          {
            expectation: expect.rpo === 'saved' ? 'what is lost is saved' : 'rpo',
            ...lossWithin(measured.rpo, expect.rpo),
            examples: measured.rpo?.lost.map((key) => `acknowledged and lost: ${key}`) ?? [],
          },
        ]),
    ...service('writes', expect.writes, measured.writes),
    ...service('reads', expect.reads, measured.reads),
    ...least('reads.balance', expect.reads?.balance, measured.readBalance),
    ...most('lagP95', expect.lagP95, lags.length === 0 ? null : Math.max(...lags)),
    ...least('broughtBack', expect.broughtBack, measured.rpo?.broughtBack ?? null),
    ...least('staleEventual', expect.staleEventual, measured.staleByLevel.eventual ?? null),
    ...least('forgotten', expect.forgotten, forgotten(measured)),
    ...Object.entries(ALWAYS)
      .filter(([expectation]) => expect.forgotten === undefined || !SESSIONS.includes(expectation))
      .map(([expectation, key]) => ({
        expectation,
        // Without a leader in the end nobody can say.
        met:
          measured.violations[key].length === 0 &&
          !(alone && ['doubled', 'phantoms', 'totals'].includes(key)),
        limit: 0,
        measured: measured.violations[key].length,
        examples: measured.violations[key].slice(0, 5),
      })),
    ...(expect.health === 'any'
      ? []
      : [
          {
            expectation: 'healthy',
            met: measured.end.state === 'healthy',
            limit: 'healthy',
            measured: measured.end.state,
            examples: [],
          },
          {
            expectation: 'equal rows',
            met: !alone && measured.differing.length === 0,
            limit: 0,
            measured: measured.differing.length,
            examples: measured.differing.map((node) => `${node} differs from the leader`),
          },
        ]),
  ];
}
