/** Where bytes go: stdout, a device or pipe, or a file that appears only when it is complete. */
import { createWriteStream, renameSync, rmSync, statSync } from 'node:fs';
import { once } from 'node:events';
import { finished } from 'node:stream/promises';
import type { Writable } from 'node:stream';
import { RepctlError, messageOf } from '../errors.js';

/**
 * Runs `body` with the stream. Throws `file-unwritable` (exit 2), before it does, when the file cannot be made. A file is written beside its place and moved there at the end, so that a full
 * disk or Ctrl-C never leaves half of one under its name. What is there and is no file (/dev/null, a pipe) is
 * written to as it is: moving a file over it would replace it.
 */
export async function withOutput<T>(
  file: string | undefined,
  body: (output: Writable) => Promise<T>,
): Promise<T> {
  if (file === undefined) return body(process.stdout);
  const special = statSync(file, { throwIfNoEntry: false })?.isFile() === false;
  const part = special ? file : `${file}.${String(process.pid)}.part`;
  const output = createWriteStream(part);
  await once(output, 'open').catch((error: unknown) => {
    throw new RepctlError('file-unwritable', `${file} cannot be written: ${messageOf(error)}`, {
      cause: error,
    });
  });
  try {
    const value = await body(output);
    output.end();
    await finished(output);
    if (!special) renameSync(part, file);
    return value;
  } catch (error) {
    output.destroy();
    if (!special) rmSync(part, { force: true });
    throw error;
  }
}
