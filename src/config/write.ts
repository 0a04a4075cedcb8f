/** Files that must be there whole or not at all, and that nobody else may read. */
import { mkdir, open, rename, rm } from 'node:fs/promises';
import path from 'node:path';

/**
 * Writes the text beside the file (0600), makes it durable and puts it in place in one step. When that fails,
 * say on a full disk, the file is as it was before. Directories that are missing are made (0700).
 */
export async function writePrivateFile(file: string, text: string): Promise<void> {
  await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
  const scratch = `${file}.${String(process.pid)}.tmp`;
  try {
    // Left by a process of the same number (in containers they are few) that was killed here.
    await rm(scratch, { force: true });
    const handle = await open(scratch, 'wx', 0o600);
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(scratch, file);
  } catch (error) {
    await rm(scratch, { force: true });
    throw error;
  }
}
