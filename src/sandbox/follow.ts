/** Follows a growing file, as tail -f. */
import { open, stat } from 'node:fs/promises';
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
