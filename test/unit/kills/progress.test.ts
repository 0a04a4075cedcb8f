/** A series of cells that is interrupted goes on where it was. */
import { appendFile, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type CellResult, cellOf, nameOf } from '../../support/kills/cell.js';
import { inTurn } from '../../support/kills/matrix.js';
import { openProgress } from '../../support/kills/progress.js';

const A = 'failover:after-3:target:on:100015';
const B = 'rejoin:in-2@4s:leader-sibling/one-way:back:7';

const result = (name: string, violations: string[] = []): CellResult => ({
  ...{ cell: cellOf(name), violations, struck: 'promote:n2 after', transcript: [], acknowledged: 9, lost: 1 },
  ...{ ms: 12, phases: [], runs: 3, steps: [{ ordinal: 1, id: 'fence:n1', statements: 4 }] },
});

describe('progress of a series', () => {
  let home: string;
  let file: string;
  beforeEach(async () => {
    home = await mkdtemp(path.join(tmpdir(), 'repctl-progress-'));
    file = path.join(home, 'cells.jsonl');
  });
  afterEach(() => rm(home, { recursive: true, force: true }));

  it('knows what an earlier series did, violations and steps included', () => {
    openProgress(file).add(result(A, ['rows twice']));
    const again = openProgress(file);
    expect(again.of(A)).toMatchObject({ violations: ['rows twice'], steps: [{ id: 'fence:n1' }] });
    expect(again.of(B)).toBeUndefined();
  });

  it('takes a line that was cut short for a cell that is not done, and appends after it', async () => {
    openProgress(file).add(result(A));
    await appendFile(file, `{"cell":"${B}","viol`);
    const again = openProgress(file);
    expect(again.of(B)).toBeUndefined();
    again.add(result(B));
    expect(
      openProgress(file)
        .entries()
        .map((entry) => entry.cell),
    ).toEqual([A, B]);
    expect((await readFile(file, 'utf8')).trimEnd().split('\n')).toHaveLength(2);
  });

  it('lasts as long as the process without a file', () => {
    const progress = openProgress(undefined);
    progress.add(result(A));
    expect(progress.of(nameOf(cellOf(A)))?.ms).toBe(12);
  });
});

it('takes one cell of each operation in turn', () => {
  expect(inTurn([['a1', 'a2', 'a3'], [], ['b1'], ['c1', 'c2']])).toEqual([
    'a1',
    'b1',
    'c1',
    'a2',
    'c2',
    'a3',
  ]);
  expect(inTurn([])).toEqual([]);
});
