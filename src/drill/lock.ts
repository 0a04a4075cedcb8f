/** One drill at a time in one sandbox directory: a file that says who is at it. */
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { stateDir } from '../config/paths.js';
import { EXIT, RepctlError } from '../errors.js';
import { processes } from '../sandbox/process.js';
import { down, readState } from '../sandbox/sandbox.js';

interface Holder {
  readonly pid: number;
  readonly run: string;
  /** Its sandbox was left up on request. */
  readonly kept?: boolean;
}

const lockFile = (directory: string): string =>
  path.join(stateDir(), 'drills', `${encodeURIComponent(directory)}.lock`);

/** A pid may be given out again: only one that looks like a drill of ours holds the lock. */
async function isDrill(pid: number): Promise<boolean> {
  return (await processes()).some((one) => one.pid === pid && !one.zombie && one.command.includes('drill'));
}

export interface DrillLock {
  /** The sandbox stays up: the next drill is told so. */
  keep(): Promise<void>;
  release(): Promise<void>;
}

/**
 * Takes the directory for this drill and removes what one that was killed left there. Throws RepctlError
 * `drill-running`, `drill-kept`, `sandbox-up` (exit 6).
 */
export async function lockDrill(directory: string, run: string): Promise<DrillLock> {
  const file = lockFile(directory);
  await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
  for (;;) {
    try {
      await writeFile(file, JSON.stringify({ pid: process.pid, run } satisfies Holder), {
        flag: 'wx',
        mode: 0o600,
      });
      break;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const holder = await readHolder(file);
    if (holder !== undefined && holder.pid !== process.pid && (await isDrill(holder.pid)))
      throw new RepctlError('drill-running', `Another drill is at it in ${directory}: ${holder.run}.`, {
        exit: EXIT.refused,
        hint: `Wait for it (process ${String(holder.pid)}), or give this one a place of its own: --dir DIR`,
        details: { directory, pid: holder.pid, run: holder.run },
      });
    if (holder?.kept === true && (await readState(directory)) !== undefined)
      throw new RepctlError('drill-kept', `The sandbox of ${holder.run} was kept in ${directory}.`, {
        exit: EXIT.refused,
        hint: `repctl sandbox down --dir ${directory}`,
        details: { directory, run: holder.run },
      });
    await clearAway(file, holder);
  }
  const left = await readState(directory);
  if (left) await down(left);
  return {
    keep: () => writeFile(file, JSON.stringify({ pid: 0, run, kept: true } satisfies Holder)),
    release: () => rm(file, { force: true }),
  };
}

/** Moved, not removed: of two who find the same dead lock one gets it, and nobody takes a fresh one for it. */
async function clearAway(file: string, dead: Holder | undefined): Promise<void> {
  const aside = `${file}.${String(process.pid)}`;
  try {
    await rename(file, aside);
  } catch {
    return; // somebody else was quicker
  }
  const moved = await readHolder(aside);
  if (moved?.pid === dead?.pid) await rm(aside, { force: true });
  else await rename(aside, file);
}

async function readHolder(file: string): Promise<Holder | undefined> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as Holder;
  } catch {
    return undefined; // just being written, or cut short
  }
}
