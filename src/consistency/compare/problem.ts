/** Why a node could not be compared, in words. Pure. */
import { messageOf } from '../../errors.js';
import { sqlStateOf } from '../../postgres/sqlstate.js';

export const ALTERED = 'the table was altered while it was compared: check it again';

/** undefined_table, undefined_column, undefined_function (a column has another type now), invalid_schema_name, datatype_mismatch. */
const IS_GONE: readonly string[] = ['42P01', '42703', '42883', '3F000', '42804'];

/** insufficient_privilege. */
const DENIED = '42501';

/** A table that is not any more what it was when the comparison began is told as that. */
export function problemOf(error: unknown): string {
  const state = sqlStateOf(error) ?? '';
  if (IS_GONE.includes(state)) return `${ALTERED} (${messageOf(error)})`;
  // Digests do with the columns; who wrote a row last is in its xmin.
  if (state === DENIED)
    return `${messageOf(error)}: rows that differ can be told from changes in flight only with SELECT on the whole table`;
  return messageOf(error);
}
