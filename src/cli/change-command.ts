/**
 * A command that changes a cluster by a plan: shows the plan, asks, runs it with progress. --dry-run shows the
 * very plan that would run, with its SQL.
 */
import { type Command, Flags } from '@oclif/core';
import type { Fleet } from '../cluster/fleet.js';
import { makePlan, type Planner, type RunOptions, runPlan } from '../operations/run.js';
import type { FinishedStep } from '../plan/execute.js';
import type { Plan } from '../plan/plan.js';
import { type PlanView, planView, renderPlan } from '../ui/plan.js';
import { formatDuration } from '../ui/format.js';
import type { Style } from '../ui/color.js';
import { BaseCommand } from './base-command.js';
import { confirm } from './confirm.js';
import { stepReporter } from './progress.js';

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
  /** `Promote n2 now?` */
  readonly question: string;
  /** What to type next, printed after success. */
  readonly next?: string;
}

export interface CarryOut extends Pick<Change, 'fleet' | 'question'> {
  readonly next?: string | undefined;
  readonly run: (options: RunOptions) => Promise<FinishedStep[]>;
  /** performance.now() when the command began to look, for the total time. */
  readonly start?: number;
}

export abstract class ChangeCommand<T extends typeof Command> extends BaseCommand<T> {
  static override baseFlags = {
    ...BaseCommand.baseFlags,
    yes: Flags.boolean({ char: 'y', summary: 'Go ahead without asking.' }),
    'dry-run': Flags.boolean({ summary: 'Show the plan with its SQL and change nothing.' }),
    reason: Flags.string({ summary: 'Why, for the history.', helpValue: 'TEXT' }),
  };

  /** The flags of {@link ChangeCommand.baseFlags}, which TypeScript cannot see through the generic parent. */
  private get changeFlags(): { yes: boolean; 'dry-run': boolean; reason?: string } {
    return this.flags as unknown as { yes: boolean; 'dry-run': boolean; reason?: string };
  }

  protected async change({ fleet, planner, question, next }: Change): Promise<ChangeResult> {
    const start = performance.now();
    const plan = await makePlan(fleet, planner);
    return this.carryOut(plan, {
      fleet,
      question,
      next,
      start,
      run: (options) => runPlan(plan, planner, options),
    });
  }

  /** Shows any plan, asks, and has `run` execute it. */
  protected async carryOut<Action extends { readonly kind: string }>(
    plan: Plan<Action>,
    { fleet, question, next, run, start = performance.now() }: CarryOut,
  ): Promise<ChangeResult> {
    const { yes, 'dry-run': dryRun, reason } = this.changeFlags;
    const view = planView(plan);
    const told = ({ operation, title, notes, data = {} }: Plan) => ({ operation, title, notes, data });
    let base = told(plan);
    if (dryRun) {
      const steps = view.steps;
      return this.show(
        { ...base, status: 'planned' as const, steps, totalMs: 0 },
        (_, style) =>
          `${renderPlan(view, style, { sql: true })}\n${style.c.dim('Dry run: nothing was changed.')}`,
      );
    }
    if (plan.steps.length === 0) {
      return this.show({ ...base, status: 'nothing-to-do' as const, steps: [], totalMs: 0 }, (_, style) =>
        renderPlan(view, style, { sql: false }),
      );
    }
    this.say(renderPlan(view, this.errStyle(), { sql: false }));
    const lookedMs = performance.now() - start;
    await confirm({ question, yes, json: this.jsonEnabled() });
    // The time that a person takes to answer is not the operation's.
    const confirmed = performance.now();
    const reporter = await stepReporter({
      style: this.errStyle(),
      isTTY: process.stderr.isTTY,
      silent: this.jsonEnabled(),
    });
    try {
      this.say('');
      const finished = await run({
        fleet,
        journal: this.journal(fleet.config),
        reason: reason ?? null,
        onEvent: reporter.onEvent,
        signal: this.interruptible(),
        onPlan: (final) => {
          base = told(final);
        },
      });
      const totalMs = Math.round(lookedMs + performance.now() - confirmed);
      const result: ChangeResult = { ...base, status: 'done', steps: finished.map(stepReport), totalMs };
      return this.show(result, (_, style) => renderDone(result, style, next));
    } finally {
      reporter.stop();
    }
  }
}

const stepReport = ({ id, node, title, ms, result }: FinishedStep): StepReport => ({
  id,
  node,
  title,
  ms: Math.round(ms),
  result: result ?? null,
});

function renderDone(result: ChangeResult, { c }: Style, next: string | undefined): string {
  const done = `${c.green('✓')} ${result.title}: done in ${formatDuration(result.totalMs)}`;
  return next === undefined ? done : `${done}\n  next: ${c.cyan(next)}`;
}
