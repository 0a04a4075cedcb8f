/** What is overwritten is kept: one JSON line per row, on disk before the transaction that replaces it commits. */
import { type FileHandle, mkdir, open, rm } from 'node:fs/promises';
import path from 'node:path';
import { EXIT, RepctlError, messageOf } from '../../errors.js';
import { literal } from '../../postgres/quote.js';
import type { Session } from '../../postgres/session.js';
import { sameKey } from '../blocks.js';
import { type Stage, THERE } from './stage.js';

export interface KeptRows {
  readonly file: string;
  /** Writes the rows that {@link writeStage} replaced. */
  add(node: Session, stage: Stage): Promise<number>;
  /** fsync of the file and its directory; a file without rows is not made at all. Returns what is on disk. */
  finish(): Promise<{ readonly file: string; readonly rows: number } | undefined>;
  /** The transaction was committed: what was finished stays, whatever comes. */
  commit(): void;
  /** The transaction was rolled back: takes out what was added since {@link commit}. */
  rewind(): Promise<void>;
  /** Takes out what was not finished, too. */
  close(): Promise<void>;
}

/**
 * Runs a transaction of `node`: the rows that it adds stay in the file when it commits, and go when it is rolled back.
 * When its connection is lost nobody knows which it was; then what is finished stays.
 */
export async function keeping<T>(
  kept: KeptRows | undefined,
  node: Session,
  transaction: () => Promise<T>,
): Promise<T> {
  try {
    const value = await transaction();
    kept?.commit();
    return value;
  } catch (error) {
    if (node.alive) await kept?.rewind();
    throw error;
  }
}

/** One row is fetched first, then as many as come to so many characters: memory, whatever they hold. */
const FIRST = 1;
const MOST = 2_000;
const CHARACTERS = 16_000_000;

/** `file` must not exist. Throws `kept-unwritable` (exit 6). */
export function keepRows(file: string): KeptRows {
  const nothing = { rows: 0, bytes: 0 };
  const state: { handle?: FileHandle; rows: number; finished: typeof nothing; committed: typeof nothing } = {
    ...{ rows: 0, finished: nothing, committed: nothing },
  };
  /** Whether anything was added after `end` or not: a line that found no room is there by half. */
  const cut = async (end: typeof nothing) => {
    const { handle } = state;
    if (handle === undefined) return;
    state.rows = end.rows;
    if (end.rows > 0) return handle.truncate(end.bytes);
    delete state.handle;
    await handle.close();
    await rm(file);
  };
  const writing = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      if (error instanceof RepctlError) throw error;
      throw new RepctlError('kept-unwritable', `${file} cannot be written: ${messageOf(error)}`, {
        exit: EXIT.refused,
        hint: 'Make room or give write permission, or set XDG_STATE_HOME to another place. The node is as before.',
        details: { file },
        cause: error,
      });
    }
  };
  return {
    file,
    async add(node, stage) {
      const before = state.rows;
      await node.simple(`declare repctl_old no scroll cursor for ${linesSql(stage)}`);
      let batch = FIRST;
      for (;;) {
        const lines = await node.simple<{ line: string }>(`fetch ${String(batch)} from repctl_old`);
        if (lines.length > 0)
          await writing(async () => {
            if (state.handle === undefined) {
              await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
              state.handle = await open(file, 'ax', 0o600);
            }
            await state.handle.appendFile(lines.map(({ line }) => `${line}\n`).join(''));
          });
        state.rows += lines.length;
        if (lines.length < batch) break;
        const longest = Math.max(...lines.map(({ line }) => line.length));
        batch = Math.min(MOST, Math.max(1, Math.floor(CHARACTERS / longest)));
      }
      await node.simple('close repctl_old');
      return state.rows - before;
    },
    async finish() {
      const { handle } = state;
      if (handle === undefined) return undefined;
      await writing(async () => {
        await handle.sync();
        const directory = await open(path.dirname(file), 'r');
        await directory.sync().finally(() => directory.close());
        state.finished = { rows: state.rows, bytes: (await handle.stat()).size };
      });
      return { file, rows: state.rows };
    },
    commit() {
      state.committed = state.finished;
    },
    async rewind() {
      state.finished = state.committed;
      await cut(state.committed);
    },
    async close() {
      await cut(state.finished).catch(() => undefined);
      await state.handle?.close().catch(() => undefined);
      delete state.handle;
    },
  };
}

/**
 * As text, so that no number is read and printed here: `{"schema", "table", "operation", "row"}`. A value of type json
 * is there as it was typed in; the ends of its lines, which JSON has between values only, become spaces. `o.*`, since
 * `o` would be a column of that name.
 */
function linesSql({ table, keys, old }: Stage): string {
  const { plan, node } = table;
  const match = sameKey(plan, node, 'k', 'o');
  const operation = match === '' ? `'delete'` : `case when k.${THERE} then 'update' else 'delete' end`;
  const text = (value: string) => `${literal(value)}::text`;
  return (
    `select translate(json_build_object('schema', ${text(node.shape.schema)}, 'table', ${text(node.shape.name)}, ` +
    `'operation', ${operation}, 'row', row_to_json(o.*))::text, E'\\n\\r', '  ') as line from ${old} o` +
    (match === '' ? '' : ` join ${keys} k on ${match}`)
  );
}
