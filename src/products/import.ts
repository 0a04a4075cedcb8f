/**
 * Import: records stream through COPY into a temporary table, then go into the products table by upsert, in one
 * transaction. Memory does not grow with the number of rows: what waits, waits in the server.
 */
import { Readable } from 'node:stream';
import { from as copyFrom } from 'pg-copy-streams';
import { EXIT, RepctlError } from '../errors.js';
import type { Lsn } from '../postgres/lsn.js';
import { ident, qualified } from '../postgres/quote.js';
import { copyPipeline } from '../postgres/copy.js';
import type { Session } from '../postgres/session.js';
import { isConnectionLoss, sqlStateOf } from '../postgres/sqlstate.js';
import { copyRow } from './copy-text.js';
import { type InputFormat, readRecords } from './records.js';
import { type RowReader, rowReader } from './rows.js';
import { keptByUs, overriding } from './statements.js';
import type { ProductColumn, ProductTable } from './table.js';

export interface Reject {
  readonly line: number;
  readonly reason: string;
}

export interface ImportRequest {
  readonly input: AsyncIterable<Uint8Array>;
  readonly format: InputFormat;
  readonly dryRun: boolean;
  /** Given with --continue: what does not fit goes here and the rest goes on. */
  readonly reject?: ((reject: Reject) => void) | undefined;
  readonly progress?: ((progress: ImportProgress) => void) | undefined;
  /** Whatever must not fail once the rows are committed; when it throws, nothing is. */
  readonly beforeCommit?: (() => void) | undefined;
}

export interface ImportProgress {
  readonly phase: 'reading' | 'writing';
  readonly rows: number;
  /** Known while writing. */
  readonly total?: number;
}

export interface ImportResult {
  readonly read: number;
  readonly created: number;
  readonly updated: number;
  readonly unchanged: number;
  readonly rejected: number;
  readonly ignoredColumns: readonly string[];
  readonly dryRun: boolean;
}

const STAGE = 'pg_temp.repctl_import';
/** No product column is called so. */
const LINE = '"repctl.line"';
/** Lines per upsert statement: large enough to cost nothing, small enough for a progress bar. */
const BATCH_LINES = 20_000;
const CHUNK_LENGTH = 256 * 1024;

/**
 * Runs in a transaction of its own on `session` (the leader's). Throws RepctlError, nothing changed:
 * `input-empty`, `import-invalid`, `import-rejected`, `encoding-invalid`, `unknown-column` (exit 2), the fence's
 * 25006 before the input is touched, `leader-moved` (exit 6) after.
 */
export async function importProducts(
  session: Session,
  table: ProductTable,
  request: ImportRequest,
): Promise<{ value: ImportResult; before: Lsn }> {
  await session.query('begin');
  try {
    await session.query('set local statement_timeout = 0');
    // A fence refuses this before anything of the input is consumed.
    const key = ident(table.key.name);
    await session.query(
      `insert into ${qualified(table)} (${key})${overriding(table)} select ${key} from ${qualified(table)} where false`,
    );
    const value = await load(session, table, request).catch((error: unknown) => {
      throw afterConsuming(error);
    });
    request.beforeCommit?.();
    const [row] = await session.query<{ lsn: Lsn }>('select pg_current_wal_insert_lsn()::text as lsn');
    await session.query(request.dryRun ? 'rollback' : 'commit');
    return { value, before: row?.lsn ?? '0/0' };
  } catch (error) {
    if (session.alive) await session.query('rollback').catch(() => undefined);
    throw error;
  }
}

/** Neither may be tried again by itself: the input is gone. Before the commit nothing was changed. */
function afterConsuming(error: unknown): unknown {
  const fenced = sqlStateOf(error) === '25006';
  if (!fenced && !isConnectionLoss(error)) return error;
  return new RepctlError(
    fenced ? 'leader-moved' : 'import-interrupted',
    fenced
      ? 'The leader changed during the import: nothing was imported.'
      : 'The connection to the leader was lost during the import: nothing was imported.',
    { exit: fenced ? EXIT.refused : EXIT.unreachable, hint: 'Run the same import again.', cause: error },
  );
}

async function load(session: Session, table: ProductTable, request: ImportRequest): Promise<ImportResult> {
  const counts = { read: 0, rejected: 0 };
  const reject = (line: number, reason: string): void => {
    if (!request.reject)
      throw new RepctlError('import-rejected', `Line ${String(line)}: ${reason}. Nothing was imported.`, {
        hint: '--continue imports the rest and writes a file of what was left out.',
        details: { line, reason },
      });
    counts.rejected += 1;
    request.reject({ line, reason });
  };
  const reader = await stage(session, table, request, counts, reject);
  await session.query(`create index on ${STAGE} (${LINE})`);
  await session.query(`analyze ${STAGE}`);
  await dropDuplicates(session, table, reject);
  const { created, updated } = await upsert(session, table, reader.columns, request, reject);
  return {
    read: counts.read,
    created,
    updated,
    unchanged: counts.read - counts.rejected - created - updated,
    rejected: counts.rejected,
    ignoredColumns: reader.ignored,
    dryRun: request.dryRun,
  };
}

type RejectLine = (line: number, reason: string) => void;

/** The input → the temporary table, through COPY, every value as text. */
async function stage(
  session: Session,
  table: ProductTable,
  request: ImportRequest,
  counts: { read: number },
  reject: RejectLine,
): Promise<RowReader> {
  const batches = readRecords(request.input, request.format);
  const begun = await batches.next();
  const opening = begun.done === true ? [] : begun.value;
  const first = opening[0];
  if (first === undefined) throw new RepctlError('input-empty', 'The input is empty: nothing was imported.');
  const reader = rowReader(table, request.format, first);
  const definitions = reader.columns.map((column) => `${ident(column.name)} text`);
  await session.query(
    `create temp table repctl_import (${[`${LINE} bigint`, ...definitions].join(', ')}) on commit drop`,
  );
  const rowsOf = async function* (): AsyncGenerator<string> {
    let chunk = '';
    for await (const records of concat(request.format === 'csv' ? opening.slice(1) : opening, batches)) {
      for (const record of records) {
        counts.read += 1;
        const row = reader.read(record);
        if ('problem' in row) reject(row.line, row.problem);
        else chunk += copyRow([String(row.line), ...row.values]);
      }
      if (chunk.length >= CHUNK_LENGTH) {
        request.progress?.({ phase: 'reading', rows: counts.read });
        yield chunk;
        chunk = '';
      }
    }
    if (chunk !== '') yield chunk;
  };
  await copyPipeline(session, [
    Readable.from(rowsOf(), { highWaterMark: 2 }),
    session.client.query(copyFrom(`copy ${STAGE} from stdin`)),
  ]);
  return reader;
}

async function* concat<T>(first: T[], rest: AsyncIterable<T[]>): AsyncGenerator<T[]> {
  yield first;
  yield* rest;
}

/** The first line of a key stays; later ones are rejected. */
async function dropDuplicates(session: Session, table: ProductTable, reject: RejectLine): Promise<void> {
  await session.query('savepoint duplicates');
  try {
    await dropEqualKeys(session, table.key, table.key.cast, reject);
  } catch (error) {
    // A key that is no value of its type: the upsert will name its line. Until then keys are what is written.
    if (sqlStateOf(error)?.startsWith('22') !== true) throw error;
    await session.query('rollback to duplicates');
    await dropEqualKeys(session, table.key, 'text', reject);
  }
  await session.query('release duplicates');
}

async function dropEqualKeys(
  session: Session,
  { name }: ProductColumn,
  type: string,
  reject: RejectLine,
): Promise<void> {
  const key = ident(name);
  const PAGE = 1000;
  for (;;) {
    const rows = await session.query<{ line: string; first: string; key: string }>(
      `with again as (
         select line, first, key from (
           select ${LINE} as line, ${key} as key,
             min(${LINE}) over (partition by ${key}::${type}) as first from ${STAGE}) s
         where line > first order by line limit ${String(PAGE)})
       delete from ${STAGE} s using again a where s.${LINE} = a.line returning a.line, a.first, a.key`,
    );
    for (const { line, first, key: value } of rows)
      reject(Number(line), `${name} ${JSON.stringify(value)} is on line ${first} already`);
    if (rows.length < PAGE) return;
  }
}

function upsertSql(table: ProductTable, columns: readonly ProductColumn[]): string {
  const names = columns.map((column) => ident(column.name));
  const values = columns.map((column) => {
    const value = `s.${ident(column.name)}::${column.cast}`;
    return column.notNull && column.default !== null ? `coalesce(${value}, ${column.default})` : value;
  });
  const changed = columns.filter((column) => column.name !== table.key.name);
  // json, xml, point and others have no equality; their text has.
  const compare = (alias: string): string =>
    changed
      .map(
        (column) =>
          `${alias}.${ident(column.name)}${column.type === 'json' || column.kind === 'other' ? '::text' : ''}`,
      )
      .join(', ');
  const touch = keptByUs(table)
    .filter((name) => !changed.some((column) => column.name === name))
    .map((name) => (name === 'version' ? '"version" = t."version" + 1' : '"updated_at" = now()'));
  const sets = [
    ...changed.map((column) => `${ident(column.name)} = excluded.${ident(column.name)}`),
    ...touch,
  ];
  const onConflict =
    changed.length === 0
      ? 'do nothing'
      : `do update set ${sets.join(', ')} where row(${compare('t')}) is distinct from row(${compare('excluded')})`;
  return `with applied as (
  insert into ${qualified(table)} as t (${names.join(', ')})${overriding(table)}
  select ${values.join(', ')} from ${STAGE} s where s.${LINE} between $1::bigint and $2::bigint order by s.${LINE}
  on conflict (${ident(table.key.name)}) ${onConflict}
  returning (xmax = 0) as created)
select count(*) filter (where created)::int as created, count(*) filter (where not created)::int as updated from applied`;
}

/** In batches; one that fails is halved until the line that the server refuses is found. */
async function upsert(
  session: Session,
  table: ProductTable,
  columns: readonly ProductColumn[],
  request: ImportRequest,
  reject: RejectLine,
): Promise<{ created: number; updated: number }> {
  const sql = upsertSql(table, columns);
  const [extent] = await session.query<{ first: string | null; last: string | null; total: string }>(
    `select min(${LINE}) as first, max(${LINE}) as last, count(*) as total from ${STAGE}`,
  );
  const sum = { created: 0, updated: 0 };
  const apply = async (from: number, to: number): Promise<void> => {
    await session.query('savepoint batch');
    try {
      const [row] = await session.query<{ created: number; updated: number }>(sql, [from, to]);
      await session.query('release batch');
      sum.created += row?.created ?? 0;
      sum.updated += row?.updated ?? 0;
    } catch (error) {
      const state = sqlStateOf(error);
      // 21 the same key twice, 22 data, 23 constraint, 54 limits, P0 a trigger's own: the row's fault. The rest is not.
      if (state === undefined || !/^(?:21|22|23|54|P0)/.test(state)) throw error;
      await session.query('rollback to batch');
      await session.query('release batch');
      if (from === to) {
        reject(from, error instanceof Error ? error.message : String(error));
        return;
      }
      const middle = Math.floor((from + to) / 2);
      await apply(from, middle);
      await apply(middle + 1, to);
    }
  };
  const last = Number(extent?.last ?? -1);
  const total = Number(extent?.total ?? 0);
  for (let from = Number(extent?.first ?? 0); from <= last; from += BATCH_LINES) {
    await apply(from, Math.min(from + BATCH_LINES - 1, last));
    request.progress?.({ phase: 'writing', rows: Math.min(total, from + BATCH_LINES), total });
  }
  return sum;
}
