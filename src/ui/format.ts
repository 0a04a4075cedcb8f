/** Numbers as people read them. JSON never uses these: bytes and milliseconds stay numbers there. */

/** 0 B, 57 kB, 1.2 MB (powers of 1024, as PostgreSQL's pg_size_pretty). */
export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = 0;
  while (Math.abs(value) >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 || Math.abs(value) >= 10 ? value.toFixed(0) : value.toFixed(1)} ${units[unit] ?? ''}`;
}

/** 0 ms, 340 ms, 2.4 s, 41 s, 3 min, 2 h, 3 d. */
export function formatDuration(ms: number): string {
  if (ms < 1000) return `${ms.toFixed(0)} ms`;
  if (ms < 10_000) return `${(ms / 1000).toFixed(1)} s`;
  if (ms < 120_000) return `${(ms / 1000).toFixed(0)} s`;
  if (ms < 7_200_000) return `${(ms / 60_000).toFixed(0)} min`;
  if (ms < 172_800_000) return `${(ms / 3_600_000).toFixed(0)} h`;
  return `${(ms / 86_400_000).toFixed(0)} d`;
}

/** 1234567 → 1,234,567; not by toLocaleString(), whose first call loads ICU's data (10 ms). */
export const formatCount = (count: number | bigint): string =>
  String(count).replaceAll(/\B(?=(?:\d{3})+(?!\d))/g, ',');
