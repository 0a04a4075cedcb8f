/** The one executor: runs the steps of a plan in order, journals each, stops between steps when asked to. */
import { EXIT, type ExitCode, RepctlError, messageOf } from '../errors.js';
import type { Journal } from './journal.js';
import type { Plan, Step } from './plan.js';

interface AnyAction {
  readonly kind: string;
}

/** What a runner may say about its step: shown after its title, kept in the journal and the event. */
export type StepResult = Readonly<Record<string, unknown>> | undefined;

/** Progress inside a step: `done` of `total` when countable. */
export interface StepProgress {
  readonly message?: string;
  readonly done?: number;
  readonly total?: number;
  readonly unit?: string;
}

/** What a runner is told besides its action; `finished` are the steps of this run so far, for those that record them. */
export interface RunContext {
  readonly report: (progress: StepProgress) => void;
  readonly finished: readonly FinishedStep[];
}

/** One runner per kind of action. Each is idempotent: run twice, it leaves what running it once leaves. */
export type Runners<Action extends AnyAction> = {
  readonly [Kind in Action['kind']]: (
    action: Extract<Action, { kind: Kind }>,
    context: RunContext,
  ) => Promise<StepResult>;
};

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
  /** Steps of the same operation that ran before this plan was made; the records tell of them too. */
  before?: readonly FinishedStep[] | undefined;
  /** Asked before each step whether it may run at all; what it throws is the step's failure. */
  guard?: ((step: Step) => Promise<void>) | undefined;
}

/**
 * Runs every step; consecutive steps of one group run at the same time. Throws RepctlError: `interrupted`
 * (exit 130) between two steps, or in one whose runner asks the signal; else what the runner threw, with what is done
 * and how to go on (exit 7; 6 when a runner refused before anything was done; 1 for a bug).
 */
export async function execute<Action extends AnyAction>(
  plan: Plan<Action>,
  runners: Runners<Action>,
  options: ExecuteOptions,
): Promise<FinishedStep[]> {
  const finished: FinishedStep[] = [];
  const before = options.before ?? [];
  const emit = options.onEvent ?? (() => undefined);

  const order = ({ id }: FinishedStep): number => plan.steps.findIndex((step) => step.id === id);

  const runStep = async (step: Step<Action>): Promise<void> => {
    const about = { operation: plan.operation, step: step.id, node: step.node };
    let start = performance.now();
    let begun = false;
    try {
      await options.guard?.(step);
      start = performance.now();
      emit({ type: 'start', step, index: plan.steps.indexOf(step), total: plan.steps.length });
      await options.journal.append({ event: 'start', ...about });
      begun = true;
      const run = runners[step.action.kind as Action['kind']] as (
        action: Action,
        context: RunContext,
      ) => Promise<StepResult>;
      const result = await run(step.action, {
        finished: [...before, ...finished],
        report: (progress) => {
          emit({ type: 'progress', step, progress });
        },
      });
      const ms = performance.now() - start;
      finished.push({ id: step.id, node: step.node, title: step.title, ms, result });
      await options.journal.append({ event: 'done', ...about, ms, result });
      emit({ type: 'done', step, ms, result });
    } catch (thrown) {
      const ms = performance.now() - start;
      const { signal } = options;
      // A runner that looks at the signal itself, where its work can be left alone, throws the signal's own reason.
      const error =
        signal?.aborted === true && thrown === signal.reason
          ? interrupted(plan, { before, finished })
          : stepFailed(plan, step, { before, finished, begun }, thrown);
      // What failed is told in any case; where the journal itself failed it cannot be told there.
      await options.journal
        .append({ event: 'failed', ...about, ms, code: error.code, message: error.message })
        .catch(() => undefined);
      if (begun) emit({ type: 'failed', step, ms, error });
      throw error;
    }
  };

  for (const group of groupsOf(plan.steps)) {
    if (options.signal?.aborted) throw interrupted(plan, { before, finished });
    const outcomes = await Promise.allSettled(group.map(runStep));
    // Told in the order of the plan, not in that in which parallel steps happened to end.
    finished.sort((a, b) => order(a) - order(b));
    const failed = outcomes.find((outcome) => outcome.status === 'rejected');
    if (failed) throw failed.reason;
  }
  return finished;
}

/** Steps in runs of the same group; a step without a group is a run of its own. */
function groupsOf<Action extends AnyAction>(steps: readonly Step<Action>[]): Step<Action>[][] {
  const groups: Step<Action>[][] = [];
  for (const step of steps) {
    const last = groups.at(-1);
    if (last !== undefined && step.group !== undefined && last[0]?.group === step.group) last.push(step);
    else groups.push([step]);
  }
  return groups;
}

/** The steps that are done: of an earlier plan of the same operation, and of this one. */
interface Done {
  readonly before: readonly FinishedStep[];
  readonly finished: readonly FinishedStep[];
}

const doneIds = ({ before, finished }: Done): string[] => [...before, ...finished].map((one) => one.id);

const countDone = (plan: Plan, { before, finished }: Done): string =>
  `${String(before.length + finished.length)} of ${String(before.length + plan.steps.length)} steps`;

function interrupted(plan: Plan, done: Done): RepctlError {
  return new RepctlError(
    'interrupted',
    `Interrupted: ${countDone(plan, done)} of ${plan.operation} are done.`,
    {
      exit: EXIT.interrupted,
      hint: 'Run the same command again to go on.',
      details: { done: doneIds(done) },
    },
  );
}

function stepFailed(
  plan: Plan,
  step: Step,
  done: Done & { readonly begun: boolean },
  error: unknown,
): RepctlError {
  const inner = error instanceof RepctlError ? error : undefined;
  const nothing = !done.begun && doneIds(done).length === 0;
  const untouched = inner?.exit === EXIT.refused && doneIds(done).length === 0;
  const rest = `${countDone(plan, done)} are done; the same command goes on from there.`;
  const message = done.begun ? `${step.title} failed: ${messageOf(error)}` : messageOf(error);
  return new RepctlError(inner?.code ?? 'bug', message, {
    exit: exitOf(inner, untouched, nothing),
    hint: [inner?.hint, untouched || nothing ? 'Nothing was changed.' : rest]
      .filter((line) => line !== undefined)
      .join('\n'),
    details: { ...inner?.details, step: step.id, done: doneIds(done) },
    cause: error,
  });
}

/** What a step ran into decides the exit status; only a difference between nodes outranks "incomplete". */
function exitOf(inner: RepctlError | undefined, untouched: boolean, nothing: boolean): ExitCode {
  if (inner === undefined) return EXIT.bug;
  if (inner.exit === EXIT.diverged) return EXIT.diverged;
  // What came before the first step failed: a hook.
  if (inner.exit === EXIT.rolledBack && nothing) return EXIT.rolledBack;
  return untouched ? EXIT.refused : EXIT.incomplete;
}
