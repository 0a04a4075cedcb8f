/** One line on stderr that is drawn over itself: only on a terminal, only when something takes a second. */
const FIRST_AFTER_MS = 1000;
const EVERY_MS = 100;

export interface ProgressLine {
  show(text: string): void;
  clear(): void;
}

export function progressLine(stream: NodeJS.WriteStream, quiet: boolean): ProgressLine {
  const started = Date.now();
  let last = 0;
  let shown = false;
  return {
    show(text) {
      const now = Date.now();
      if (quiet || !stream.isTTY || now - started < FIRST_AFTER_MS || now - last < EVERY_MS) return;
      last = now;
      shown = true;
      stream.write(`\r\u001B[K${text}`);
    },
    clear() {
      if (shown) stream.write('\r\u001B[K');
      shown = false;
    },
  };
}
