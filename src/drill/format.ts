/** Times of a drill as they are written in scenarios. */
export const formatMs = (ms: number): string =>
  ms % 1000 === 0 ? `${String(ms / 1000)}s` : `${String(Math.round(ms))}ms`;
