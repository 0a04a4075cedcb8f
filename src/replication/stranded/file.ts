/**
 * The stranded file: JSONL with a header, one line per change, and a trailer with the number of lines and a digest,
 * so that a file that was cut or changed is told from a whole one. Written under another name, synced, renamed and
 * the directory synced, in this order: what has the final name is whole and survives a power cut.
 */
import { createHash } from 'node:crypto';
import { constants, createReadStream } from 'node:fs';
import { type FileHandle, link, mkdir, open, stat, unlink } from 'node:fs/promises';
import path from 'node:path';
import { EXIT, RepctlError, messageOf } from '../../errors.js';
import { SCHEMA } from '../../cluster/names.js';
import type { StrandedCounts, StrandedHeader, StrandedLine, StrandedTrailer } from './model.js';
import { counter } from './model.js';

/** `<directory>/stranded-<node>-<epoch>.jsonl`; the epoch is the one in which the node led. */
export const strandedPath = (directory: string, header: Pick<StrandedHeader, 'node' | 'epoch'>): string =>
  path.join(directory, `stranded-${header.node}-${String(header.epoch)}.jsonl`);

export interface StrandedFile {
  readonly file: string;
  readonly bytes: number;
  readonly counts: StrandedCounts;
}

const FLUSH_BYTES = 1_000_000;

/**
 * Writes the file from `lines`. Never overwrites: a file of that name that is there when it is finished makes it
 * fail. Throws RepctlError `stranded-unwritable` or `stranded-file-exists` (exit 6); then no file of that name was
 * made or changed.
 */
export async function writeStranded(
  file: string,
  header: StrandedHeader,
  lines: AsyncIterable<StrandedLine>,
): Promise<StrandedFile> {
  const temporary = `${file}.${String(process.pid)}.part`;
  let handle: FileHandle | undefined;
  try {
    await io(file, () => mkdir(path.dirname(file), { recursive: true, mode: 0o700 }));
    await io(file, () => unlink(temporary).catch(() => undefined));
    handle = await io(file, () =>
      open(temporary, constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY, 0o600),
    );
    const opened = handle;
    const written = await writeLines(file, opened, header, lines);
    await io(file, () => opened.sync());
    await handle.close();
    handle = undefined;
    // link() refuses where the name is taken; rename() would replace what is there.
    await io(file, () => link(temporary, file), true);
    await io(file, () => unlink(temporary));
    await io(file, () => syncDirectory(path.dirname(file)));
    return { file, ...written };
  } finally {
    await handle?.close().catch(() => undefined);
    await unlink(temporary).catch(() => undefined);
  }
}

async function writeLines(
  file: string,
  handle: FileHandle,
  header: StrandedHeader,
  lines: AsyncIterable<StrandedLine>,
): Promise<{ bytes: number; counts: StrandedCounts }> {
  const hash = createHash('sha256');
  const count = counter();
  let pending = '';
  let bytes = 0;
  const put = (value: unknown) => {
    pending += `${JSON.stringify(value)}\n`;
  };
  const flush = async () => {
    const data = Buffer.from(pending, 'utf8');
    pending = '';
    hash.update(data);
    bytes += data.length;
    await io(file, () => handle.appendFile(data));
  };
  put(header);
  for await (const line of lines) {
    put(line);
    count.add(line, line);
    if (pending.length > FLUSH_BYTES) await flush();
  }
  await flush();
  const counts = count.result();
  const { transactions, changes, lastLsn } = counts;
  const sha256 = hash.digest('hex');
  put({ end: true, transactions, changes, lastLsn, sha256 } satisfies StrandedTrailer);
  await flushTrailer();
  return { bytes, counts };

  async function flushTrailer(): Promise<void> {
    const data = Buffer.from(pending, 'utf8');
    bytes += data.length;
    await io(file, () => handle.appendFile(data));
  }
}

async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** File errors as refusals; what the database says while lines are made passes as it is. */
async function io<T>(file: string, body: () => Promise<T>, naming = false): Promise<T> {
  try {
    return await body();
  } catch (error) {
    if (naming && (error as NodeJS.ErrnoException).code === 'EEXIST') throw fileExists(file);
    throw new RepctlError('stranded-unwritable', `${file} cannot be written: ${messageOf(error)}`, {
      exit: EXIT.refused,
      hint: 'Nothing was dropped; the node stays fenced. Make room or give write permission, or name another place with --output DIR.',
      details: { file },
      cause: error,
    });
  }
}

export const fileExists = (file: string, why?: string): RepctlError =>
  new RepctlError(
    'stranded-file-exists',
    why === undefined
      ? `${file} is there already and is never overwritten.`
      : `${file} is there already, and ${why}; it is never overwritten.`,
    {
      exit: EXIT.refused,
      hint: 'Nothing was dropped; the node stays fenced. Name another place with --output DIR, or move that file away.',
      details: { file },
    },
  );

export interface ReadStranded {
  readonly header: StrandedHeader;
  readonly trailer: StrandedTrailer;
  readonly counts: StrandedCounts;
  readonly bytes: number;
  /** By the transaction's number: ids of the product writes in it, as repctl.request holds them. */
  readonly requests: Requests;
}

export type Requests = ReadonlyMap<number, readonly string[]>;

/**
 * Reads the file through once and proves it whole; `onLine` is told of each change. Nothing may be acted on before
 * this has returned. Throws RepctlError `stranded-damaged` (exit 2) with the number of the line, or
 * `stranded-missing` (exit 2).
 */
export async function readStranded(
  file: string,
  onLine: (line: StrandedLine, number: number) => void = () => undefined,
): Promise<ReadStranded> {
  const hash = createHash('sha256');
  const count = counter();
  let header: StrandedHeader | undefined;
  let trailer: StrandedTrailer | undefined;
  let number = 0;
  let bytes = 0;
  let last: { transaction: number; change: number } = { transaction: 0, change: 0 };
  const requests = new Map<number, string[]>();
  for await (const { text, whole } of rawLines(file)) {
    number += 1;
    bytes += Buffer.byteLength(text) + (whole ? 1 : 0);
    if (trailer !== undefined) throw damaged(file, number, 'there is something after the last line');
    if (!whole) throw damaged(file, number, 'the line is cut off');
    const value = parse(file, number, text);
    if (number === 1) {
      if (!isHeader(value)) throw damaged(file, number, 'this is no header of a stranded file');
      header = value;
    } else if (isTrailer(value)) {
      trailer = value;
      checkTrailer(file, number, value, hash.copy().digest('hex'), count.result());
      continue;
    } else {
      if (!isLine(value)) throw damaged(file, number, 'this is no change of a row');
      const next =
        value.transaction === last.transaction
          ? value.change === last.change + 1
          : value.transaction === last.transaction + 1 && value.change === 1;
      if (!next) throw damaged(file, number, 'a line is missing before it');
      last = value;
      count.add(value, value);
      const id = requestOf(value);
      if (id !== undefined) requests.set(value.transaction, [...(requests.get(value.transaction) ?? []), id]);
      onLine(value, number);
    }
    hash.update(text).update('\n');
  }
  if (header === undefined) throw damaged(file, 1, 'the file is empty');
  if (trailer === undefined) throw damaged(file, number, 'the end of the file is missing after it');
  return { header, trailer, counts: count.result(), bytes, requests };
}

const requestOf = ({ schema, table, op, key, row }: StrandedLine): string | undefined =>
  schema === SCHEMA && table === 'request' && op === 'insert'
    ? (key['id'] ?? row?.['id'] ?? undefined)
    : undefined;

const PORTION_LINES = 400;
const PORTION_BYTES = 4_000_000;

/**
 * The changes of a file that {@link readStranded} has proved whole, in portions: never of two transactions, and a
 * large transaction in several, so that memory stays the same however large it is.
 */
export async function* strandedPortions(file: string): AsyncGenerator<readonly StrandedLine[]> {
  let open: StrandedLine[] = [];
  let bytes = 0;
  let number = 0;
  for await (const { text } of rawLines(file)) {
    number += 1;
    const value = parse(file, number, text);
    if (!isLine(value)) continue;
    const other = open[0] !== undefined && open[0].transaction !== value.transaction;
    if (other || open.length >= PORTION_LINES || bytes > PORTION_BYTES) {
      yield open;
      open = [];
      bytes = 0;
    }
    open.push(value);
    bytes += text.length;
  }
  if (open.length > 0) yield open;
}

/** Whether a file of that name is there, whatever it is. */
export const fileIsThere = (file: string): Promise<boolean> =>
  stat(file).then(
    () => true,
    () => false,
  );

async function* rawLines(file: string): AsyncGenerator<{ text: string; whole: boolean }> {
  let rest: Buffer[] = [];
  try {
    for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 })) {
      let data = chunk as Buffer;
      for (;;) {
        const end = data.indexOf(10);
        if (end < 0) break;
        rest.push(data.subarray(0, end));
        yield { text: Buffer.concat(rest).toString('utf8'), whole: true };
        rest = [];
        data = data.subarray(end + 1);
      }
      if (data.length > 0) rest.push(data);
    }
  } catch (error) {
    throw new RepctlError('stranded-missing', `${file} cannot be read: ${messageOf(error)}`, {
      hint: 'rejoin says where it wrote the file; repctl history shows it too.',
      details: { file },
      cause: error,
    });
  }
  if (rest.length > 0) yield { text: Buffer.concat(rest).toString('utf8'), whole: false };
}

function parse(file: string, number: number, text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw damaged(file, number, 'this is no JSON');
  }
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const isHeader = (value: unknown): value is StrandedHeader =>
  isObject(value) &&
  value['repctl'] === 'stranded' &&
  value['version'] === 1 &&
  ['cluster', 'node', 'successor', 'forkPoint', 'source'].every((key) => typeof value[key] === 'string') &&
  Number.isInteger(value['epoch']) &&
  Number.isInteger(value['successorEpoch']);

const isTrailer = (value: unknown): value is StrandedTrailer => isObject(value) && value['end'] === true;

const isLine = (value: unknown): value is StrandedLine =>
  isObject(value) &&
  Number.isInteger(value['transaction']) &&
  Number.isInteger(value['change']) &&
  ['schema', 'table', 'lsn', 'at'].every((key) => typeof value[key] === 'string') &&
  ['insert', 'update', 'delete', 'truncate'].includes(value['op'] as string) &&
  isObject(value['key']);

function checkTrailer(
  file: string,
  number: number,
  trailer: StrandedTrailer,
  sha256: string,
  { transactions, changes }: StrandedCounts,
): void {
  if (trailer.transactions !== transactions || trailer.changes !== changes)
    throw damaged(
      file,
      number,
      `it promises ${String(trailer.changes)} changes in ${String(trailer.transactions)} transactions, the file has ${String(changes)} in ${String(transactions)}`,
    );
  if (trailer.sha256 !== sha256)
    throw damaged(file, number, 'the digest says that a line before it was changed');
}

const damaged = (file: string, line: number, why: string): RepctlError =>
  new RepctlError('stranded-damaged', `${file}, line ${String(line)}: ${why}.`, {
    hint: 'Nothing was applied. While the node has not rejoined, repctl rejoin writes the file anew to another --output DIR.',
    details: { file, line },
  });
