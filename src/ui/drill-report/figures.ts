/** Figures of drills as people read them. Pure. */
import type { Figure, Spread } from '../../drill/report/summary.js';
import { formatCount, formatDuration } from '../format.js';

const ROWS: ReadonlySet<string> = new Set([
  'lost',
  'errors',
  'broughtBack',
  'staleEventual',
  'forgotten',
  'rpo',
]);
const TIME =
  /^(?:rto|noWrites|noReads|writeP50|writeP99|readP50|readP99|lagP50|lagP95|pause|took:.*|.*\.(?:unavailable|pause|p99|p99AtLeast))$/u;

export const NONE = '–';

/** `figure` is one of FIGURES or the name of an expectation. */
export function figureText(figure: Figure | (string & {}), value: number | string | null): string {
  if (value === null) return NONE;
  if (typeof value === 'string') return value;
  if (/(?:[aA]vailability|balance)$|^stale:/u.test(figure)) return `${(value * 100).toFixed(2)} %`;
  if (TIME.test(figure)) return value < 10 ? `${value.toFixed(1)} ms` : formatDuration(value);
  if (ROWS.has(figure) || Number.isInteger(value)) return formatCount(value);
  return value.toFixed(1);
}

/** `1.2 s`, or with more than one run `1.2 s (0.9 to 1.4 s)`. */
export function spreadText(figure: Figure | (string & {}), spread: Spread | null): string {
  if (spread === null) return NONE;
  const median = figureText(figure, spread.median);
  if (spread.runs === 1 || spread.min === spread.max) return median;
  return `${median} (${figureText(figure, spread.min)} to ${figureText(figure, spread.max)})`;
}
