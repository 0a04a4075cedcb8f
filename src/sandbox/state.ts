/** sandbox.json: what is known of a sandbox between two commands. */
import { readFile, rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { EXIT, RepctlError, messageOf } from '../errors.js';
import type { Sandbox } from './model.js';

const stateFile = (directory: string): string => path.join(directory, 'sandbox.json');

/** undefined where no sandbox is. Throws `sandbox-unreadable` when the file is there but makes no sense. */
export async function readState(directory: string): Promise<Sandbox | undefined> {
  let text: string;
  try {
    text = await readFile(stateFile(directory), 'utf8');
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw unreadable(directory, error);
  }
  try {
    const state = JSON.parse(text) as Partial<Sandbox>;
    if (state.format !== 1 || !Array.isArray(state.nodes)) throw new Error('not a sandbox of this version');
    return state as Sandbox;
  } catch (error) {
    throw unreadable(directory, error);
  }
}

function unreadable(directory: string, error: unknown): RepctlError {
  return new RepctlError('sandbox-unreadable', `${stateFile(directory)}: ${messageOf(error)}`, {
    hint: 'Remove the directory if it holds nothing you need, or choose another with --dir.',
    cause: error,
  });
}

/** Replaces the file as a whole, so that a reader never sees half of it. Mode 0600: it holds passwords. */
export async function writeState(sandbox: Sandbox): Promise<void> {
  const file = stateFile(sandbox.directory);
  const scratch = `${file}.${String(process.pid)}`;
  await writeFile(scratch, `${JSON.stringify(sandbox, null, 2)}\n`, { mode: 0o600 });
  await rename(scratch, file);
}

/** The first write of a sandbox's state; of two runs at once, one gets `sandbox-exists` (exit 6). */
export async function claimState(sandbox: Sandbox): Promise<void> {
  try {
    await writeFile(stateFile(sandbox.directory), `${JSON.stringify(sandbox, null, 2)}\n`, {
      mode: 0o600,
      flag: 'wx',
    });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') throw sandboxExists(sandbox.directory);
    throw error;
  }
}

export const sandboxExists = (directory: string): RepctlError =>
  new RepctlError('sandbox-exists', `There is already a sandbox in ${directory}.`, {
    exit: EXIT.refused,
    hint: 'repctl sandbox status shows it; repctl sandbox down removes it.',
    details: { directory },
  });
