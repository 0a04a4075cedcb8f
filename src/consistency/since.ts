/** `--since`: only rows that changed since a time, where a column says so. */
import { RepctlError } from '../errors.js';
import { ident, literal } from '../postgres/quote.js';
import type { Session } from '../postgres/session.js';
import type { TableShape } from './shape.js';

export interface Since {
  /** A span before the leader's clock, or a point in time (RFC 3339). */
  readonly at: { readonly agoMs: number } | { readonly time: string };
  readonly column: string;
}

const TIME = /^\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d(?::?\d\d)?)?)?$/u;

/** RFC 3339 in UTC of `2026-11-28`, `2026-11-28T01:30`, `… 01:30:00+01:00`; without a zone it is UTC. Undefined: no time. */
export function parseTime(text: string): string | undefined {
  if (!TIME.test(text.trim())) return undefined;
  const iso = text.trim().replace(' ', 'T');
  const zoned = /(?:Z|[+-]\d\d(?::?\d\d)?)$/u.test(iso.slice(10))
    ? iso
    : `${iso}${iso.length === 10 ? 'T00:00' : ''}Z`;
  const time = new Date(zoned.replace(/([+-]\d\d)$/u, '$1:00').replace(/([+-]\d\d)(\d\d)$/u, '$1:$2'));
  return Number.isNaN(time.getTime()) ? undefined : time.toISOString();
}

/** The time as RFC 3339; the leader's clock counts. */
export async function sinceTime(leader: Session, { at }: Since): Promise<string> {
  if ('time' in at) return at.time;
  const [row] = await leader.query<{ at: string }>(
    `select to_json((clock_timestamp() - $1::float8 * interval '1 ms') at time zone 'UTC') #>> '{}' || 'Z' as at`,
    [at.agoMs],
  );
  return row?.at ?? new Date().toISOString();
}

const TYPES = new Set(['timestamptz', 'timestamp', 'date']);

/** The condition on the table; undefined where it has no such column of dates or times. */
export function sinceScope(shape: TableShape, column: string, time: string): string | undefined {
  const found = shape.columns.find(({ name }) => name === column);
  if (found === undefined || !TYPES.has(found.base)) return undefined;
  // A row that does not say when it was changed may have been changed since. Plain timestamps count as UTC.
  const value = `(${literal(time)}::timestamptz at time zone 'UTC')`;
  const bound = found.base === 'timestamptz' ? `${literal(time)}::timestamptz` : `${value}::${found.base}`;
  return `t.${ident(column)} >= ${bound} or t.${ident(column)} is null`;
}

/** `table`: undefined where it is none of them that has it. */
export const noSuchColumn = (table: string | undefined, column: string): RepctlError =>
  new RepctlError(
    'no-time-column',
    `${table === undefined ? 'No replicated table has a' : `${table} has no`} column ${column} of dates or times.`,
    { hint: 'Name another one with --since-column, or check the table without --since.' },
  );
