/** Where a check keeps how far it is: a file per cluster and request below the state directory, 0600, whole or not at all. */
import { createHash } from 'node:crypto';
import { readFile, readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { writePrivateFile } from '../../config/write.js';
import { RepctlError, messageOf } from '../../errors.js';
import { type SavedCheck, type SavedRequest, parseSaved } from './saved.js';

/** Where a check notes down how far it is. */
export interface Checkpoints {
  readonly file: string;
  /** What to type to go on. */
  readonly command: string;
  readonly request: SavedRequest;
  /** What was noted down last, by this run or the one that it goes on with. */
  readonly last: SavedCheck | undefined;
  /** Replaces what is there. A file that cannot be written is told of once; the check goes on without. */
  save(point: SavedCheck): Promise<void>;
  /** There is nothing to go on with any more. */
  drop(): Promise<void>;
}

const directory = (stateDir: string): string => path.join(stateDir, 'checks');
const SUFFIX = '.resume.json';
const prefix = (cluster: string): string => `${encodeURIComponent(cluster)}.`;

/** A check by cron and one by hand do not take each other's: every request has a file of its own. */
export function resumeFile(stateDir: string, cluster: string, request: SavedRequest): string {
  const hash = createHash('sha256').update(JSON.stringify(request)).digest('hex').slice(0, 12);
  return path.join(directory(stateDir), `${prefix(cluster)}${hash}${SUFFIX}`);
}

export interface CheckpointOptions {
  readonly stateDir: string;
  readonly cluster: string;
  readonly request: SavedRequest;
  /** What to type to go on. */
  readonly command: string;
  /** Go on with what is there; else it is forgotten. */
  readonly resume: boolean;
  /** Takes why the file could not be written. */
  readonly warn: (text: string) => void;
}

/**
 * Throws, to go on with, `nothing-to-resume` (exit 2), `resume-mismatch` (exit 2) where checks with other flags were
 * interrupted, and `resume-unreadable` (exit 6).
 */
export async function openCheckpoints(options: CheckpointOptions): Promise<Checkpoints> {
  const { stateDir, cluster, request, command } = options;
  const file = resumeFile(stateDir, cluster, request);
  const state: { last: SavedCheck | undefined; warned: boolean } = { last: undefined, warned: false };
  if (options.resume) {
    const text = await textOf(file);
    if (text === undefined) throw nothing(cluster, await others(stateDir, cluster));
    state.last = parseSaved(text, file);
  }
  const drop = async () => {
    state.last = undefined;
    // Left behind it would be refused or gone on with: neither is worth an error here.
    await rm(file, { force: true }).catch(() => undefined);
  };
  if (!options.resume) await drop();
  return {
    ...{ file, command, request, drop },
    get last() {
      return state.last;
    },
    async save(point) {
      try {
        await writePrivateFile(file, `${JSON.stringify(point)}\n`);
        state.last = point;
      } catch (error) {
        if (!state.warned)
          options.warn(
            `${file} cannot be written: ${messageOf(error)}. The check goes on; interrupted, it would have to begin anew.`,
          );
        state.warned = true;
      }
    },
  };
}

async function textOf(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** What to type to go on with the cluster's other checks that were interrupted. */
async function others(stateDir: string, cluster: string): Promise<string[]> {
  const names = await readdir(directory(stateDir)).catch(() => []);
  const files = names.filter((name) => name.startsWith(prefix(cluster)) && name.endsWith(SUFFIX)).sort();
  const commands = await Promise.all(
    files.map(async (name) => {
      const file = path.join(directory(stateDir), name);
      try {
        return parseSaved(await readFile(file, 'utf8'), file).command;
      } catch {
        return '';
      }
    }),
  );
  return commands.filter((command) => command !== '');
}

function nothing(cluster: string, commands: readonly string[]): RepctlError {
  if (commands.length === 0)
    return new RepctlError(
      'nothing-to-resume',
      `There is no interrupted check of ${cluster} on this machine. Nothing was compared.`,
      { hint: 'repctl check   begins one; --exact and --schema are not kept, they begin anew.' },
    );
  return new RepctlError(
    'resume-mismatch',
    `The interrupted ${commands.length === 1 ? 'check' : 'checks'} of ${cluster} had other tables, nodes or flags: both parts of a check must have the same. Nothing was compared.`,
    { hint: commands.join('\n') },
  );
}
