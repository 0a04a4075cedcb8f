/** Game day: a scenario that only breaks something, drawn by the seed, for a person to mend with repctl. */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { type Typed, TRANSCRIPT } from '../config/transcript.js';
import { parseLines } from '../ndjson.js';
import { randomFrom } from '../random.js';
import type { CommandLine } from './history.js';
import { loadScenarios, shippedDirectory, shippedFiles } from './load.js';
import type { Scenario } from './scenario.js';

const NAME = 'game-day';

/** What a game day may break, each a scenario file. */
export const gameDayFiles = (): string[] => shippedFiles(path.join(shippedDirectory(), NAME));

/**
 * The same seed draws the same one. Its name tells nothing, since the name of a run is seen by whoever is to find out.
 * `limitMs`: how long the operator has, instead of what the scenario says.
 */
export function drawGameDay(
  seed: number,
  limitMs?: number,
  files: readonly string[] = gameDayFiles(),
): Scenario {
  const all = loadScenarios(files);
  // Whatever a schedule draws by this seed is drawn anew: the choice must not go with it.
  const chosen = all[Math.floor(randomFrom(seed ^ 0x5eed)() * all.length)];
  if (chosen === undefined) throw new Error('no scenario of a game day is there');
  return {
    ...chosen,
    name: NAME,
    variant: null,
    steps: chosen.steps.map((step) =>
      step.action === 'operator' && limitMs !== undefined ? { ...step, operator: limitMs } : step,
    ),
  };
}

const transcriptIn = (directory: string): string => path.join(directory, 'transcript.ndjson');

/** What a shell needs to work on the sandbox of a run, by variable. */
export const operatorEnvironment = (
  directory: string,
  {
    sandbox,
    configFile,
    home,
  }: { readonly sandbox: string; readonly configFile: string; readonly home: string },
): Readonly<Record<string, string>> => ({
  REPCTL_CONFIG: configFile,
  REPCTL_SANDBOX_DIR: sandbox,
  XDG_STATE_HOME: home,
  [TRANSCRIPT]: transcriptIn(directory),
});

/** The same as a file to read in with `.`: `export NAME='value'`, a line each. */
export const exportsOf = (variables: Readonly<Record<string, string>>): string =>
  Object.entries(variables)
    .map(([name, value]) => `export ${name}='${value.replaceAll("'", "'\\''")}'\n`)
    .join('');

/** What the operator typed, on the clock of the workload, which began at `originMs` (milliseconds since 1970). */
export function commandsTyped(directory: string, originMs: number): CommandLine[] {
  const file = transcriptIn(directory);
  if (!existsSync(file)) return [];
  return parseLines<Typed>(readFileSync(file, 'utf8')).map(({ at, words }) => ({
    kind: 'command',
    at: at - originMs,
    words,
  }));
}
