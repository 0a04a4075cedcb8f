/** An error as a person reads it. */
import { redact } from '../config/redact.js';
import type { RepctlError } from '../errors.js';
import type { Style } from './color.js';

/** `✗ message (code)` and the hint below. */
export function failureText(failure: RepctlError, { c }: Style): string {
  const [first = '', ...rest] = failure.message.split('\n');
  const lines = [`${c.red('✗')} ${first} ${c.dim(`(${failure.code})`)}`, ...rest.map((line) => `  ${line}`)];
  for (const line of failure.hint?.split('\n') ?? []) lines.push(`  ${c.cyan(line)}`);
  return redact(lines.join('\n'));
}
