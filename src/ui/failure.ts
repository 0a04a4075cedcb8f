/** An error as a person reads it. */
import { redact } from '../config/redact.js';
import type { RepctlError } from '../errors.js';
import type { Style } from './color.js';
import { wrap } from './wrap.js';

/** `✗ message (code)` and the hint below. At a terminal lines break at spaces; in a pipe they are left whole. */
export function failureText(failure: RepctlError, { c, width }: Style, terminal = false): string {
  const room = terminal ? width - 2 : Infinity;
  // What is laid out already (a list, SQL) keeps its form.
  const fold = (line: string): readonly string[] =>
    line.length <= room || /^\s|\S {2}/u.test(line) ? [line] : wrap(line, room);
  const [first = '', ...rest] = redact(failure.message)
    .split('\n')
    .flatMap((line, at) => fold(at === 0 ? `${line} (${failure.code})` : line));
  const code = `(${failure.code})`;
  const paint = (line: string): string =>
    line.endsWith(code) ? `${line.slice(0, -code.length)}${c.dim(code)}` : line;
  const hint = failure.hint === undefined ? [] : redact(failure.hint).split('\n').flatMap(fold);
  return [
    `${c.red('✗')} ${paint(first)}`,
    ...rest.map((line) => `  ${paint(line)}`),
    ...hint.map((line) => `  ${c.cyan(line)}`),
  ].join('\n');
}
