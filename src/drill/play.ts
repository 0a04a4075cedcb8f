/** The schedule played under load: each step when its time or its condition has come. */
import { setTimeout as delay } from 'node:timers/promises';
import { EXIT, RepctlError } from '../errors.js';
import type { Children } from './children.js';
import { type EpochView, newestEpoch, strandedBelow } from './finals.js';
import type { Ground } from './ground.js';
import type { Line, StepLine } from './history.js';
import type { Live } from './live.js';
import type { PlannedStep, Schedule } from './plan.js';
import { type Roles, replicasOf, resolve } from './roles.js';
import type { Scenario } from './scenario.js';
import type { Services } from './service/start.js';
import { isOperation, stepTitle } from './step-text.js';
import { type StepOutcome, type StepWorld, nodesOf, perform } from './steps.js';

/** A condition that does not come in this time has failed. */
const PATIENCE_MS = 60_000;
/** What is mended stays so for this long. */
const STAYS_MS = 1000;
/** Between two looks at a condition. */
const LOOK_MS = 50;
/** What clients see of the last step is part of it. */
const TAIL_MS = 1500;

export interface PlayRequest {
  readonly scenario: Scenario;
  readonly schedule: Schedule;
  readonly ground: Ground;
  readonly services: Services | null;
  readonly children: Children;
  readonly live: Live;
  /** Where repctl keeps its state: stranded files. */
  readonly home: string;
  readonly now: () => number;
  readonly record: (line: Line) => void;
  readonly signal: AbortSignal;
}

/** Returns when the last step is done and the time is over. Throws `interrupted` and what recording throws. */
export async function playSchedule(request: PlayRequest): Promise<void> {
  const { schedule, ground, signal, now, scenario } = request;
  const world: StepWorld = {
    ...ground,
    children: request.children,
    services: request.services,
    signal,
    background: [],
  };
  let roles: Roles = { leader: ground.leader, former: null, order: schedule.order };
  let last = 0;
  try {
    for (const planned of schedule.steps) {
      await until(Math.max(planned.atMs ?? 0, last + planned.afterMs), now, signal);
      const done = await playStep(request, world, planned, roles, last);
      last = now();
      if (isOperation(planned.step.action) || planned.step.action === 'operator')
        roles = await rolesNow(roles, ground);
      if (!done) break; // what builds on it would only fail in its turn
    }
    await until(Math.max(scenario.workload.duration, last + TAIL_MS), now, signal);
  } finally {
    for (const session of world.background) void session.close().catch(() => undefined);
  }
}

async function until(ms: number, now: () => number, signal: AbortSignal): Promise<void> {
  const rest = ms - now();
  if (rest > 0) await delay(rest, undefined, { signal }).catch(() => undefined);
  if (signal.aborted) throw new RepctlError('interrupted', 'Interrupted.', { exit: EXIT.interrupted });
}

/** Who leads by what the nodes themselves know, whatever repctl said. */
async function rolesNow(roles: Roles, ground: Ground): Promise<Roles> {
  const epoch: EpochView | undefined = await newestEpoch(ground.direct);
  return epoch === undefined || epoch.leader === roles.leader
    ? roles
    : { ...roles, leader: epoch.leader, former: epoch.previous };
}

async function playStep(
  request: PlayRequest,
  world: StepWorld,
  planned: PlannedStep,
  roles: Roles,
  since: number,
): Promise<boolean> {
  const { record, now } = request;
  const { step, index } = planned;
  const title = stepTitle(step, (ref) => resolve(ref, roles).join(', ') || ref);
  const about = {
    kind: 'step' as const,
    index,
    title,
    action: step.action,
    nodes: nodesOf(step, roles),
    leader: roles.leader,
  };
  const waited = step.when === undefined || (await condition(request, step.when, roles, since));
  const began: StepLine = { ...about, phase: 'began', at: now() };
  record(began);
  const outcome: StepOutcome = !waited
    ? { ok: false, detail: `${step.when ?? ''} was waited for in vain` }
    : step.action === 'operator'
      ? await mended(request, step.operator)
      : await perform(world, step, roles);
  record({ ...about, phase: 'ended', at: now(), ...outcome });
  if (step.action === 'rejoin') {
    const stranded = strandedBelow(request.home, now());
    if (stranded !== undefined) record(stranded);
  }
  return outcome.ok;
}

/** Whether it came in time. */
async function condition(
  { live, children, signal, now }: PlayRequest,
  when: NonNullable<PlannedStep['step']['when']>,
  roles: Roles,
  since: number,
): Promise<boolean> {
  const deadline = now() + PATIENCE_MS;
  for (;;) {
    if (when === 'writing' && live.lastWriteBegan() > since) return true;
    if (when === 'caught-up' && live.caughtUp(replicasOf(roles), since)) return true;
    if (when === 'healthy' && (await children.repctl(['status'])).code === EXIT.done) return true;
    if (now() > deadline) return false;
    await until(now() + (when === 'healthy' ? 4 * LOOK_MS : LOOK_MS), now, signal);
  }
}

/** Clients are served and `status` is healthy, and so it stays for a moment. */
async function mended({ live, children, signal, now }: PlayRequest, limitMs: number): Promise<StepOutcome> {
  const deadline = now() + limitMs;
  let wellSince: number | undefined;
  for (;;) {
    const begun = now();
    const healthy = (await children.repctl(['status'])).code === EXIT.done;
    wellSince = healthy && live.lastWriteBegan() > begun - STAYS_MS ? (wellSince ?? begun) : undefined;
    if (wellSince !== undefined && now() - wellSince >= STAYS_MS) return { ok: true };
    if (now() > deadline) return { ok: false, detail: 'it was not mended in that time' };
    await until(Math.min(deadline, now() + STAYS_MS / 2), now, signal);
  }
}
