/** A row of figures as bars, one character each. */
const BARS = '▁▂▃▄▅▆▇█';

/** The last `width` figures between zero and the highest of them; an unknown one is a gap. */
export function sparkline(values: readonly (number | null)[], width: number): string {
  const shown = values.slice(-Math.max(0, width));
  const top = Math.max(0, ...shown.filter((value) => value !== null));
  return shown
    .map((value) => {
      if (value === null || !Number.isFinite(value)) return ' ';
      const step = top === 0 ? 0 : Math.round((Math.max(0, value) / top) * (BARS.length - 1));
      return BARS.charAt(step);
    })
    .join('');
}
