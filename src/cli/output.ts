/** Where bytes go: stdout, or a file that appears only when it is complete. */
import { createWriteStream, renameSync, rmSync } from 'node:fs';
import { finished } from 'node:stream/promises';
import type { Writable } from 'node:stream';

/**
 * Runs `body` with the stream. A file is written beside its place and moved there at the end, so that a full
 * disk or Ctrl-C never leaves half of one under its name.
 */
export async function withOutput<T>(
  file: string | undefined,
  body: (output: Writable) => Promise<T>,
): Promise<T> {
  if (file === undefined) return body(process.stdout);
  const part = `${file}.${String(process.pid)}.part`;
  const output = createWriteStream(part);
  try {
    const value = await body(output);
    output.end();
    await finished(output);
    renameSync(part, file);
    return value;
  } catch (error) {
    output.destroy();
    rmSync(part, { force: true });
    throw error;
  }
}
