/** A stream through which data takes its time: what a long line does to it. */
import { Transform, type TransformCallback } from 'node:stream';

/**
 * Each piece comes out `delayMs()` milliseconds after it went in, in order; many are under way at once, so that
 * throughput stays. With no delay and nothing under way it passes at once. `count` hears how many bytes went in.
 */
export function delayLine(
  delayMs: () => number,
  count: (bytes: number) => void = () => undefined,
): Transform {
  const queue: { readonly at: number; readonly chunk: Buffer }[] = [];
  let timer: NodeJS.Timeout | undefined;
  let ended: TransformCallback | undefined;
  const release = (): void => {
    timer = undefined;
    const now = performance.now();
    while (queue[0] !== undefined && queue[0].at <= now) line.push(queue.shift()?.chunk);
    if (queue[0] !== undefined) timer = setTimeout(release, Math.max(1, queue[0].at - now));
    else if (ended) {
      ended();
      ended = undefined;
    }
  };
  const line = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      count(chunk.length);
      const delay = delayMs();
      if (delay === 0 && queue.length === 0) {
        done(null, chunk);
        return;
      }
      // Never before what went in earlier, also when the line was just made quicker.
      const at = Math.max(performance.now() + delay, queue.at(-1)?.at ?? 0);
      queue.push({ at, chunk });
      timer ??= setTimeout(release, Math.max(1, at - performance.now()));
      done();
    },
    flush(done) {
      if (queue.length === 0) done();
      else ended = done;
    },
    destroy(error, done) {
      clearTimeout(timer);
      done(error);
    },
  });
  return line;
}
