/** The sandbox's directory: made, checked before anything is put into it, removed. */
import { chown, mkdir, readdir, rm, statfs } from 'node:fs/promises';
import path from 'node:path';
import { EXIT, RepctlError, messageOf } from '../errors.js';
import type { Account } from './model.js';
import { run } from './process.js';

/** A fresh data directory (39 MB), the sandbox's database (8 MB), two more WAL segments (32 MB). */
const BYTES_PER_NODE = 80 * 1024 * 1024;

/**
 * Makes the directory (0700, the servers' account its owner). Returns whether it is new.
 * Throws `directory-unwritable`, `directory-not-empty`, `disk-full` (all exit 6) before anything was put there.
 */
export async function prepareDirectory(
  directory: string,
  nodes: number,
  account: Account | null,
): Promise<{ created: boolean }> {
  const refuse = (code: string, message: string, hint: string, cause?: unknown): RepctlError =>
    new RepctlError(code, message, { exit: EXIT.refused, hint, details: { directory }, cause });
  const elsewhere = 'Choose another place with --dir.';
  let created: boolean;
  try {
    // Parents stay open to the servers' account; the sandbox itself does not stay open to others.
    await mkdir(path.dirname(directory), { recursive: true, mode: account ? 0o755 : 0o700 });
    // Not recursive: Node then reports the true reason (EROFS comes out as ENOENT otherwise).
    created = await mkdir(directory, { mode: 0o700 }).then(
      () => true,
      (error: unknown) => {
        if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
        throw error;
      },
    );
  } catch (error) {
    throw refuse(
      'directory-unwritable',
      `${directory} cannot be made: ${messageOf(error)}`,
      elsewhere,
      error,
    );
  }
  const undo = async (): Promise<void> => {
    if (created) await rm(directory, { recursive: true, force: true });
  };
  try {
    if ((await readdir(directory)).length > 0)
      throw refuse('directory-not-empty', `${directory} holds files that are no sandbox.`, elsewhere);
    const { bavail, bsize } = await statfs(directory);
    const problem = spaceProblem(bavail * bsize, nodes);
    if (problem !== undefined)
      throw refuse(
        'disk-full',
        `${directory}: ${problem}`,
        `Free some space, or choose another place with --dir.`,
      );
    if (account) await chown(directory, account.uid, account.gid);
    // Root may reach what the servers' account may not: let that account try.
    const { code } = await run('sh', ['-c', 'cd "$1" && : > .try && rm .try', 'sh', directory], {
      account,
      cwd: '/',
    });
    if (code !== 0)
      throw refuse(
        'directory-unwritable',
        `${directory} cannot be used by ${account === null ? 'this user' : `the account ${account.name}, under which PostgreSQL runs`}.`,
        account === null
          ? elsewhere
          : `${elsewhere}\nEvery directory above it must be open to that account (x).`,
      );
    return { created };
  } catch (error) {
    await undo();
    if (error instanceof RepctlError) throw error;
    throw refuse(
      'directory-unwritable',
      `${directory} cannot be used: ${messageOf(error)}`,
      elsewhere,
      error,
    );
  }
}

/** Why so many nodes do not fit, or undefined when they do. */
export function spaceProblem(freeBytes: number, nodes: number): string | undefined {
  const needed = nodes * BYTES_PER_NODE;
  if (freeBytes >= needed) return undefined;
  const mb = (bytes: number): string => `${String(Math.floor(bytes / 1024 / 1024))} MB`;
  return `${String(nodes)} nodes need ${mb(needed)}, and ${mb(freeBytes)} are free.`;
}

/** Removes what the sandbox put there; the directory itself only if the sandbox made it. */
export async function removeDirectory(directory: string, created: boolean): Promise<void> {
  const options = { recursive: true, force: true, maxRetries: 5, retryDelay: 50 };
  if (created) {
    await rm(directory, options);
    return;
  }
  const names = await readdir(directory).catch(() => []);
  await Promise.all(names.map((name) => rm(path.join(directory, name), options)));
}
