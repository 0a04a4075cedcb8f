/** A line per run, for a spreadsheet (RFC 4180). Pure. */
import { FIGURES, type Figure, figuresOf } from '../../drill/report/summary.js';
import type { DrillResult } from '../../drill/result.js';

const columns = Object.keys(FIGURES) as Figure[];

/** Quoted where it must be; a leading sign of a formula is taken for text by no spreadsheet otherwise. */
const cell = (value: string | number | null): string => {
  if (value === null) return '';
  const text = typeof value === 'string' && /^[=+\-@\t\r]/u.test(value) ? `'${value}` : String(value);
  return /[",\r\n]/u.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
};

export const renderCsv = (results: readonly DrillResult[]): string =>
  [
    ['run', 'scenario', 'variant', 'seed', 'status', 'startedAt', ...columns],
    ...results.map((result) => {
      const figures = figuresOf(result);
      const { run, scenario, variant, seed, status, startedAt } = result;
      return [run, scenario, variant, seed, status, startedAt, ...columns.map((key) => figures[key])];
    }),
  ]
    .map((cells) => `${cells.map(cell).join(',')}\r\n`)
    .join('');
