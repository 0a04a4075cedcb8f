/** Figures and names inside the messages of findings. (JSON has them as numbers elsewhere.) */
import type { TableName } from './model.js';

/** Powers of 1024: `57 kB`. */
export function bytes(count: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  const power = Math.min(units.length - 1, count < 1 ? 0 : Math.floor(Math.log2(count) / 10));
  const value = count / 1024 ** power;
  return `${power > 0 && value < 10 ? value.toFixed(1) : value.toFixed(0)} ${units[power] ?? 'B'}`;
}

/** `0.3 s`, `41 s`, `12 min`, `3 h`. */
export function seconds(ms: number): string {
  if (ms < 10_000) return `${(ms / 1000).toFixed(1)} s`;
  if (ms < 120_000) return `${(ms / 1000).toFixed(0)} s`;
  if (ms < 7_200_000) return `${(ms / 60_000).toFixed(0)} min`;
  return `${(ms / 3_600_000).toFixed(0)} h`;
}

/** At most five of them, `public.` left out. */
export function names(tables: readonly TableName[]): string {
  const shown = tables
    .slice(0, 5)
    .map((it) => (it.schema === 'public' ? it.name : `${it.schema}.${it.name}`));
  const rest = tables.length - shown.length;
  return rest > 0 ? `${shown.join(', ')} and ${String(rest)} more` : shown.join(', ');
}

/** To a tenth of a millisecond: more would be noise. */
export const round = (ms: number): number => Math.round(ms * 10) / 10;
