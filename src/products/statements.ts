/**
 * Writes of one product: pure SQL builders. Each is one statement, so it is atomic by itself.
 *
 * With a request id the statement leaves a row in repctl.request in its own transaction, and does nothing when
 * that row is there already. Two at once under one id meet at the primary key: the second fails with 23505 and
 * is rolled back. Either way the caller then reads the outcome of the first.
 */
import { ident, literal, qualified } from '../postgres/quote.js';
import { outputList } from './output.js';
import { type ProductTable, columnOf } from './table.js';

export interface Statement {
  readonly sql: string;
  readonly params: readonly (string | number | null)[];
}

/** Column → value as text; null is SQL's. */
export type Values = ReadonlyMap<string, string | null>;

/** The alias of the WAL position from before the commit. */
export const BEFORE = 'repctl.before';
const before = `pg_current_wal_insert_lsn()::text as ${ident(BEFORE)}`;

export type WriteAction = 'create' | 'update' | 'adjust' | 'delete';

interface Parameters {
  readonly values: (string | number | null)[];
  add(value: string | number | null, type: string): string;
}

function parameters(): Parameters {
  const values: (string | number | null)[] = [];
  return {
    values,
    add: (value, type) => `$${String(values.push(value))}::${type}`,
  };
}

/** Wraps a data-changing statement: `written` returns the row in output form. */
function wrap(
  action: WriteAction,
  key: string,
  written: string,
  parts: Parameters,
  requestId: string | undefined,
): Statement {
  const remember =
    requestId === undefined
      ? ''
      : `, request as (
  insert into repctl.request (id, outcome)
  select ${parts.add(requestId, 'uuid')}, jsonb_build_object('action', ${literal(action)}, 'key', ${parts.add(key, 'text')}) from written w)`;
  return {
    sql: `with written as (\n  ${written})${remember}\nselect w.*, ${before} from written w`,
    params: parts.values,
  };
}

const notYet = (parts: Parameters, requestId: string | undefined): string =>
  requestId === undefined
    ? ''
    : ` and not exists (select from repctl.request r where r.id = ${parts.add(requestId, 'uuid')})`;

/** Who names the key wants that key, also where the server would give out one (identity always). */
export const overriding = (table: ProductTable): string =>
  table.key.managed ? ' overriding system value' : '';

export function createStatement(table: ProductTable, values: Values, requestId?: string): Statement {
  const parts = parameters();
  const columns = [...values.keys()].map((name) => columnOf(table, name));
  const list = columns.map((column) => parts.add(values.get(column.name) ?? null, column.cast));
  return wrap(
    'create',
    values.get(table.key.name) ?? '',
    `insert into ${qualified(table)} (${columns.map((column) => ident(column.name)).join(', ')})${overriding(table)}
  select ${list.join(', ')} where true${notYet(parts, requestId)}
  returning ${outputList(table.columns)}`,
    parts,
    requestId,
  );
}

/** The columns that count and date the changes of a row, where a table has them in that sense. */
export const keptByUs = (table: ProductTable): readonly ('version' | 'updated_at')[] =>
  (['version', 'updated_at'] as const).filter((name) =>
    table.columns.some(
      (column) =>
        column.name === name &&
        !column.managed &&
        column.kind === (name === 'version' ? 'integer' : 'timestamptz'),
    ),
  );

/** What every change of a row does besides: counts its version, notes the time. Not where the user sets them. */
function touch(table: ProductTable, set: ReadonlySet<string>): string[] {
  const kept = keptByUs(table).filter((name) => !set.has(name));
  return kept.map((name) => (name === 'version' ? '"version" = "version" + 1' : '"updated_at" = now()'));
}

export function updateStatement(
  table: ProductTable,
  key: string,
  values: Values,
  options: { ifVersion?: number | undefined; requestId?: string | undefined } = {},
): Statement {
  const parts = parameters();
  const sets = [...values].map(
    ([name, value]) => `${ident(name)} = ${parts.add(value, columnOf(table, name).cast)}`,
  );
  return wrap(
    'update',
    key,
    `update ${qualified(table)} set ${[...sets, ...touch(table, new Set(values.keys()))].join(', ')}
  where ${ident(table.key.name)} = ${parts.add(key, table.key.cast)}${onlyVersion(parts, options.ifVersion)}${notYet(parts, options.requestId)}
  returning ${outputList(table.columns)}`,
    parts,
    options.requestId,
  );
}

const onlyVersion = (parts: Parameters, version: number | undefined): string =>
  version === undefined ? '' : ` and "version" = ${parts.add(version, 'bigint')}`;

/** Adds to the stock unless that would leave it outside 0 … 2³¹−1. */
export function adjustStatement(
  table: ProductTable,
  key: string,
  delta: number,
  requestId?: string,
): Statement {
  const parts = parameters();
  const amount = parts.add(delta, 'bigint');
  return wrap(
    'adjust',
    key,
    `update ${qualified(table)} set ${['"stock" = "stock" + ' + amount, ...touch(table, new Set())].join(', ')}
  where ${ident(table.key.name)} = ${parts.add(key, table.key.cast)}
    and "stock"::bigint + ${amount} between 0 and 2147483647${notYet(parts, requestId)}
  returning ${outputList(table.columns)}`,
    parts,
    requestId,
  );
}

export function deleteStatement(
  table: ProductTable,
  key: string,
  options: { ifVersion?: number | undefined; requestId?: string | undefined } = {},
): Statement {
  const parts = parameters();
  return wrap(
    'delete',
    key,
    `delete from ${qualified(table)}
  where ${ident(table.key.name)} = ${parts.add(key, table.key.cast)}${onlyVersion(parts, options.ifVersion)}${notYet(parts, options.requestId)}
  returning ${outputList(table.columns)}`,
    parts,
    options.requestId,
  );
}

export function getStatement(table: ProductTable, key: string): Statement {
  return {
    sql: `select ${outputList(table.columns)} from ${qualified(table)} where ${ident(table.key.name)} = $1::${table.key.cast}`,
    params: [key],
  };
}

export const outcomeSql = 'select outcome from repctl.request where id = $1::uuid';

/** Requests are remembered for a week, what was replayed for ever; each write has a small chance to sweep. */
export const sweepRequestsSql = `delete from repctl.request where at < now() - interval '7 days' and outcome ->> 'action' is distinct from 'replay'`;
