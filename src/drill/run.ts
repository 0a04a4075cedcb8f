/** One drill from the place that it is given to its verdicts. */
import type { Children } from './children.js';
import type { Place } from './ground.js';
import type { Line } from './history.js';
import { resultOf } from './outcome.js';
import { planDrill } from './plan.js';
import { openRecord, runName, writeResult } from './record.js';
import type { DrillResult } from './result.js';
import type { Scenario } from './scenario.js';
import { playUnderLoad } from './under-load.js';
import type { DrillWatch } from './watch.js';

export interface DrillRequest {
  readonly scenario: Scenario;
  readonly seed: number;
  readonly place: Place;
  /** Leave the sandbox up. */
  readonly keep: boolean;
  readonly signal: AbortSignal;
  /** What repeats this run. */
  readonly command: string;
  readonly watch: DrillWatch;
  /** The user's own service, one URL or more in turn. */
  readonly http?: readonly string[];
}

export interface Drilled {
  readonly result: DrillResult;
  /** The run's directory. */
  readonly directory: string;
  /** repctl.yaml of a sandbox that was kept. */
  readonly config: string | null;
}

/**
 * Runs it and takes everything away again, however it ends. What was measured is kept when it is interrupted. Throws
 * RepctlError: what taking the place throws, before anything was started; `recording-failed` (exit 7), and what leaving
 * the place throws.
 */
export async function runDrill(request: DrillRequest): Promise<Drilled> {
  const { seed, watch, signal, command } = request;
  const startedAt = new Date();
  const name = runName(startedAt, request.scenario.name, request.scenario.variant, seed);
  const taken = await request.place.take(name);
  let kept = false;
  let children: Children | undefined;
  let release = (): void => undefined;
  try {
    const { scenario, nodes } = taken.fit(request.scenario);
    const schedule = planDrill(scenario, seed, nodes);
    const record = openRecord(name);
    const quarters = await taken.settle(record.directory);
    ({ children } = quarters);
    const interrupt = (): void => {
      if (quarters.stops) quarters.children.interrupt();
    };
    signal.addEventListener('abort', interrupt);
    release = () => {
      // A series hands the same signal to each of its drills.
      signal.removeEventListener('abort', interrupt);
      record.close();
    };
    watch.begin(record.run, scenario, schedule);
    const lines: Line[] = [];
    const { http } = request;
    const load = { scenario, schedule, taken, quarters, http, record, lines, watch, signal };
    const outcome = await playUnderLoad(load);
    const run = { run: record.run, scenario, schedule, startedAt, command, lines };
    const result = resultOf({ ...run, interrupted: signal.aborted }, outcome);
    await writeResult(record.directory, result);
    kept = request.keep && !signal.aborted;
    return { result, directory: record.directory, config: kept ? quarters.configFile : null };
  } finally {
    release();
    await taken.leave(children, kept);
  }
}
