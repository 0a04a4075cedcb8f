/** Recorded drills, from where runs are kept. */
import { readFile, readdir } from 'node:fs/promises';
import path from 'node:path';
import { RepctlError, messageOf } from '../../errors.js';
import { type History, parseHistory, sorted } from '../history.js';
import { drillsDirectory } from '../record.js';
import type { DrillResult } from '../result.js';

export interface RecordedDrill {
  readonly result: DrillResult;
  readonly history: History;
}

export interface Recorded {
  /** Oldest first. */
  readonly drills: readonly RecordedDrill[];
  /** Runs that have no result that could be read, and why: one that was killed has none. */
  readonly unreadable: readonly { readonly run: string; readonly message: string }[];
}

export interface Wanted {
  /** Names of runs, or the start of their names; none: all of them. */
  readonly runs: readonly string[];
  /** Of these scenarios only; none: of all. */
  readonly scenarios: readonly string[];
  /** Of each scenario and variant the last so many runs; undefined: all. */
  readonly last: number | undefined;
}

/**
 * Reads what is wanted. Throws RepctlError `unknown-run` for a name that no run begins with, `no-drills` where nothing
 * is left to tell of (both exit 2).
 */
export async function readDrills(wanted: Wanted, below = drillsDirectory()): Promise<Recorded> {
  const all = await runNames(below);
  const unknown = wanted.runs.find((name) => !all.some((run) => run.startsWith(name)));
  if (unknown !== undefined)
    throw new RepctlError('unknown-run', `No drill that was recorded is called ${unknown}.`, {
      hint: 'repctl drill report without a name tells of all of them.',
      details: { directory: below },
    });
  const named = all.filter(
    (run) => wanted.runs.length === 0 || wanted.runs.some((name) => run.startsWith(name)),
  );
  const read = await Promise.all(named.map((run) => readResult(below, run)));
  const results = newestOf(
    read
      .flatMap((one) => ('result' in one ? [one.result] : []))
      .filter(({ scenario }) => wanted.scenarios.length === 0 || wanted.scenarios.includes(scenario)),
    wanted.last,
  );
  if (results.length === 0)
    throw new RepctlError('no-drills', 'No drill was recorded that could be told of.', {
      hint: 'repctl drill run NAME; repctl drill list names them.',
      details: { directory: below, scenarios: wanted.scenarios },
    });
  const drills: RecordedDrill[] = [];
  // One after the other: a history may be large.
  for (const result of results)
    drills.push({ result, history: await readHistory(path.join(below, result.run)) });
  return { drills, unreadable: read.flatMap((one) => ('message' in one ? [one] : [])) };
}

async function runNames(below: string): Promise<string[]> {
  try {
    const entries = await readdir(below, { withFileTypes: true });
    return entries
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name)
      .sort();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

async function readResult(
  below: string,
  run: string,
): Promise<{ result: DrillResult } | { run: string; message: string }> {
  try {
    const result = JSON.parse(await readFile(path.join(below, run, 'result.json'), 'utf8')) as DrillResult;
    // The directory's name counts: it may have been moved.
    return { result: { ...result, run } };
  } catch (error) {
    const gone = (error as NodeJS.ErrnoException).code === 'ENOENT';
    return { run, message: gone ? 'it has no result: it was killed, or still runs' : messageOf(error) };
  }
}

async function readHistory(directory: string): Promise<History> {
  try {
    return sorted(parseHistory(await readFile(path.join(directory, 'samples.ndjson'), 'utf8')));
  } catch (error) {
    // The figures stand without it; there is nothing to draw.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return sorted([]);
    throw error;
  }
}

/** The last `last` of each scenario and variant; results come, and stay, oldest first. */
export function newestOf(results: readonly DrillResult[], last: number | undefined): DrillResult[] {
  if (last === undefined) return [...results];
  const left = new Map<string, number>();
  return results
    .toReversed()
    .filter((result) => {
      const key = experimentOf(result);
      const count = (left.get(key) ?? 0) + 1;
      left.set(key, count);
      return count <= last;
    })
    .reverse();
}

/** `leader-killed`, `replicas/sync-any-1` */
export const experimentOf = ({ scenario, variant }: DrillResult): string =>
  variant === null ? scenario : `${scenario}/${variant}`;
