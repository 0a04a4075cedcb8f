/** Runs the write of one product on the leader and says precisely why nothing was written when nothing was. */
import { EXIT, RepctlError } from '../errors.js';
import type { Session } from '../postgres/session.js';
import { sqlStateOf } from '../postgres/sqlstate.js';
import type { Lsn } from '../postgres/lsn.js';
import type { WriteTarget } from '../routing/write.js';
import type { Product } from './output.js';
import {
  BEFORE,
  type Statement,
  type Values,
  type WriteAction,
  adjustStatement,
  createStatement,
  deleteStatement,
  getStatement,
  outcomeSql,
  sweepRequestsSql,
  updateStatement,
} from './statements.js';
import { type ProductTable, columnOf } from './table.js';
import { checkValue } from './values.js';

export type WriteRequest =
  | { readonly action: 'create'; readonly key: string; readonly values: Values }
  | {
      readonly action: 'update';
      readonly key: string;
      readonly values: Values;
      readonly ifVersion?: number | undefined;
    }
  | { readonly action: 'adjust'; readonly key: string; readonly delta: number }
  | { readonly action: 'delete'; readonly key: string; readonly ifVersion?: number | undefined };

export interface WriteOutcome {
  readonly product: Product;
  /** The request had been done before, under the same id: this run changed nothing. */
  readonly replayed: boolean;
}

/** One in this many writes sweeps old requests. */
const SWEEP_EVERY = 500;

/** Checks the values against the table. Throws RepctlError `unknown-column` and `value-invalid` (exit 2). */
export function checkRequest(table: ProductTable, request: WriteRequest): void {
  checkValue(table.key, request.key, true);
  if (request.action === 'adjust') columnOf(table, 'stock');
  if ('ifVersion' in request && request.ifVersion !== undefined) columnOf(table, 'version');
  if (!('values' in request)) return;
  if (request.action === 'update' && request.values.size === 0)
    throw new RepctlError('usage', 'Nothing to update: give at least one column.', { hint: 'See --help.' });
  for (const [name, value] of request.values) {
    const column = columnOf(table, name);
    if (value !== null) checkValue(column, value, name === table.key.name);
    else if (column.notNull)
      throw new RepctlError('value-invalid', `${name} must have a value.`, { details: { column: name } });
  }
}

function statementOf(table: ProductTable, request: WriteRequest, requestId: string | undefined): Statement {
  switch (request.action) {
    case 'create':
      return createStatement(table, request.values, requestId);
    case 'update':
      return updateStatement(table, request.key, request.values, { ifVersion: request.ifVersion, requestId });
    case 'adjust':
      return adjustStatement(table, request.key, request.delta, requestId);
    case 'delete':
      return deleteStatement(table, request.key, { ifVersion: request.ifVersion, requestId });
  }
}

/**
 * Does the request once. Throws RepctlError: `product-not-found` (exit 2); `product-exists`,
 * `version-conflict`, `stock-too-low`, `stock-too-high`, `request-id-used`, `constraint-violated` (exit 6,
 * nothing was changed); connection and fence errors as they come.
 */
export async function writeProduct(
  { session, requests }: WriteTarget,
  table: ProductTable,
  request: WriteRequest,
  requestId: string,
): Promise<{ value: WriteOutcome; before: Lsn }> {
  const { sql, params } = statementOf(table, request, requests ? requestId : undefined);
  let rows: Record<string, unknown>[];
  try {
    rows = await session.query(sql, params);
  } catch (error) {
    if (sqlStateOf(error) === '23505' && constraintOf(error) === 'request_pkey') rows = [];
    else throw explainConstraint(table, request, error);
  }
  const [row] = rows;
  if (row !== undefined) {
    if (requests && Math.random() * SWEEP_EVERY < 1) await session.query(sweepRequestsSql);
    const { [BEFORE]: before, ...product } = row;
    return { value: { product, replayed: false }, before: before as Lsn };
  }
  return whyNothing(session, table, request, requests ? requestId : undefined);
}

const cause = (error: unknown): { constraint?: string; table?: string; column?: string; detail?: string } =>
  (error instanceof RepctlError ? error.cause : error) as never;
const constraintOf = (error: unknown): string | undefined => cause(error).constraint;

function explainConstraint(table: ProductTable, request: WriteRequest, error: unknown): unknown {
  const state = sqlStateOf(error);
  if (state === undefined || !(error instanceof RepctlError)) return error;
  const exists = cause(error).detail?.includes(`(${table.key.name})=`) ?? false;
  if (state === '23505' && exists)
    return new RepctlError('product-exists', `A product ${JSON.stringify(request.key)} exists already.`, {
      exit: EXIT.refused,
      hint: `repctl product update changes it.`,
      details: { key: request.key },
      cause: error,
    });
  if (state.startsWith('23'))
    return new RepctlError('constraint-violated', error.message, {
      exit: EXIT.refused,
      details: error.details,
      cause: error,
    });
  if (state.startsWith('22'))
    return new RepctlError('value-invalid', error.message, { details: error.details, cause: error });
  return error;
}

async function whyNothing(
  session: Session,
  table: ProductTable,
  request: WriteRequest,
  requestId: string | undefined,
): Promise<{ value: WriteOutcome; before: Lsn }> {
  const get = getStatement(table, request.key);
  const [current] = await session.query(get.sql, get.params);
  if (requestId !== undefined) {
    const [done] = await session.query<{ outcome: { action: WriteAction; key: string }; lsn: Lsn }>(
      outcomeSql.replace('outcome', 'outcome, pg_current_wal_insert_lsn()::text as lsn'),
      [requestId],
    );
    if (done) {
      if (done.outcome.action !== request.action || done.outcome.key !== request.key)
        throw refusal(
          'request-id-used',
          `Request id ${requestId} was used for ${done.outcome.action} ${done.outcome.key}.`,
        );
      const product = current ?? { [table.key.name]: request.key };
      return { value: { product, replayed: true }, before: done.lsn };
    }
  }
  const name = JSON.stringify(request.key);
  if (current === undefined) throw notFound(request.key);
  if (request.action === 'adjust') {
    const stock = Number(current['stock']);
    const details = { key: request.key, stock, delta: request.delta };
    throw request.delta < 0
      ? refusal(
          'stock-too-low',
          `${name} has ${String(stock)} in stock: ${String(request.delta)} would leave less than none.`,
          details,
        )
      : refusal(
          'stock-too-high',
          `${name} has ${String(stock)} in stock: +${String(request.delta)} is more than the column can hold.`,
          details,
        );
  }
  const wanted = 'ifVersion' in request ? request.ifVersion : undefined;
  throw refusal(
    'version-conflict',
    `${name} is at version ${String(current['version'])}, not ${String(wanted)}: somebody changed it.`,
    {
      key: request.key,
      version: current['version'],
      wanted,
    },
  );
}

const refusal = (code: string, message: string, details: Record<string, unknown> = {}): RepctlError =>
  new RepctlError(code, message, {
    exit: EXIT.refused,
    details,
    ...(code === 'version-conflict' ? { hint: 'repctl product get shows it as it is; then try again.' } : {}),
  });

export const notFound = (key: string): RepctlError =>
  new RepctlError('product-not-found', `There is no product ${JSON.stringify(key)}.`, {
    details: { key },
    hint: 'repctl product list shows what there is.',
  });
