/** A screen that is drawn again and again until Ctrl-C: for --watch. */
import { setTimeout as sleep } from 'node:timers/promises';
import { EXIT } from '../errors.js';
import { redact } from '../config/redact.js';

/**
 * Calls `frame` every `intervalMs` until the signal is aborted. On a terminal each frame takes the place of the
 * one before; in a pipe frames follow each other, parted by an empty line.
 */
export async function repeat(
  stream: NodeJS.WriteStream,
  intervalMs: number,
  signal: AbortSignal,
  frame: () => Promise<string>,
): Promise<void> {
  stream.once('error', (error: NodeJS.ErrnoException) => {
    // The reader is gone (`| head`): there is nobody to draw for.
    if (error.code === 'EPIPE') process.exit(EXIT.done);
    process.stderr.write(`✗ stdout cannot be written: ${error.message}\n`);
    process.exit(EXIT.incomplete);
  });
  let first = true;
  while (!signal.aborted) {
    const started = performance.now();
    const text = redact(await frame());
    // Aborted while the frame was asked for: nothing is drawn any more.
    if (signal.aborted as boolean) return;
    // Home, the text with the rest of each line erased, then everything below erased: no flicker.
    if (stream.isTTY)
      stream.write(
        `${first ? '\u001B[2J' : ''}\u001B[H${text.replaceAll('\n', '\u001B[K\n')}\u001B[K\n\u001B[J`,
      );
    else stream.write(`${first ? '' : '\n'}${text}\n`);
    first = false;
    const rest = Math.max(0, intervalMs - (performance.now() - started));
    await sleep(rest, undefined, { signal }).catch(() => undefined);
  }
}
