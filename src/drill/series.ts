/** Several drills, one after the other. */
import { EXIT, RepctlError } from '../errors.js';
import { diskProblem } from '../sandbox/sandbox.js';
import type { Place } from './ground.js';
import type { DrillResult } from './result.js';
import { runDrill } from './run.js';
import type { DrillWatch } from './watch.js';
import type { Scenario } from './scenario.js';
import { notOurs } from './service/start.js';

/** With where its record is, and the repctl.yaml of a sandbox that was kept. */
export type KeptResult = DrillResult & { readonly directory: string; readonly config: string | null };

export interface SeriesRequest {
  readonly scenarios: readonly Scenario[];
  /** What repeats a run, where it is not the name of its scenario. */
  readonly command?: (seed: number) => string;
  /** Further options that repeat it. */
  readonly options?: string;
  readonly seed: number;
  /** Each so often, with seeds that follow each other. */
  readonly repeat: number;
  /** Leave the sandbox of the last one up. */
  readonly keep: boolean;
  readonly place: Place;
  readonly signal: AbortSignal;
  readonly watch: DrillWatch;
  /** The user's own service, one URL or more in turn. */
  readonly http?: readonly string[];
}

export interface Skipped {
  readonly scenario: string;
  readonly why: string;
}

export interface Series {
  readonly results: readonly KeptResult[];
  /** Experiments that this machine does not permit. */
  readonly skipped: readonly Skipped[];
}

/**
 * All of them, whatever becomes of one; after Ctrl-C those that were begun. What cannot be tried here is skipped. Throws
 * `drills-skipped` (exit 6) where nothing is left to run, `service-not-ours` (exit 6), and what runDrill throws.
 */
export async function runDrills(request: SeriesRequest): Promise<Series> {
  const { seed, repeat, signal } = request;
  const kills = request.scenarios.some(({ steps }) => steps.some(({ action }) => action === 'killWeb'));
  if (request.http !== undefined && kills) throw notOurs();
  const limited = request.scenarios.filter((one) => one.cluster.disk !== undefined);
  const why = limited.length === 0 ? undefined : await diskProblem();
  const skipped = why === undefined ? [] : limited.map((one) => ({ scenario: titleOf(one), why }));
  const scenarios =
    why === undefined ? request.scenarios : request.scenarios.filter((one) => !limited.includes(one));
  if (why !== undefined && scenarios.length === 0)
    throw new RepctlError(
      'drills-skipped',
      `${skipped.map((one) => one.scenario).join(', ')}: skipped. ${why}`,
      {
        exit: EXIT.refused,
        hint: 'Nothing was started. It takes Linux and root; in a container also the capability SYS_ADMIN.',
      },
    );
  const all = scenarios.flatMap((scenario) =>
    Array.from({ length: repeat }, (_, index) => ({ scenario, seed: seed + index })),
  );
  const results: KeptResult[] = [];
  for (const [index, one] of all.entries()) {
    if (signal.aborted) break;
    const { result, directory, config } = await runDrill({
      ...one,
      place: request.place,
      keep: request.keep && index === all.length - 1,
      signal,
      command: `${request.command?.(one.seed) ?? commandOf(one.scenario, one.seed)}${request.options ?? ''}${(request.http ?? []).map((url) => ` --http ${url}`).join('')}`,
      watch: request.watch,
      ...(request.http === undefined ? {} : { http: request.http }),
    });
    results.push({ ...result, directory, config });
  }
  return { results, skipped };
}

const titleOf = ({ name, variant }: Pick<Scenario, 'name' | 'variant'>): string =>
  variant === null ? name : `${name}/${variant}`;

const commandOf = ({ name, variant, file }: Scenario, seed: number): string => {
  const shipped = file.endsWith(`/scenarios/${name}.yaml`);
  const what = shipped ? titleOf({ name, variant }) : file;
  return `repctl drill run ${what} --seed ${String(seed)}`;
};
