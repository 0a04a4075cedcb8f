/** What a run has come to, as result.json has it. Pure but for what it says of this machine. */
import { RepctlError, messageOf } from '../errors.js';
import { environmentOf } from './environment.js';
import { type Line, type StepLine, sorted } from './history.js';
import { gradeOf } from './judge/grade.js';
import { type End, measure } from './judge/measure.js';
import { verdictsOf } from './judge/verdicts.js';
import type { Schedule } from './plan.js';
import type { DrillResult, StepResult } from './result.js';
import type { Scenario } from './scenario.js';

export interface Outcome {
  /** Of PostgreSQL, by node. */
  readonly versions: Readonly<Record<string, string>>;
  /** How long the workload ran; null: it never began. */
  readonly ms: number | null;
  readonly end: End;
  /** What ended it before its time. */
  readonly error: unknown;
}

export interface Run {
  readonly run: string;
  readonly scenario: Scenario;
  readonly schedule: Schedule;
  readonly startedAt: Date;
  readonly command: string;
  readonly interrupted: boolean;
  readonly lines: readonly Line[];
}

export function resultOf(
  { run, scenario, schedule, startedAt, command, interrupted, lines }: Run,
  { versions, ms, end, error }: Outcome,
): DrillResult {
  const history = sorted(lines);
  const measurements = ms === null ? null : measure(history, ms, end);
  const judged = measurements !== null && error === undefined;
  const verdicts = judged ? verdictsOf(scenario.expect, measurements, history.steps) : [];
  return {
    format: 1,
    run,
    scenario: scenario.name,
    variant: scenario.variant,
    title: scenario.title,
    about: scenario.about,
    seed: schedule.seed,
    status: interrupted
      ? 'interrupted'
      : !judged
        ? 'failed'
        : verdicts.every((one) => one.met)
          ? 'met'
          : 'violated',
    startedAt: startedAt.toISOString(),
    ms: Math.round(Date.now() - startedAt.getTime()),
    command,
    environment: environmentOf(versions),
    cluster: scenario.cluster,
    workload: scenario.workload,
    expect: scenario.expect,
    schedule: schedule.steps.map(({ title, atMs, afterMs }) => ({ title, atMs, afterMs })),
    order: schedule.order,
    steps: schedule.steps.map((planned) =>
      stepResult(planned.index, planned.title, planned.step.action, history.steps),
    ),
    measurements,
    verdicts,
    grade: (measurements && gradeOf(history, measurements)) ?? null,
    error: judged || error === undefined ? null : errorOf(error),
  };
}

function stepResult(index: number, title: string, action: string, lines: readonly StepLine[]): StepResult {
  const began = lines.find((line) => line.index === index && line.phase === 'began');
  const ended = lines.find((line) => line.index === index && line.phase === 'ended');
  return {
    index,
    title: began?.title ?? title,
    action,
    nodes: began?.nodes ?? [],
    beganAt: began?.at ?? null,
    endedAt: ended?.at ?? null,
    ok: ended?.ok ?? null,
    exit: ended?.exit ?? null,
    detail: ended?.detail ?? null,
  };
}

const errorOf = (error: unknown): { code: string; message: string } => ({
  code: error instanceof RepctlError ? error.code : 'bug',
  message: messageOf(error),
});
