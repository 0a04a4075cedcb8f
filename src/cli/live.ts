/** Lines at the bottom of a terminal that are drawn over themselves: what runs just now. */

const EVERY_MS = 100;
/** What is over sooner is not worth a flicker. */
const FIRST_AFTER_MS = 80;
const FRAMES = '⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏';

export interface Live {
  /** Prints a line that stays, above what is drawn. */
  print(line: string): void;
  stop(): void;
}

/** `lines` gives what is to be drawn now, with a frame of the spinner; each is cut at the width. */
export function live(stream: NodeJS.WriteStream, lines: (frame: string) => readonly string[]): Live {
  let drawn = 0;
  let frame = 0;
  const clear = (): void => {
    if (drawn > 0) stream.write(`\u001B[${String(drawn)}A\u001B[0J`);
    drawn = 0;
  };
  const draw = (): void => {
    frame = (frame + 1) % FRAMES.length;
    const width = (stream.columns || 80) - 1;
    // More lines than the terminal has could not be cleared again.
    const shown = lines(FRAMES[frame] ?? '').slice(0, Math.max(1, (stream.rows || 24) - 2));
    clear();
    if (shown.length === 0) return;
    stream.write(shown.map((line) => `${cut(line, width)}\n`).join(''));
    drawn = shown.length;
  };
  let timer: NodeJS.Timeout | undefined = setTimeout(() => {
    draw();
    timer = setInterval(draw, EVERY_MS);
    timer.unref();
  }, FIRST_AFTER_MS);
  timer.unref();
  return {
    print(line) {
      const again = drawn > 0;
      clear();
      stream.write(`${line}\n`);
      if (again) draw();
    },
    stop() {
      clearTimeout(timer);
      timer = undefined;
      clear();
    },
  };
}

/** At most `width` columns; sequences that colour take none. */
export function cut(line: string, width: number): string {
  const parts = line.split(/(\u001B\[[\d;]*m)/u);
  let room = width;
  const plain = parts.reduce((sum, part, i) => (i % 2 === 0 ? sum + Array.from(part).length : sum), 0);
  if (plain <= width) return line;
  room -= 1;
  return `${parts
    .map((part, i) => {
      if (i % 2 === 1) return part;
      const kept = Array.from(part).slice(0, Math.max(0, room)).join('');
      room -= Array.from(part).length;
      return kept;
    })
    .join('')}…`;
}
