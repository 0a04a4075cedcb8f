/** Why a node could not be compared, in words. Pure. */
import { messageOf } from '../../errors.js';
import { sqlStateOf } from '../../postgres/sqlstate.js';

export const ALTERED = 'the table was altered while it was compared: check it again';

/** undefined_table, undefined_column, undefined_function (a column has another type now), invalid_schema_name, datatype_mismatch. */
const IS_GONE: readonly string[] = ['42P01', '42703', '42883', '3F000', '42804'];

/** A table that is not any more what it was when the comparison began is told as that. */
export const problemOf = (error: unknown): string =>
  IS_GONE.includes(sqlStateOf(error) ?? '') ? `${ALTERED} (${messageOf(error)})` : messageOf(error);
