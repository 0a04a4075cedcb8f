/** Nearest rank of ascending numbers, `share` from 0 to 1; null where there are none. Pure. */
export function percentile(ascending: readonly number[], share: number): number | null {
  const rank = Math.ceil(share * ascending.length) - 1;
  return ascending[Math.min(ascending.length - 1, Math.max(0, rank))] ?? null;
}
