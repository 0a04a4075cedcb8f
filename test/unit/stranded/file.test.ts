import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  readStranded,
  strandedPath,
  strandedPortions,
  writeStranded,
} from '../../../src/replication/stranded/file.js';
import type { StrandedHeader, StrandedLine } from '../../../src/replication/stranded/model.js';

const header: StrandedHeader = {
  repctl: 'stranded',
  version: 1,
  cluster: 'shop',
  node: 'n1',
  epoch: 1,
  successor: 'n2',
  successorEpoch: 2,
  forkPoint: '0/10',
  source: 'wal',
};
const line = (transaction: number, change: number): StrandedLine => ({
  transaction,
  change,
  xid: 700 + transaction,
  lsn: `0/${String(transaction)}00`,
  at: '2026-01-01T00:00:00.000001Z',
  schema: 'public',
  table: 't',
  op: 'insert',
  key: { id: `${String(transaction)}-${String(change)}` },
  row: { id: `${String(transaction)}-${String(change)}`, t: 'a\nb\u2028"ü' },
});
// eslint-disable-next-line @typescript-eslint/require-await
async function* lines(...counts: number[]): AsyncGenerator<StrandedLine> {
  for (const [i, count] of counts.entries())
    for (let change = 1; change <= count; change += 1) yield line(i + 1, change);
}

describe('the stranded file', () => {
  let directory: string;
  let file: string;
  let whole: string;
  beforeAll(async () => {
    directory = await mkdtemp(path.join(tmpdir(), 'repctl-file-'));
    file = strandedPath(path.join(directory, 'deep', 'er'), header);
    const written = await writeStranded(file, header, lines(2, 1, 3));
    whole = await readFile(file, 'utf8');
    expect(written).toMatchObject({
      bytes: whole.length + whole.match(/ü/g)!.length + 2 * whole.match(/\u2028/g)!.length,
    });
  });
  afterAll(() => rm(directory, { recursive: true, force: true }));

  it('reads back as it was written, transaction by transaction, and leaves no other file behind', async () => {
    const read = await readStranded(file);
    expect(read).toMatchObject({ header, trailer: { transactions: 3, changes: 6, lastLsn: '0/300' } });
    expect(read.counts.tables).toEqual([
      { schema: 'public', table: 't', inserts: 6, updates: 0, deletes: 0, truncates: 0 },
    ]);
    const found: number[] = [];
    for await (const transaction of strandedPortions(file)) found.push(transaction.length);
    expect(found).toEqual([2, 1, 3]);
    expect(await readdir(path.dirname(file))).toEqual(['stranded-n1-1.jsonl']);
  });

  it('is never overwritten, and a write that fails leaves nothing of that name', async () => {
    await expect(writeStranded(file, header, lines(1))).rejects.toMatchObject({
      code: 'stranded-file-exists',
      exit: 6,
    });
    expect(await readFile(file, 'utf8')).toBe(whole);
    const other = path.join(directory, 'other.jsonl');
    const failing = async function* () {
      yield* lines(1);
      throw new Error('the server went away');
    };
    await expect(writeStranded(other, header, failing())).rejects.toThrow('went away');
    expect((await readdir(directory)).sort()).toEqual(['deep']);
  });

  const damaged = async (text: string): Promise<unknown> => {
    const other = path.join(directory, 'damaged.jsonl');
    await writeFile(other, text);
    const error: unknown = await readStranded(other).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    await rm(other);
    return error;
  };

  it('cut anywhere is found out', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: whole.length - 1 }), async (length) => {
        expect(await damaged(whole.slice(0, length))).toMatchObject({ code: 'stranded-damaged', exit: 2 });
      }),
      { numRuns: 60 },
    );
  });

  it('with one character changed, a line taken out, twice or exchanged is found out, and the line is named', async () => {
    const rows = whole.trimEnd().split('\n');
    const join = (list: string[]) => `${list.join('\n')}\n`;
    expect(await damaged(whole.replace('2-1"}', '2-9"}'))).toMatchObject({
      code: 'stranded-damaged',
      details: { line: 8 },
    });
    expect(await damaged(join(rows.toSpliced(3, 1)))).toMatchObject({ details: { line: 4 } });
    expect(await damaged(join(rows.toSpliced(3, 0, rows[3] ?? '')))).toMatchObject({ details: { line: 5 } });
    expect(await damaged(`${whole}{}\n`)).toMatchObject({ details: { line: 9 } });
    expect(await damaged(join(rows.with(4, '{')))).toMatchObject({ details: { line: 5 } });
    expect(await damaged('{"repctl":"other"}\n')).toMatchObject({ details: { line: 1 } });
    expect(await damaged('')).toMatchObject({ code: 'stranded-damaged' });
  });

  it('that is missing is named', async () => {
    await expect(readStranded(path.join(directory, 'nothing'))).rejects.toMatchObject({
      code: 'stranded-missing',
      exit: 2,
    });
  });
});
