/** Durations on the command line. */
import { durationOf } from '../duration.js';
import { RepctlError } from '../errors.js';

const MOST_MS = 24 * 24 * 3_600_000;

/** Milliseconds. Throws RepctlError `usage` (exit 2) for anything that is no positive duration. */
export function parseDuration(text: string, flag = '--timeout'): number {
  const value = durationOf(text);
  if (value === undefined || value <= 0) {
    throw new RepctlError(
      'usage',
      `${flag} takes a duration such as 500ms, 5s or 2m, not ${JSON.stringify(text)}.`,
    );
  }
  // Timers of Node and statement_timeout alike are 31 bits of milliseconds.
  if (value > MOST_MS) throw new RepctlError('usage', `${flag} is at most 24 days: ${JSON.stringify(text)}.`);
  return value;
}
