/** `--report`: every difference, a line of JSON each, written as soon as it is judged. */
import { type FileHandle, open } from 'node:fs/promises';
import type { TableName } from '../cluster/model.js';
import { EXIT, RepctlError, messageOf } from '../errors.js';
import type { RowDifference } from './result.js';

export interface Report {
  /** Lines of one table and replica. */
  add(table: TableName, node: string, rows: readonly RowDifference[]): Promise<void>;
  /** What is there so far counts no more: the comparison starts anew. */
  restart(): Promise<void>;
  /** On disk; what is there so far. */
  sync(): Promise<{ readonly bytes: number; readonly rows: number }>;
  /** On disk, and closed. */
  finish(): Promise<{ readonly file: string; readonly rows: number }>;
  close(): Promise<void>;
}

/** Every line begins so: what does not is no report, and is not written over. */
const BEGINNING = '{"schema":';

/**
 * Opens and empties it, mode 0600; `keep` bytes stay where a check goes on. Throws `report-unwritable` and
 * `report-exists` (exit 2): something else is there.
 */
export async function openReport(file: string, keep?: { bytes: number; rows: number }): Promise<Report> {
  const failing = async <T>(
    exit: typeof EXIT.usage | typeof EXIT.incomplete,
    work: () => Promise<T>,
  ): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      if (error instanceof RepctlError) throw error;
      throw new RepctlError('report-unwritable', `${file} cannot be written: ${messageOf(error)}`, {
        exit,
        hint: 'Name another file with --report, or make room. No node was changed.',
        details: { file },
        cause: error,
      });
    }
  };
  const state = { rows: keep?.rows ?? 0, at: keep?.bytes ?? 0, isCut: false, last: Promise.resolve() };
  const handle = await failing(EXIT.usage, () => prepare(file, state.at));
  // Lanes judge at the same time; their lines must not mix.
  const inTurn = (work: () => Promise<void>): Promise<void> => {
    const turn = state.last.then(() => failing(EXIT.incomplete, work));
    state.last = turn.catch(() => undefined);
    return turn;
  };
  // Not before there is something to write: whoever is refused meanwhile leaves the file as it was.
  const cut = async () => {
    if (!state.isCut) await handle.truncate(state.at);
    state.isCut = true;
  };
  return {
    add: (table, node, rows) =>
      inTurn(async () => {
        if (rows.length === 0) return;
        const { schema, name } = table;
        await cut();
        // One at a time: rows of megabytes make a text together that is longer than there can be.
        for (const row of rows) {
          const bytes = Buffer.from(`${JSON.stringify({ schema, table: name, node, ...row })}\n`);
          for (let done = 0; done < bytes.length;)
            done += (await handle.write(bytes, done, bytes.length - done, state.at + done)).bytesWritten;
          state.at += bytes.length;
        }
        state.rows += rows.length;
      }),
    restart: () =>
      inTurn(async () => {
        await handle.truncate(0);
        state.at = 0;
        state.rows = 0;
      }),
    async sync() {
      await inTurn(() => handle.sync());
      return { bytes: state.at, rows: state.rows };
    },
    async finish() {
      await inTurn(async () => {
        await cut();
        await handle.sync();
      });
      await handle.close();
      return { file, rows: state.rows };
    },
    close: () => handle.close().catch(() => undefined),
  };
}

async function prepare(file: string, keep: number): Promise<FileHandle> {
  // a+ makes it where it is not there, and leaves alone what is.
  const handle = await open(file, 'a+', 0o600).then(async (made) => {
    await made.close();
    return open(file, 'r+');
  });
  try {
    const stat = await handle.stat();
    if (!stat.isFile()) throw new Error('it is no ordinary file');
    const beginning = Buffer.alloc(Math.min(stat.size, BEGINNING.length));
    await handle.read(beginning, 0, beginning.length, 0);
    if (stat.size > 0 && !beginning.equals(Buffer.from(BEGINNING).subarray(0, beginning.length)))
      throw new RepctlError('report-exists', `${file} is there and no report of a check: it is left alone.`, {
        hint: 'Name another file with --report, or remove this one.',
        details: { file },
      });
    if (stat.size < keep) throw new Error('lines of the interrupted check are missing');
    if (keep === 0) await handle.truncate(0);
    await handle.chmod(0o600);
    return handle;
  } catch (error) {
    await handle.close();
    throw error;
  }
}
