/** One drill from its sandbox to its verdicts. */
import { mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { writePrivateFile } from '../config/write.js';
import { EXIT, RepctlError, messageOf } from '../errors.js';
import { PRODUCTS } from '../products/schema.js';
import { type Sandbox, down, proxyStatus, readState } from '../sandbox/sandbox.js';
import { type Children, openChildren, ownEnvironment } from './children.js';
import { environmentOf } from './environment.js';
import { finalsOf, newestEpoch } from './finals.js';
import { type Ground, openGround } from './ground.js';
import { commandsTyped, exportsOf, operatorEnvironment } from './game-day.js';
import { type Line, type StepLine, type TrafficLine, sorted } from './history.js';
import { gradeOf } from './judge/grade.js';
import { type End, measure } from './judge/measure.js';
import { verdictsOf } from './judge/verdicts.js';
import { type Live, openLive } from './live.js';
import { startLoad } from './load-process.js';
import { lockDrill } from './lock.js';
import { type Schedule, planDrill } from './plan.js';
import { playSchedule } from './play.js';
import { type Record as Recording, openRecord, runName, writeResult } from './record.js';
import type { DrillResult, StepResult } from './result.js';
import type { Scenario } from './scenario.js';
import { type Services, awaitServices, servicesAt, startServices } from './service/start.js';
import { clock } from './workload/model.js';

/** The workload process needs some time to open its first connections. */
const LEAD_MS = 600;
const LOOK_MS = 200;
/** How long the cluster may take to become healthy, and all nodes equal, after the workload. */
const HEAL_MS = 30_000;
const EQUAL_MS = 15_000;

export interface DrillRequest {
  readonly scenario: Scenario;
  readonly seed: number;
  /** The sandbox's. */
  readonly directory: string;
  /** Leave the sandbox up. */
  readonly keep: boolean;
  readonly signal: AbortSignal;
  /** What repeats this run. */
  readonly command: string;
  readonly watch: DrillWatch;
  /** The user's own service, one URL or more in turn. */
  readonly http?: readonly string[];
}

/** Whoever shows a drill. */
export interface DrillWatch {
  /** Before the servers are started. */
  begin(run: string, scenario: Scenario, schedule: Schedule): void;
  say(text: string): void;
  /** What must be heard, whatever form results have: somebody is waited for. */
  tell(text: string): void;
  /**
   * The workload runs from now on; `now` gives milliseconds since it began. `operate` is a file of variables for a
   * shell that is to work on the sandbox.
   */
  playing(live: Live, now: () => number, operate: string): void;
  step(line: StepLine): void;
  /** The workload has ended. */
  judging(): void;
}

export interface Drilled {
  readonly result: DrillResult;
  /** The run's directory. */
  readonly directory: string;
  /** repctl.yaml of a sandbox that was kept. */
  readonly config: string | null;
}

/**
 * Runs it and takes everything down again, however it ends. What was measured is kept when it is interrupted. Throws
 * RepctlError: `drill-running` and others before anything was started; `recording-failed` (exit 7).
 */
export async function runDrill(request: DrillRequest): Promise<Drilled> {
  const { scenario, seed, directory, watch } = request;
  const startedAt = new Date();
  const schedule = planDrill(scenario, seed);
  const name = runName(startedAt, scenario.name, scenario.variant, seed);
  const lock = await lockDrill(directory, name);
  let kept = false;
  try {
    const record = openRecord(name);
    const configFile = path.join(record.directory, 'repctl.yaml');
    const home = path.join(record.directory, 'state');
    await mkdir(home, { mode: 0o700 });
    const operate = path.join(record.directory, 'operate.sh');
    const shell = operatorEnvironment(record.directory, { sandbox: directory, configFile, home });
    await writePrivateFile(operate, exportsOf(shell));
    const children = openChildren(directory, record.directory, ownEnvironment(home, configFile));
    const interrupt = (): void => {
      children.interrupt();
    };
    request.signal.addEventListener('abort', interrupt);
    watch.begin(record.run, scenario, schedule);
    const lines: Line[] = [];
    const state: Running = { request, schedule, record, children, configFile, home, operate, lines };
    try {
      const outcome = await played(state);
      const result = resultOf(state, startedAt, outcome);
      await writeResult(record.directory, result);
      kept = request.keep && !request.signal.aborted;
      return { result, directory: record.directory, config: kept ? configFile : null };
    } finally {
      // A series hands the same signal to each of its drills.
      request.signal.removeEventListener('abort', interrupt);
      record.close();
      const left = await readState(directory);
      if (left && !kept) await down(left);
      if (!kept) for (const file of [configFile, operate]) await rm(file, { force: true });
      children.release();
    }
  } finally {
    if (kept) await lock.keep();
    else await lock.release();
  }
}

interface Running {
  readonly request: DrillRequest;
  readonly schedule: Schedule;
  readonly record: Recording;
  readonly children: Children;
  readonly configFile: string;
  readonly home: string;
  readonly operate: string;
  readonly lines: Line[];
}

interface Outcome {
  readonly sandbox: Sandbox | undefined;
  /** How long the workload ran; null: it never began. */
  readonly ms: number | null;
  readonly end: End;
  readonly error: unknown;
}

/** Never throws but for the recording, without which there is no run. */
async function played(running: Running): Promise<Outcome> {
  const { request, children, record, lines } = running;
  const { scenario, signal, watch } = request;
  let ground: Ground | undefined;
  let services: Services | null = null;
  let origin: number | undefined;
  const now = (): number => clock() - (origin ?? clock());
  const broken = new AbortController();
  const add = (line: Line): void => {
    lines.push(line);
    try {
      record.add(line);
    } catch (error) {
      broken.abort(error);
      throw error;
    }
  };
  try {
    ground = await openGround({
      cluster: scenario.cluster,
      directory: request.directory,
      configFile: running.configFile,
      children,
      signal,
      say: (text) => {
        watch.say(text);
      },
    });
    services = await servicesOf(running, ground);
    const live = openLive();
    add(await trafficIn(ground.sandbox, -LEAD_MS));
    origin = clock() + LEAD_MS;
    const load = startLoad(
      children,
      {
        seed: request.seed,
        originMs: origin,
        config: ground.config,
        table: PRODUCTS,
        workload: scenario.workload,
        direct: ground.direct,
        ...(services === null
          ? {}
          : { http: { urls: services.urls, sticky: scenario.workload.service?.session === 'process' } }),
        lookMs: LOOK_MS,
      },
      (line) => {
        live.add(line);
        if (broken.signal.aborted) return;
        try {
          add(line);
        } catch {
          // `broken` ends the run in its turn: thrown here, out of a stream, it would end the process with its servers up.
        }
      },
    );
    await delay(LEAD_MS);
    watch.playing(live, now, running.operate);
    let error: unknown;
    try {
      const playing = playSchedule({
        scenario,
        schedule: running.schedule,
        ground,
        services,
        children,
        live,
        home: running.home,
        now,
        record: (line) => {
          live.add(line);
          add(line);
          if (line.kind === 'step') watch.step(line);
        },
        signal: AbortSignal.any([signal, broken.signal]),
      });
      await Promise.race([playing, load.failure]);
    } catch (thrown) {
      error = thrown;
    }
    const ms = now();
    watch.judging();
    await load.stop();
    services?.stop();
    add(await trafficIn(ground.sandbox, now()));
    for (const line of commandsTyped(record.directory, origin)) add(line);
    if (broken.signal.aborted) throw broken.signal.reason;
    // What an operator has not mended does not mend itself.
    const givenUp = lines.some(
      (line) => line.kind === 'step' && line.action === 'operator' && line.ok === false,
    );
    const end = error === undefined ? await settled(running, !givenUp) : { state: null, epoch: null };
    const epoch = await newestEpoch(ground.direct);
    const patience = error === undefined && !givenUp && scenario.expect.health !== 'any' ? EQUAL_MS : 0;
    for (const line of await finalsOf(ground.direct, PRODUCTS, epoch?.leader ?? '', patience)) add(line);
    return { sandbox: ground.sandbox, ms, end: { ...end, epoch: epoch?.epoch ?? null }, error };
  } catch (error) {
    if (error instanceof RepctlError && error.code === 'recording-failed') throw error;
    services?.stop();
    return { sandbox: ground?.sandbox, ms: null, end: { state: null, epoch: null }, error };
  }
}

/** What clients go through, if not the routing of their own. */
async function servicesOf(
  { request, children, configFile }: Running,
  ground: Ground,
): Promise<Services | null> {
  const { workload } = request.scenario;
  if (request.http !== undefined) {
    const tell = (text: string): void => {
      request.watch.tell(text);
    };
    await awaitServices(request.http, configFile, tell, request.signal);
    return servicesAt(request.http);
  }
  if (workload.service === undefined) return null;
  const { processes, session } = workload.service;
  request.watch.say('starting web services');
  const { pool, timeout } = workload;
  return startServices(children, processes, {
    config: ground.config,
    table: PRODUCTS,
    pool,
    timeout,
    session,
  });
}

/** What the links have carried so far; a proxy that does not answer has carried nothing that is known. */
async function trafficIn(sandbox: Sandbox, at: number): Promise<TrafficLine> {
  const links = (await proxyStatus(sandbox).catch(() => [])).filter(({ from }) => from !== 'clients');
  const sent: Record<string, number> = {};
  for (const { to, answered } of links) sent[to] = (sent[to] ?? 0) + answered;
  return { kind: 'traffic', at, sent };
}

/** What `repctl status` says, waited for while it is not well, where there is hope. */
async function settled({ request, children }: Running, hope: boolean): Promise<End> {
  const wanted = hope && request.scenario.expect.health === 'healthy';
  const deadline = Date.now() + HEAL_MS;
  for (;;) {
    const { code, stdout } = await children.repctl(['status', '--json']);
    if (code === EXIT.done || !wanted || Date.now() > deadline || request.signal.aborted)
      return { state: stateIn(stdout), epoch: null };
    await delay(300);
  }
}

function stateIn(json: string): string | null {
  try {
    return (JSON.parse(json) as { state?: string }).state ?? null;
  } catch {
    return null;
  }
}

function resultOf(
  { request, schedule, record, lines }: Running,
  startedAt: Date,
  { sandbox, ms, end, error }: Outcome,
): DrillResult {
  const { scenario, seed, signal } = request;
  const history = sorted(lines);
  const measurements = ms === null ? null : measure(history, ms, end);
  const judged = measurements !== null && error === undefined;
  const verdicts = judged ? verdictsOf(scenario.expect, measurements, history.steps) : [];
  return {
    format: 1,
    run: record.run,
    scenario: scenario.name,
    variant: scenario.variant,
    title: scenario.title,
    about: scenario.about,
    seed,
    status: signal.aborted
      ? 'interrupted'
      : !judged
        ? 'failed'
        : verdicts.every((one) => one.met)
          ? 'met'
          : 'violated',
    startedAt: startedAt.toISOString(),
    ms: Math.round(Date.now() - startedAt.getTime()),
    command: request.command,
    environment: environmentOf(sandbox),
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
