/** What is looked at of a table: --where and --since together. */
import type { Session } from '../../postgres/session.js';
import { proveCondition } from '../condition.js';
import type { TableShape } from '../shape.js';
import { noSuchColumn, sinceScope } from '../since.js';

export interface Scope {
  readonly where: string | undefined;
  /** RFC 3339. */
  readonly since: string | undefined;
  /** That says when a row changed. */
  readonly column: string;
}

/**
 * The SQL condition, null for all rows; a reason where the table is left out. Throws `bad-condition`, and for a table
 * that was `named` `no-time-column`.
 */
export async function scopeOf(
  leader: Session,
  shape: TableShape,
  { where, since, column }: Scope,
  named: boolean,
): Promise<{ readonly scope: string | null } | { readonly reason: string }> {
  if (where !== undefined) await proveCondition(leader, shape, where);
  const changed = since === undefined ? undefined : sinceScope(shape, column, since);
  if (since !== undefined && changed === undefined) {
    if (named) throw noSuchColumn(`${shape.schema}.${shape.name}`, column);
    return { reason: `it has no column ${column} of dates or times` };
  }
  const conditions = [where, changed].filter((condition) => condition !== undefined);
  return {
    scope: conditions.length === 0 ? null : conditions.map((condition) => `(${condition})`).join(' and '),
  };
}
