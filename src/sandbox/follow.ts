/** The end of a file, and what is added to it: tail and tail -f. */
import { open, readFile, stat } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';

/** Calls `onText` with what is added after byte `from`, whole lines only, until `signal` is aborted. */
export async function followFile(
  file: string,
  from: number,
  onText: (text: string) => void,
  signal: AbortSignal,
): Promise<void> {
  let position = from;
  let rest = '';
  while (!signal.aborted) {
    const { size } = await stat(file);
    if (size < position) position = 0; // truncated
    if (size > position) {
      const handle = await open(file, 'r');
      try {
        const buffer = Buffer.alloc(Math.min(size - position, 1 << 20));
        const { bytesRead } = await handle.read(buffer, 0, buffer.length, position);
        position += bytesRead;
        const text = rest + buffer.subarray(0, bytesRead).toString();
        const end = text.lastIndexOf('\n') + 1;
        rest = text.slice(end);
        if (end > 0) onText(text.slice(0, end));
      } finally {
        await handle.close();
      }
    } else {
      await delay(100, undefined, { signal }).catch(() => undefined);
    }
  }
}

/** The last lines of a file, and how many bytes it had then. */
export async function lastLines(file: string, count: number): Promise<{ lines: string[]; size: number }> {
  const bytes = await readFile(file);
  const lines = bytes.toString().split('\n');
  if (lines.at(-1) === '') lines.pop();
  return { lines: count === 0 ? [] : lines.slice(-count), size: bytes.length };
}
