/**
 * A command that changes a cluster by a plan: shows the plan, asks, runs it with progress. --dry-run shows the
 * very plan that would run, with its SQL.
 */
import { type Command, Flags } from '@oclif/core';
import type { Fleet } from '../cluster/fleet.js';
import { type Lock, inProgress, readHolders } from '../cluster/lock.js';
import { describeHolder } from '../cluster/lock-sql.js';
import { type LockedOptions, guardOf, requireMajority, withLock } from '../operations/locked.js';
import { makePlan, type Planner, type RunOptions, runPlan } from '../operations/run.js';
import type { HookReport } from '../operations/hooks/model.js';
import type { FinishedStep } from '../plan/execute.js';
import type { Plan } from '../plan/plan.js';
import { type PlanView, planView, renderPlan } from '../ui/plan.js';
import { formatDuration } from '../ui/format.js';
import type { Style } from '../ui/color.js';
import { stateDir } from '../config/paths.js';
import { recorded } from '../plan/journal.js';
import { BaseCommand } from './base-command.js';
import { canAsk, confirm } from './confirm.js';
import { PROGRESS_MODES, type ProgressMode, stepReporter } from './progress.js';

/** Frozen shape of --json, docs/json.md. */
export interface ChangeResult {
  readonly operation: string;
  readonly title: string;
  readonly status: 'planned' | 'done' | 'nothing-to-do';
  readonly notes: readonly string[];
  /** The figures behind the notes: what is at risk, for a failover. */
  readonly data: Readonly<Record<string, unknown>>;
  /** With --dry-run the steps to come, else those that ran. */
  readonly steps: readonly (PlanView['steps'][number] | StepReport)[];
  /** The operator's own programs, where any ran. */
  readonly hooks?: readonly HookReport[];
  readonly totalMs: number;
}

export interface StepReport {
  readonly id: string;
  readonly node: string;
  readonly title: string;
  readonly ms: number;
  readonly result: Readonly<Record<string, unknown>> | null;
}

export interface Change {
  readonly fleet: Fleet;
  readonly planner: Planner;
  /** `Promote n2 now?`, or what makes the question of the plan. */
  readonly question: string | ((plan: Plan) => string);
  /** What to type next, printed after success. */
  readonly next?: string | (() => string);
}

export interface CarryOut<Action extends { readonly kind: string }> {
  readonly fleet: Fleet;
  /** Looks and plans; called again once the lock is held. Throws a refusal. */
  readonly plan: () => Promise<Plan<Action>>;
  readonly question: string | ((plan: Plan<Action>) => string);
  readonly next?: string | ((steps: readonly StepReport[]) => string) | undefined;
  /** Show statements with the plan that is asked about, as --dry-run does. */
  readonly sql?: boolean;
  /** Lines below the summary. */
  readonly report?: (steps: readonly StepReport[], style: Style) => readonly string[];
  readonly run: (plan: Plan<Action>, options: RunOptions) => Promise<FinishedStep[]>;
}

interface ChangeFlags {
  readonly yes: boolean;
  readonly 'dry-run': boolean;
  readonly reason?: string;
  readonly 'accept-minority': boolean;
  readonly 'break-lock': boolean;
  readonly progress: ProgressMode;
}

export abstract class ChangeCommand<T extends typeof Command> extends BaseCommand<T> {
  static override baseFlags = {
    ...BaseCommand.baseFlags,
    yes: Flags.boolean({ char: 'y', summary: 'Go ahead without asking.' }),
    'dry-run': Flags.boolean({ summary: 'Show the plan with its SQL and change nothing.' }),
    reason: Flags.string({ summary: 'Why, for the history.', helpValue: 'TEXT' }),
    'accept-minority': Flags.boolean({ summary: 'Go on although fewer than half of the nodes answer.' }),
    'break-lock': Flags.boolean({
      summary: 'End the connections of an operation that is stuck, then go on.',
    }),
    progress: Flags.option({
      summary: 'How steps are shown on stderr: json is one line of JSON for each event.',
      options: PROGRESS_MODES,
      default: 'auto' as const,
    })(),
  };

  /** The flags of {@link ChangeCommand.baseFlags}, which TypeScript cannot see through the generic parent. */
  private get changeFlags(): ChangeFlags {
    return this.flags as unknown as ChangeFlags;
  }

  /** Whether somebody sees the plan before anything is done: at a terminal that is asked, or with --dry-run. */
  protected get shown(): boolean {
    const { yes, 'dry-run': dryRun } = this.changeFlags;
    return dryRun || (!yes && canAsk(this.jsonEnabled()));
  }

  protected async change({ planner, ...change }: Change): Promise<ChangeResult> {
    return this.carryOut({
      ...change,
      plan: () => makePlan(change.fleet, planner),
      run: (plan, options) => runPlan(plan, planner, options),
    });
  }

  /**
   * Shows the plan, asks, and has `run` execute it under the lock. The lock is not held while a person thinks: it
   * is taken after the answer, and then planned again. A plan that became another one is shown, and asked about,
   * anew: the yes was to what was on the screen.
   */
  protected async carryOut<Action extends { readonly kind: string }>(
    change: CarryOut<Action>,
  ): Promise<ChangeResult> {
    const { yes, 'dry-run': dryRun } = this.changeFlags;
    const start = performance.now();
    if (dryRun) return this.showPlanned(await change.plan());
    if (yes) {
      return withLock(this.lockOptions(change), async (lock) => {
        const plan = await change.plan();
        if (plan.steps.length === 0) return this.showNothing(plan);
        this.sayPlan(plan, change.sql);
        return this.runLocked(plan, change, { lock, lookedMs: performance.now() - start });
      });
    }
    let plan = await change.plan();
    for (;;) {
      if (plan.steps.length === 0) return this.showNothing(plan);
      this.sayPlan(plan, change.sql);
      const { question } = change;
      await this.showHolder(change.fleet);
      const lookedMs = performance.now() - start;
      await confirm({
        question: typeof question === 'string' ? question : question(plan),
        yes: false,
        json: this.jsonEnabled(),
      });
      const asked = plan;
      const again = performance.now();
      const outcome = await withLock(this.lockOptions(change), async (lock) => {
        plan = await change.plan();
        if (!samePlan(plan, asked)) return undefined;
        return this.runLocked(plan, change, { lock, lookedMs: lookedMs + performance.now() - again });
      });
      if (outcome !== undefined) return outcome;
      this.say('\nMeanwhile the cluster has changed. The plan is now:\n');
    }
  }

  private lockOptions(change: Pick<CarryOut<never>, 'fleet'>): LockedOptions {
    const { 'break-lock': breakLock, 'accept-minority': acceptMinority } = this.changeFlags;
    return {
      fleet: change.fleet,
      operation: (this.id ?? 'operation').replaceAll(':', '-'),
      acceptMinority,
      breakLock,
      onBreak: (holder) => {
        this.say(`Breaking the lock of ${describeHolder(holder)}.`, true);
      },
    };
  }

  /** Nobody should answer a question in vain, or break a lock without knowing whose it is. */
  private async showHolder(fleet: Fleet): Promise<void> {
    const [holder] = await readHolders(fleet);
    if (holder === undefined) return;
    if (!this.changeFlags['break-lock']) throw inProgress(holder, holder.node);
    this.say(`\n--break-lock will end the connections of ${describeHolder(holder)}.`);
  }

  private get progress(): ProgressMode {
    return this.changeFlags.progress;
  }

  /** With --progress json the plan is the first of its lines. */
  private sayPlan(plan: Plan, sql = false): void {
    if (this.progress !== 'json') this.say(renderPlan(planView(plan), this.errStyle(), { sql }));
  }

  private showPlanned(plan: Plan): ChangeResult {
    const view = planView(plan);
    return this.show(
      { ...told(plan), status: 'planned' as const, steps: view.steps, totalMs: 0 },
      (_, style) =>
        `${renderPlan(view, style, { sql: true })}\n${style.c.dim('Dry run: nothing was changed.')}`,
    );
  }

  private showNothing(plan: Plan): ChangeResult {
    return this.show({ ...told(plan), status: 'nothing-to-do' as const, steps: [], totalMs: 0 }, (_, style) =>
      renderPlan(planView(plan), style, { sql: false }),
    );
  }

  private async runLocked<Action extends { readonly kind: string }>(
    plan: Plan<Action>,
    change: CarryOut<Action>,
    { lock, lookedMs }: { readonly lock: Lock; readonly lookedMs: number },
  ): Promise<ChangeResult> {
    const { fleet, next, run } = change;
    const locked = this.lockOptions(change);
    requireMajority(lock, plan, locked);
    const start = performance.now();
    if (this.progress !== 'json') this.say('');
    const reporter = stepReporter({
      style: this.errStyle(),
      stream: process.stderr,
      mode: this.progress,
      json: this.jsonEnabled(),
      plan,
    });
    const hooks: HookReport[] = [];
    let base = told(plan);
    try {
      const journal = this.journal(fleet.config);
      const options: RunOptions = {
        ...locked,
        lock,
        guard: guardOf(lock, fleet),
        journal,
        reason: this.changeFlags.reason ?? null,
        stateDir: stateDir(),
        onEvent: reporter.onEvent,
        onHook: (event) => {
          reporter.onHook(event);
          if (event.type === 'done') hooks.push(event.report);
        },
        signal: this.interruptible(),
        onPlan: (final) => {
          base = told(final);
        },
      };
      const finished = await recorded(journal, plan, () => run(plan, options));
      // The time that a person takes to answer is not the operation's.
      const totalMs = Math.round(lookedMs + performance.now() - start);
      const steps = finished.map(stepReport);
      const ran = hooks.length === 0 ? {} : { hooks };
      const result: ChangeResult = { ...base, status: 'done', steps, ...ran, totalMs };
      return this.show(result, (_, style) =>
        renderDone(result, style, {
          next: typeof next === 'function' ? next(steps) : next,
          more: change.report?.(steps, style) ?? [],
        }),
      );
    } finally {
      reporter.stop();
    }
  }
}

const told = ({ operation, title, notes, data = {} }: Plan) => ({ operation, title, notes, data });

/** The same steps; figures in the notes may have moved on. */
const samePlan = (a: Plan, b: Plan): boolean =>
  a.title === b.title &&
  a.steps.length === b.steps.length &&
  a.steps.every((step, i) => step.id === b.steps[i]?.id && step.title === b.steps[i].title);

const stepReport = ({ id, node, title, ms, result }: FinishedStep): StepReport => ({
  id,
  node,
  title,
  ms: Math.round(ms),
  result: result ?? null,
});

function renderDone(
  result: ChangeResult,
  { c }: Style,
  { next, more }: { readonly next: string | undefined; readonly more: readonly string[] },
): string {
  const done = `${c.green('✓')} ${result.title}: done in ${formatDuration(result.totalMs)}`;
  return [
    done,
    ...more.map((line) => (line === '' ? line : `  ${line.replaceAll('\n', '\n  ')}`)),
    ...(next === undefined ? [] : [`  next: ${c.cyan(next)}`]),
  ].join('\n');
}
