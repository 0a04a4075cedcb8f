/**
 * Disks of a size, for servers that are to run full: a memory file system (tmpfs) of its own under a data directory.
 * Linux only, and only for whoever may mount: root, and not in every container.
 */
import { mkdtemp, open, readFile, rm, rmdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { EXIT, RepctlError, messageOf } from '../errors.js';
import type { Account, SandboxNode } from './model.js';
import { run } from './process.js';

/** The file that takes the rest of the room. */
const BALLAST = 'ballast';

/** Mounts an empty disk of so many megabytes on a directory that is there. Throws `disk-not-permitted` (exit 6). */
export async function mountDisk(
  directory: string,
  megabytes: number,
  account: Account | null,
): Promise<void> {
  const owner = account === null ? '' : `,uid=${String(account.uid)},gid=${String(account.gid)}`;
  const options = `size=${String(megabytes)}m,mode=0700${owner}`;
  const ran = await run('mount', ['-t', 'tmpfs', '-o', options, 'repctl-sandbox', directory], {
    account: null,
    cwd: '/',
  }).catch((error: unknown) => ({ code: -1, stderr: messageOf(error) }));
  if (ran.code === 0) return;
  throw new RepctlError(
    'disk-not-permitted',
    `A disk of a size cannot be mounted here: ${ran.stderr.trim()}`,
    {
      exit: EXIT.refused,
      hint: 'It takes Linux and root; in a container also the capability SYS_ADMIN.',
      details: { directory },
    },
  );
}

/** Why disks of a size cannot be had here; undefined: they can. It is tried. */
export async function diskProblem(): Promise<string | undefined> {
  const directory = await mkdtemp(path.join(tmpdir(), 'repctl-disk-'));
  try {
    await mountDisk(directory, 1, null);
    await unmountBelow(directory);
    return undefined;
  } catch (error) {
    return messageOf(error);
  } finally {
    await rmdir(directory).catch(() => undefined);
  }
}

/** The mount points at or below a directory; none where there is no /proc. */
async function mountsBelow(directory: string): Promise<string[]> {
  const text = await readFile('/proc/self/mounts', 'utf8').catch(() => '');
  return text
    .split('\n')
    .map((line) => (line.split(' ')[1] ?? '').replaceAll('\\040', ' '))
    .filter((mount) => mount === directory || mount.startsWith(`${directory}/`));
}

/** Takes away what mountDisk put there, with all that is on it. */
export async function unmountBelow(directory: string): Promise<void> {
  // Lazily: what still has a file open there keeps nothing from being removed.
  for (const mount of await mountsBelow(directory))
    await run('umount', ['-l', mount], { account: null, cwd: '/' });
}

/** Writes until nothing more goes in. Throws `disk-unbounded` where that would be the whole machine's disk. */
export async function fillDisk(node: SandboxNode): Promise<void> {
  if (!(await mountsBelow(node.dataDirectory)).includes(node.dataDirectory))
    throw new RepctlError(
      'disk-unbounded',
      `${node.name} has no disk of its own: this machine's is not filled.`,
    );
  const file = await open(path.join(node.dataDirectory, BALLAST), 'a', 0o600);
  try {
    const piece = Buffer.alloc(1 << 20);
    for (let size = piece.length; size >= 512;) {
      try {
        const { bytesWritten } = await file.write(piece, 0, size);
        if (bytesWritten < size) size >>= 1;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
        size >>= 1;
      }
    }
  } finally {
    await file.close();
  }
}

/** Gives back what fillDisk took. */
export const freeDisk = (node: SandboxNode): Promise<void> =>
  rm(path.join(node.dataDirectory, BALLAST), { force: true });
