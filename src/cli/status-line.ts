/** One line on stderr that is written over again and again; nothing where stderr is no terminal. */

export interface StatusLine {
  /** Shows what `text` gives, at most ten times a second, and not during the first second. */
  readonly show: (text: (elapsedMs: number) => string) => void;
  /** Takes the line away. */
  readonly clear: () => void;
}

const FIRST_MS = 1000;
const EVERY_MS = 100;

export function statusLine(stream: NodeJS.WriteStream, enabled = true): StatusLine {
  const start = performance.now();
  let next = start + FIRST_MS;
  let shown = false;
  return {
    show(text) {
      const now = performance.now();
      if (!enabled || !stream.isTTY || now < next) return;
      next = now + EVERY_MS;
      shown = true;
      stream.write(`\r\u001B[K${text(now - start)}`);
    },
    clear() {
      if (shown) stream.write('\r\u001B[K');
      shown = false;
    },
  };
}
