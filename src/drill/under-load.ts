/** The middle of a drill: a place opened, the steps played under load, and what is there in the end. */
import { setTimeout as delay } from 'node:timers/promises';
import { RepctlError } from '../errors.js';
import { finalsOf, newestEpoch } from './finals.js';
import { commandsTyped } from './game-day.js';
import type { Ground, Quarters, Taken } from './ground.js';
import type { Line } from './history.js';
import { openLive } from './live.js';
import { startLoad } from './load-process.js';
import type { Outcome } from './outcome.js';
import type { Schedule } from './plan.js';
import { playSchedule } from './play.js';
import type { Record as Recording } from './record.js';
import type { Scenario } from './scenario.js';
import { servicesOf } from './service/choose.js';
import type { Services } from './service/start.js';
import { settled } from './settle.js';
import type { DrillWatch } from './watch.js';
import { clock } from './workload/model.js';

/** The workload process needs some time to open its first connections. */
const LEAD_MS = 600;
const LOOK_MS = 200;
/** How long all nodes may take to become equal after the workload. */
const EQUAL_MS = 15_000;

export interface UnderLoad {
  readonly scenario: Scenario;
  readonly schedule: Schedule;
  readonly taken: Taken;
  readonly quarters: Quarters;
  readonly http: readonly string[] | undefined;
  readonly record: Recording;
  /** What is recorded is added here too. */
  readonly lines: Line[];
  readonly watch: DrillWatch;
  readonly signal: AbortSignal;
}

/** Never throws but for the recording, without which there is no run. */
export async function playUnderLoad(request: UnderLoad): Promise<Outcome> {
  const { scenario, quarters, lines, record, signal, watch } = request;
  const { children } = quarters;
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
  const say = (text: string): void => {
    watch.say(text);
  };
  try {
    ground = await request.taken.open({ scenario, quarters, signal, say });
    services = await servicesOf({
      workload: scenario.workload,
      http: request.http,
      ground,
      children,
      configFile: quarters.configFile,
      watch,
      signal,
    });
    const live = openLive();
    await addTraffic(ground, -LEAD_MS, add);
    origin = clock() + LEAD_MS;
    const load = startLoad(
      children,
      {
        seed: request.schedule.seed,
        originMs: origin,
        config: ground.config,
        table: ground.table,
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
    watch.playing(live, now, quarters.operate);
    let error: unknown;
    try {
      const playing = playSchedule({
        scenario,
        schedule: request.schedule,
        ground,
        services,
        children,
        live,
        home: quarters.home,
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
    await addTraffic(ground, now(), add);
    for (const line of commandsTyped(record.directory, origin)) add(line);
    if (broken.signal.aborted) throw broken.signal.reason;
    // What an operator has not mended does not mend itself.
    const givenUp = lines.some(
      (line) => line.kind === 'step' && line.action === 'operator' && line.ok === false,
    );
    const { health } = scenario.expect;
    const hope = error === undefined && !givenUp;
    const state = error === undefined ? await settled(children, hope && health === 'healthy', signal) : null;
    const epoch = await newestEpoch(ground.direct);
    const patience = hope && health !== 'any' ? EQUAL_MS : 0;
    for (const line of await finalsOf(ground.direct, ground.table, epoch?.leader ?? '', patience)) add(line);
    return { versions: ground.versions, ms, end: { state, epoch: epoch?.epoch ?? null }, error };
  } catch (error) {
    if (error instanceof RepctlError && error.code === 'recording-failed') throw error;
    services?.stop();
    return { versions: ground?.versions ?? {}, ms: null, end: { state: null, epoch: null }, error };
  }
}

/** Where links are counted. */
async function addTraffic(ground: Ground, at: number, add: (line: Line) => void): Promise<void> {
  const sent = await ground.traffic();
  if (sent !== null) add({ kind: 'traffic', at, sent });
}
