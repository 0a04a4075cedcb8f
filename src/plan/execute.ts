/** The one executor: runs the steps of a plan in order, journals each, stops between steps when asked to. */
import { EXIT, RepctlError, messageOf } from '../errors.js';
import type { Journal } from './journal.js';
import type { Plan, Step } from './plan.js';

interface AnyAction {
  readonly kind: string;
}

/** What a runner may say about its step: shown after its title, kept in the journal and the event. */
export type StepResult = Readonly<Record<string, unknown>> | undefined;

/** One runner per kind of action. Each is idempotent: run twice, it leaves what running it once leaves. */
export type Runners<Action extends AnyAction> = {
  readonly [Kind in Action['kind']]: (
    step: Step<Extract<Action, { kind: Kind }>>,
    report: (progress: StepProgress) => void,
  ) => Promise<StepResult>;
};

/** Progress inside a step: `done` of `total` when countable. */
export interface StepProgress {
  readonly message?: string;
  readonly done?: number;
  readonly total?: number;
  readonly unit?: string;
}

export type StepEvent =
  | { readonly type: 'start'; readonly step: Step; readonly index: number; readonly total: number }
  | { readonly type: 'progress'; readonly step: Step; readonly progress: StepProgress }
  | { readonly type: 'done'; readonly step: Step; readonly ms: number; readonly result: StepResult }
  | { readonly type: 'failed'; readonly step: Step; readonly ms: number; readonly error: RepctlError };

export interface FinishedStep {
  readonly id: string;
  readonly node: string;
  readonly title: string;
  readonly ms: number;
  readonly result: StepResult;
}

export interface ExecuteOptions {
  journal: Journal;
  onEvent?: ((event: StepEvent) => void) | undefined;
  /** Aborted by the first Ctrl-C: the executor stops before the next step. */
  signal?: AbortSignal | undefined;
}

/**
 * Runs every step. Steps with the same `group` prefix are not run in parallel here: a runner that works on
 * several nodes at once is one step. Throws RepctlError: `interrupted` (exit 130) between two steps;
 * `step-failed` (exit 7, or 6 when it was the first step, so nothing was changed) wrapping what a runner threw.
 */
export async function execute<Action extends AnyAction>(
  plan: Plan<Action>,
  runners: Runners<Action>,
  options: ExecuteOptions,
): Promise<FinishedStep[]> {
  const finished: FinishedStep[] = [];
  const emit = options.onEvent ?? (() => undefined);
  for (const [index, step] of plan.steps.entries()) {
    if (options.signal?.aborted) throw interrupted(plan, finished);
    emit({ type: 'start', step, index, total: plan.steps.length });
    await options.journal.append({
      event: 'start',
      operation: plan.operation,
      step: step.id,
      node: step.node,
    });
    const start = performance.now();
    try {
      const run = runners[step.action.kind as Action['kind']] as (
        step: Step<Action>,
        report: (progress: StepProgress) => void,
      ) => Promise<StepResult>;
      const result = await run(step, (progress) => {
        emit({ type: 'progress', step, progress });
      });
      const ms = performance.now() - start;
      finished.push({ id: step.id, node: step.node, title: step.title, ms, result });
      await options.journal.append({
        event: 'done',
        operation: plan.operation,
        step: step.id,
        node: step.node,
        ms,
        result,
      });
      emit({ type: 'done', step, ms, result });
    } catch (error) {
      const ms = performance.now() - start;
      const failure = stepFailed(plan, step, finished, error);
      await options.journal.append({
        event: 'failed',
        operation: plan.operation,
        step: step.id,
        node: step.node,
        ms,
        code: failure.code,
        message: failure.message,
      });
      emit({ type: 'failed', step, ms, error: failure });
      throw failure;
    }
  }
  return finished;
}

function interrupted(plan: Plan, finished: readonly FinishedStep[]): RepctlError {
  const done = finished.length;
  return new RepctlError(
    'interrupted',
    `Interrupted: ${String(done)} of ${String(plan.steps.length)} steps of ${plan.operation} are done.`,
    {
      exit: EXIT.interrupted,
      hint: 'Run the same command again to go on.',
      details: { done: finished.map((step) => step.id) },
    },
  );
}

function stepFailed(plan: Plan, step: Step, finished: readonly FinishedStep[], error: unknown): RepctlError {
  const inner = error instanceof RepctlError ? error : undefined;
  return new RepctlError(inner?.code ?? 'step-failed', `${step.title} failed: ${messageOf(error)}`, {
    exit:
      inner === undefined
        ? EXIT.bug
        : inner.exit === EXIT.refused && finished.length === 0
          ? EXIT.refused
          : EXIT.incomplete,
    hint: [
      inner?.hint,
      `${String(finished.length)} of ${String(plan.steps.length)} steps are done; the same command goes on from there.`,
    ]
      .filter((line) => line !== undefined)
      .join('\n'),
    details: { ...inner?.details, step: step.id, done: finished.map((one) => one.id) },
    cause: error,
  });
}
