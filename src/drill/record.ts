/** Where a run's record is kept: `drills/<run>/` below the state directory, samples.ndjson line by line, result.json at the end. */
import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs';
import path from 'node:path';
import { redactDeep } from '../config/redact.js';
import { stateDir } from '../config/paths.js';
import { writePrivateFile } from '../config/write.js';
import { EXIT, RepctlError, messageOf } from '../errors.js';
import type { Line } from './history.js';
import type { DrillResult } from './result.js';

export const drillsDirectory = (): string => path.join(stateDir(), 'drills');

export interface Record {
  readonly run: string;
  readonly directory: string;
  /** Throws RepctlError `recording-failed` (exit 7), as on a full disk. */
  add(line: Line): void;
  close(): void;
}

/** 20261128T020400Z-leader-killed-s1 */
export function runName(at: Date, scenario: string, variant: string | null, seed: number): string {
  const time = at.toISOString().replaceAll(/[-:]|\.\d+/gu, '');
  return `${time}-${scenario}${variant === null ? '' : `-${variant}`}-s${String(seed)}`;
}

/** Makes the run's directory (0700), a number added where the name is taken. Throws `recording-failed`. */
export function openRecord(name: string, below = drillsDirectory()): Record {
  try {
    mkdirSync(below, { recursive: true, mode: 0o700 });
    for (let turn = 1; ; turn += 1) {
      const run = turn === 1 ? name : `${name}-${String(turn)}`;
      const directory = path.join(below, run);
      try {
        mkdirSync(directory, { mode: 0o700 });
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'EEXIST') continue;
        throw error;
      }
      return recordIn(run, directory);
    }
  } catch (error) {
    throw unwritable(below, error);
  }
}

function recordIn(run: string, directory: string): Record {
  const file = path.join(directory, 'samples.ndjson');
  const descriptor = openSync(file, 'a', 0o600);
  return {
    run,
    directory,
    add(line) {
      try {
        writeSync(descriptor, `${JSON.stringify(line)}\n`);
      } catch (error) {
        throw unwritable(file, error);
      }
    },
    close() {
      closeSync(descriptor);
    },
  };
}

/** Throws `recording-failed`. */
export async function writeResult(directory: string, result: DrillResult): Promise<void> {
  const file = path.join(directory, 'result.json');
  try {
    await writePrivateFile(file, `${JSON.stringify(redactDeep(result), null, 2)}\n`);
  } catch (error) {
    throw unwritable(file, error);
  }
}

const unwritable = (file: string, cause: unknown): RepctlError =>
  new RepctlError('recording-failed', `${file} cannot be written: ${messageOf(cause)}`, {
    exit: EXIT.incomplete,
    hint: 'Make room, or set XDG_STATE_HOME to another place. What was recorded before is there.',
    details: { file },
    cause,
  });
