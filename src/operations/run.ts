/** Observe, plan, run: what every operation does, with or without a person in front of it. */
import { type Fleet, withLocalCommits } from '../cluster/fleet.js';
import type { Lock } from '../cluster/lock.js';
import type { Snapshot } from '../cluster/model.js';
import { observe } from '../cluster/observe.js';
import { askWitnesses } from '../cluster/witness.js';
import { EXIT, type ExitCode, RepctlError, messageOf } from '../errors.js';
import { type FinishedStep, type StepEvent, execute } from '../plan/execute.js';
import { type Journal, recorded } from '../plan/journal.js';
import type { Plan, Planned, Refusal, Step } from '../plan/plan.js';
import { enableSubscriptionSql } from '../replication/subscriptions.js';
import type { Action, Quiesce } from './actions.js';
import type { HookEvent } from './hooks/model.js';
import { type Hooks, hooksFor } from './hooks/run.js';
import { guardOf, mayGoBack, requireMajority, withLock } from './locked.js';
import { operatorName } from './operator.js';
import { orRollBack } from './rollback.js';
import type { Handover } from './runners/handed-on.js';
import { factsOf, isAttached, nodeOf } from './facts.js';
import { planSwitchover } from './switchover.js';
import { runnersFor } from './runners/index.js';
import { withdrawReservation } from './runners/reserve.js';
import { disarm } from './runners/sync.js';
import { withSequences } from './sequence-room.js';

export type Planner = (snapshot: Snapshot) => Planned<Action>;

export interface RunOptions {
  readonly fleet: Fleet;
  readonly journal: Journal;
  readonly reason?: string | null;
  /** Where rows that are overwritten are kept, as files; without one they are not. */
  readonly stateDir?: string | undefined;
  readonly onEvent?: ((event: StepEvent) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Told of the plan that runs in the end, where planning again after the drain made another one. */
  readonly onPlan?: ((plan: Plan) => void) | undefined;
  /** Held while this runs, and asked before each step whether it still is; see locked.ts. */
  readonly lock?: Lock | undefined;
  readonly guard?: ((step: Step) => Promise<void>) | undefined;
  /** What to call it to others who want the lock meanwhile. */
  readonly operation?: string;
  readonly acceptMinority?: boolean;
  /** Told what hooks do. */
  readonly onHook?: ((event: HookEvent) => void) | undefined;
}

/** Findings that are the same mistake or trouble as everywhere else end with the same exit code as there. */
const EXITS: Readonly<Record<string, ExitCode>> = {
  'unknown-node': EXIT.usage,
  'node-unreachable': EXIT.unreachable,
  'leader-unreachable': EXIT.unreachable,
};

/** A refusal as the error that ends a command: exit 6 in general, every finding in the details. */
function refusalError({ operation, findings }: Refusal): RepctlError {
  const first = findings[0];
  return new RepctlError(first?.code ?? 'refused', findings.map((finding) => finding.message).join('\n'), {
    exit: EXITS[first?.code ?? ''] ?? EXIT.refused,
    hint: [
      ...new Set(findings.map((finding) => finding.fix).filter((fix) => fix !== undefined)),
      'Nothing was changed.',
    ].join('\n'),
    details: { operation, findings },
  });
}

/** The plan; throws a refusal (exit 6). */
export function orRefuse<Action extends { readonly kind: string }>(planned: Planned<Action>): Plan<Action> {
  if (planned.kind === 'refused') throw refusalError(planned.refusal);
  return planned.plan;
}

/**
 * How long a refusal is looked into again before it is believed, milliseconds. A leader that has just died is
 * still "heard" by replicas until their sockets close, which takes them some moments under load; and a backend of a
 * run that was killed may still be at work on a slot.
 */
const SETTLE_MS = 2000;
const MAY_PASS = new Set(['leader-heard', 'slot-active']);

/** A planner that may have to look further before it can plan. */
export type LookingPlanner = (snapshot: Snapshot) => Planned<Action> | Promise<Planned<Action>>;

/** Observes and plans. Throws the refusal (exit 6), or what observing throws. */
export async function makePlan(fleet: Fleet, planner: LookingPlanner): Promise<Plan<Action>> {
  const deadline = performance.now() + SETTLE_MS;
  for (;;) {
    // Asking around may take longer than that; what is refused in the end was looked at after it.
    const last = performance.now() > deadline;
    const snapshot = await observe(fleet);
    let result = await planner(snapshot);
    if (result.kind === 'plan') return withSequences(fleet, snapshot, result.plan);
    const passing = ({ findings }: Refusal) => findings.every((finding) => MAY_PASS.has(finding.code));
    if (passing(result.refusal)) result = await planner(await askWitnesses(fleet, snapshot));
    if (result.kind === 'plan') return withSequences(fleet, snapshot, result.plan);
    if (!passing(result.refusal) || last) throw refusalError(result.refusal);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

/** Runs a plan, with the operator's own programs around a promotion. Throws as runSteps() does. */
export async function runPlan(
  plan: Plan<Action>,
  planner: Planner,
  options: RunOptions,
): Promise<FinishedStep[]> {
  const operator = operatorName();
  const { fleet, journal, reason = null, onHook } = options;
  const hooks = hooksFor({ config: fleet.config, journal, operator, reason, onHook });
  const onEvent = (event: StepEvent) => {
    hooks.onEvent(event);
    options.onEvent?.(event);
  };
  let final: Plan = plan;
  const onPlan = (changed: Plan) => {
    final = changed;
    options.onPlan?.(changed);
  };
  let finished: FinishedStep[];
  try {
    finished = await withLocalCommits(fleet, async (local) => {
      const handover: Handover = {};
      try {
        return await runSteps(plan, planner, { ...options, fleet: local, onEvent, onPlan, hooks, handover });
      } catch (error) {
        if (handover.reserved !== undefined && (await mayWithdraw(handover, error, options.lock)))
          await withdrawReservation(local, handover.reserved);
        throw error;
      }
    });
  } catch (error) {
    if (wasRolledBack(error)) await hooks.rolledBack(error);
    throw error;
  } finally {
    await hooks.settle();
  }
  return final.then === undefined ? finished : [...finished, ...(await handOn(final.then, options))];
}

/**
 * Positions are final only when the apply workers have stopped, so after a leading group of `quiesce` steps it
 * observes and plans again, as often as that brings up another worker to stop: the rest may then choose otherwise
 * than the preview did. When planning again is refused (the leader is back, the named candidate turned out to be
 * behind), or the promotion may not begin, the stopped subscriptions are enabled again: exit 8, as if nothing had
 * been. Otherwise throws what execute() throws.
 */
async function runSteps(
  plan: Plan<Action>,
  planner: Planner,
  options: RunOptions & { readonly hooks: Hooks; readonly handover: Handover },
): Promise<FinishedStep[]> {
  const { handover } = options;
  const runners = runnersFor({
    handover,
    fleet: options.fleet,
    operator: operatorName(),
    reason: options.reason ?? null,
    stateDir: options.stateDir,
    acceptMinority: options.acceptMinority === true || plan.acceptMinority === true,
  });
  const stopped: Quiesce[] = [];
  let done: FinishedStep[] = [];
  let rest = plan;
  for (;;) {
    const actions = rest.steps.map((step) => step.action);
    const end = actions.findIndex((action) => action.kind !== 'quiesce');
    const draining = actions
      .slice(0, end < 0 ? undefined : end)
      .filter((action) => action.kind === 'quiesce');
    if (draining.length === 0) {
      const guard = async (step: Step) => {
        await options.hooks.before(rest, step);
        await options.guard?.(step);
      };
      try {
        const body = () => execute(rest, runners, { ...options, guard, before: done });
        return [...done, ...(await orRollBack(rest, options, body))];
      } catch (error) {
        // Once the promotion was sent, it may have committed: then there is only the way forward.
        if (handover.promotionSent === true || stopped.length === 0 || wasInterrupted(error)) throw error;
        const armed = rest.steps.map(({ action }) => action).find((action) => action.kind === 'promote');
        if (armed?.sync !== undefined) await disarm(options.fleet, armed.node).catch(() => undefined);
        // The step's own words, without how far it had come.
        throw await startAgain(options, stopped, error instanceof RepctlError ? error.cause : error);
      }
    }
    const steps = rest.steps.slice(0, draining.length);
    stopped.push(...draining);
    try {
      done = [...done, ...(await execute({ ...rest, steps }, runners, { ...options, before: done }))];
    } catch (error) {
      throw error instanceof RepctlError && error.code === 'data-loss'
        ? await startAgain(options, stopped, error)
        : error;
    }
    try {
      rest = await makePlan(options.fleet, planner);
      options.onPlan?.(rest);
    } catch (error) {
      throw await startAgain(options, stopped, error);
    }
  }
}

const wasRolledBack = (error: unknown): error is RepctlError =>
  error instanceof RepctlError && (error.exit === EXIT.rolledBack || error.details['rolledBack'] === true);

/** Nobody was promoted, for certain; and nobody else can be about to promote the same node. */
const mayWithdraw = async (handover: Handover, error: unknown, lock: Lock | undefined): Promise<boolean> =>
  (handover.promotionSent !== true || wasRolledBack(error)) && (lock === undefined || (await lock.verify()));

const wasInterrupted = (error: unknown): boolean =>
  error instanceof RepctlError && error.exit === EXIT.interrupted;

/** `failover NODE` where NODE was behind: by now it has everything, and leads by a switchover after all. */
async function handOn(target: string, options: RunOptions): Promise<FinishedStep[]> {
  const { config } = options.fleet;
  const planner: Planner = (snapshot) => {
    const facts = factsOf(snapshot, config);
    const follows = (name: string): boolean => {
      const node = nodeOf(facts, name);
      return node !== undefined && isAttached(node, facts.epoch?.epoch ?? 0);
    };
    const others = config.nodes.map((node) => node.name).filter((name) => name !== target);
    const without = others.filter((name) => name !== facts.leader?.name && !follows(name));
    return planSwitchover(snapshot, config, { target, without, terminateBlockers: false });
  };
  try {
    return await runPlan(await makePlan(options.fleet, planner), planner, { ...options, onPlan: undefined });
  } catch (error) {
    const inner = error instanceof RepctlError ? error : undefined;
    if (inner?.exit === EXIT.interrupted) throw error;
    throw new RepctlError(
      inner?.code ?? 'bug',
      `The failover is done and nothing is lost, but ${target} does not lead yet: ${messageOf(error)}`,
      {
        exit: inner === undefined ? EXIT.bug : EXIT.incomplete,
        hint: `repctl switchover ${target}, with --without for each node that is down`,
        details: inner?.details ?? {},
        cause: error,
      },
    );
  }
}

/** Enables what this run stopped; the error that tells how that ended. */
async function startAgain(
  options: RunOptions,
  stopped: readonly Quiesce[],
  error: unknown,
): Promise<RepctlError> {
  const { fleet } = options;
  const alone = await mayGoBack(options.lock, { ...options, operation: options.operation ?? 'rollback' });
  const outcomes = await Promise.allSettled(
    stopped.map(async ({ node, subscription }) => {
      if (!alone) throw new RepctlError('lock-lost', 'Another operation has begun.', { exit: EXIT.refused });
      await (await fleet.session(node)).simple(enableSubscriptionSql(subscription));
    }),
  );
  const left = stopped.filter((_, index) => outcomes[index]?.status === 'rejected').map(({ node }) => node);
  const refusal = error instanceof RepctlError ? error : undefined;
  return new RepctlError(refusal?.code ?? 'bug', messageOf(error), {
    exit: left.length === 0 ? EXIT.rolledBack : EXIT.incomplete,
    hint: [
      refusal?.hint?.replace(/\n?Nothing was changed\.$/, ''),
      left.length === 0
        ? 'The subscriptions that had been stopped are enabled again: the cluster is as before.'
        : left.map((node) => `repctl subscription enable ${node}`).join('\n'),
    ]
      .filter((line) => line !== undefined && line !== '')
      .join('\n'),
    details: refusal?.details ?? {},
    cause: error,
  });
}

/** All of it under the lock, for callers without a person: `sandbox up`, tests. */
export async function runOperation(planner: Planner, options: RunOptions): Promise<FinishedStep[]> {
  const locked = { ...options, operation: options.operation ?? 'operation' };
  return withLock(locked, async (lock) => {
    const plan = await makePlan(options.fleet, planner);
    requireMajority(lock, plan, locked);
    const run = () => runPlan(plan, planner, { ...locked, lock, guard: guardOf(lock, options.fleet) });
    return plan.steps.length === 0 ? run() : recorded(options.journal, plan, run);
  });
}
