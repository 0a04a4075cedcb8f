/** Several drills, one after the other. */
import type { DrillResult } from './result.js';
import { type DrillWatch, runDrill } from './run.js';
import type { Scenario } from './scenario.js';

/** With where its record is, and the repctl.yaml of a sandbox that was kept. */
export type KeptResult = DrillResult & { readonly directory: string; readonly config: string | null };

export interface SeriesRequest {
  readonly scenarios: readonly Scenario[];
  readonly seed: number;
  /** Each so often, with seeds that follow each other. */
  readonly repeat: number;
  /** Leave the sandbox of the last one up. */
  readonly keep: boolean;
  readonly directory: string;
  readonly signal: AbortSignal;
  readonly watch: DrillWatch;
}

/** All of them, whatever becomes of one; after Ctrl-C those that were begun. Throws what runDrill throws. */
export async function runDrills(request: SeriesRequest): Promise<KeptResult[]> {
  const { scenarios, seed, repeat, signal } = request;
  const all = scenarios.flatMap((scenario) =>
    Array.from({ length: repeat }, (_, index) => ({ scenario, seed: seed + index })),
  );
  const results: KeptResult[] = [];
  for (const [index, one] of all.entries()) {
    if (signal.aborted) break;
    const { result, directory, config } = await runDrill({
      ...one,
      directory: request.directory,
      keep: request.keep && index === all.length - 1,
      signal,
      command: commandOf(one.scenario, one.seed),
      watch: request.watch,
    });
    results.push({ ...result, directory, config });
  }
  return results;
}

const commandOf = ({ name, variant, file }: Scenario, seed: number): string => {
  const shipped = file.endsWith(`/scenarios/${name}.yaml`);
  const what = shipped ? `${name}${variant === null ? '' : `/${variant}`}` : file;
  return `repctl drill run ${what} --seed ${String(seed)}`;
};
