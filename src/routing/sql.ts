/** Statements of unknown kind, typed by an operator: what may run where. */
import { EXIT, RepctlError } from '../errors.js';
import type { Lsn } from '../postgres/lsn.js';
import type { Session, StatementResult } from '../postgres/session.js';
import { sqlStateOf } from '../postgres/sqlstate.js';

export interface SqlAnswer {
  readonly node: string;
  readonly results: readonly StatementResult[];
}

/** Comments and quoted text out of the way: what is left can be searched for keywords. */
export function bareSql(sql: string): string {
  return sql.replaceAll(
    /--[^\n]*|\/\*[\s\S]*?\*\/|'(?:[^']|'')*'|"(?:[^"]|"")*"|\$([A-Za-z_]\w*)?\$[\s\S]*?\$\1\$/g,
    ' ',
  );
}

/** Words that would end the read-only state in which a read runs. */
const OPENS_WRITING = /\bread\s+write\b|\b(?:default_)?transaction_read_only\b|\b(?:reset|discard)\s+all\b/i;
const CONTROLS_TRANSACTIONS =
  /(?:^|;)\s*(?:begin|start|commit|end|rollback|abort|prepare\s+transaction|savepoint|call|do)\b/i;

/** Throws RepctlError `usage` (exit 2) for an empty text, `write-flag-missing` (exit 6). */
export function checkReadable(sql: string): void {
  const bare = bareSql(sql);
  if (bare.replaceAll(';', '').trim() === '' && !/['"$]/.test(sql))
    throw new RepctlError('usage', 'There is no statement to run.');
  if (OPENS_WRITING.test(bare)) throw writeFlagMissing();
}

/** Whether all of it is one implicit transaction, so that a refused one can be sent again as a whole. */
export const isOneTransaction = (sql: string): boolean => !CONTROLS_TRANSACTIONS.test(bareSql(sql));

const writeFlagMissing = (cause?: unknown): RepctlError =>
  new RepctlError('write-flag-missing', 'This statement writes; nothing was changed.', {
    exit: EXIT.refused,
    hint: 'Add --write to send it to the leader.',
    cause,
  });

/** Reads only: the server itself refuses whatever writes. */
export async function runRead(session: Session, sql: string): Promise<SqlAnswer> {
  checkReadable(sql);
  await session.query('set session characteristics as transaction read only');
  try {
    return { node: session.node, results: await session.results(sql) };
  } catch (error) {
    if (sqlStateOf(error) === '25006') throw writeFlagMissing(error);
    throw error;
  } finally {
    // What follows on this session (the position after the read) must not sit in a transaction left open.
    if (session.alive && !isOneTransaction(sql)) await session.query('rollback').catch(() => undefined);
  }
}

export async function runWrite(session: Session, sql: string): Promise<{ value: SqlAnswer; before: Lsn }> {
  if (bareSql(sql).trim() === '' && !/['"$]/.test(sql))
    throw new RepctlError('usage', 'There is no statement to run.');
  const [row] = await session.query<{ lsn: Lsn }>('select pg_current_wal_insert_lsn()::text as lsn');
  const results = await session.results(sql).catch((error: unknown) => {
    // Parts of it may be committed: it must not be sent to another leader as if nothing had happened.
    if (sqlStateOf(error) === '25006' && !isOneTransaction(sql))
      throw new RepctlError('node-fenced', error instanceof Error ? error.message : String(error), {
        exit: EXIT.incomplete,
        hint: 'What it committed before that stays. repctl status shows the leader.',
        cause: undefined,
      });
    throw error;
  });
  return { value: { node: session.node, results }, before: row?.lsn ?? '0/0' };
}
