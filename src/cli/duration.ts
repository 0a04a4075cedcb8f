/** Durations on the command line: `500ms`, `5s`, `2m`, `1h`; a bare number is seconds. */
import { RepctlError } from '../errors.js';

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

const MOST_MS = 24 * 24 * 3_600_000;

/** Milliseconds. Throws RepctlError `usage` (exit 2) for anything that is no positive duration. */
export function parseDuration(text: string, flag = '--timeout'): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(text.trim());
  const value = match ? Number(match[1]) * (UNITS[match[2] ?? 's'] ?? Number.NaN) : Number.NaN;
  if (!Number.isFinite(value) || value <= 0) {
    throw new RepctlError(
      'usage',
      `${flag} takes a duration such as 500ms, 5s or 2m, not ${JSON.stringify(text)}.`,
    );
  }
  // Timers of Node and statement_timeout alike are 31 bits of milliseconds.
  if (value > MOST_MS) throw new RepctlError('usage', `${flag} is at most 24 days: ${JSON.stringify(text)}.`);
  return value;
}
