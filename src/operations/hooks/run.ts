/**
 * When each hook runs. `beforePromote` comes before anything that clients notice: before the fence of a switchover,
 * before the promotion of a failover; when it fails, nothing is promoted. `afterPromote` runs beside the steps that
 * attach the others, since nobody who writes shall wait for it; how it ended is reported, and changes nothing.
 * `onRollback` runs when all is as before again.
 */
import type { ClusterConfig } from '../../config/schema.js';
import { EXIT, RepctlError } from '../../errors.js';
import type { StepEvent } from '../../plan/execute.js';
import type { Journal } from '../../plan/journal.js';
import type { Plan, Step } from '../../plan/plan.js';
import type { Action, Promote } from '../actions.js';
import { type HookContext, type HookEvent, type HookName, type HookReport, hookCall } from './model.js';
import { runHook } from './spawn.js';

export interface HookOptions {
  readonly config: ClusterConfig;
  readonly journal: Journal;
  readonly operator: string;
  readonly reason: string | null;
  readonly onHook?: ((event: HookEvent) => void) | undefined;
}

export interface Hooks {
  /** Before a step of `plan`. Throws what beforePromote failed with: nothing may be promoted. */
  before(plan: Plan<Action>, step: Step): Promise<void>;
  onEvent(event: StepEvent): void;
  /** After a rollback because of `error`. */
  rolledBack(error: RepctlError): Promise<void>;
  /** Waits for what still runs. */
  settle(): Promise<void>;
}

/** The step that beforePromote comes before: the fence where there is one, else the promotion. */
function entrance(plan: Plan<Action>): { step: string; promotion: Promote } | undefined {
  const promotion = plan.steps.map((step) => step.action).find((action) => action.kind === 'promote');
  // By name: this must not depend on what else a plan is made of.
  const first = plan.steps.find(({ action: { kind } }) => kind === 'promote' || (kind as string) === 'fence');
  return promotion === undefined || first === undefined ? undefined : { step: first.id, promotion };
}

export function hooksFor(options: HookOptions): Hooks {
  const { config, journal, operator, reason } = options;
  let promotion: Promote | undefined;
  let forkPoint: string | null = null;
  let background: Promise<unknown> = Promise.resolve();

  const run = async (hook: HookName, error: HookContext['error']): Promise<HookReport | undefined> => {
    if (promotion === undefined) return undefined;
    const { operation, previousLeader, node, epoch } = promotion;
    const call = hookCall(config.hooks, hook, {
      operation,
      cluster: config.cluster,
      oldLeader: previousLeader,
      newLeader: node,
      epoch,
      forkPoint,
      operator,
      reason,
      error,
    });
    if (call === undefined) return undefined;
    const about = { operation, node, hook };
    await journal.append({ event: 'hook-start', ...about, argv: call.argv });
    options.onHook?.({ type: 'start', hook, program: call.argv[0] ?? '' });
    const report = await runHook(call, (line) => options.onHook?.({ type: 'line', hook, line }));
    const { ms, exitCode, output, error: failure } = report;
    // What a hook did is told even where the journal has become unwritable meanwhile.
    await journal
      .append({ event: 'hook', ...about, ms, exitCode, output, error: failure })
      .catch(() => undefined);
    options.onHook?.({ type: 'done', hook, report });
    return report;
  };

  return {
    async before(plan, step) {
      const found = entrance(plan);
      if (found?.step !== step.id) return;
      ({ promotion } = found);
      const report = await run('beforePromote', null);
      if (report?.error != null) throw aborted(report, report.error);
    },
    onEvent(event) {
      if (event.type !== 'done' || event.step.action.kind !== 'promote') return;
      const point = event.result?.['forkPoint'];
      forkPoint = typeof point === 'string' ? point : null;
      background = run('afterPromote', null).catch(() => undefined);
    },
    async rolledBack({ code, message }) {
      await run('onRollback', { code, message }).catch(() => undefined);
    },
    async settle() {
      await background;
    },
  };
}

/** Not a refusal: the hook may have done something before it failed, and onRollback is there to undo it. */
function aborted(report: HookReport, { code, message }: { code: string; message: string }): RepctlError {
  return new RepctlError(code, message, {
    exit: EXIT.rolledBack,
    hint: 'Mend the program, or take it out of hooks in the configuration.',
    details: { hook: report.hook, exitCode: report.exitCode, output: report.output },
  });
}
