import { describe, expect, it } from 'vitest';
import {
  type Write,
  byNode,
  firstAfter,
  longestGap,
  parseRecord,
  rate,
  skuOf,
} from '../../../src/demo/ledger.js';

const write = (n: number, endedAt: number, more: Partial<Write> = {}): Write => ({
  n,
  node: 'n1',
  sentAt: endedAt - 1,
  endedAt,
  result: 'acknowledged',
  ...more,
});

const writes = [
  write(1, 1000),
  write(2, 1010),
  write(3, 1500, { result: 'unknown' }),
  write(4, 2010, { node: 'n2' }),
  write(5, 2020, { node: 'n2' }),
];

describe('the record', () => {
  it('is read back, without a line that is still being written', () => {
    const text = `${writes.map((one) => JSON.stringify(one)).join('\n')}\n{"n":6,"no`;
    expect(parseRecord(text)).toEqual(writes);
    expect(parseRecord('')).toEqual([]);
    expect(parseRecord('{"n"')).toEqual([]);
  });

  it('numbers rows so that they sort', () => {
    expect(skuOf(17)).toBe('LIVE-000017');
  });
});

describe('figures', () => {
  it('take the longest time between two acknowledged writes', () => {
    const gap = longestGap(writes);
    expect(gap?.ms).toBe(1000);
    expect([gap?.before.n, gap?.after.n]).toEqual([2, 4]);
    expect(longestGap([write(1, 5)])).toBeUndefined();
  });

  it('find the first acknowledged write after a time', () => {
    expect(firstAfter(writes, 1010)?.n).toBe(4);
    expect(firstAfter(writes, 3000)).toBeUndefined();
  });

  it('count by node and by second, unknown ones apart', () => {
    expect(byNode(writes)).toEqual([
      { node: 'n1', writes: 2 },
      { node: 'n2', writes: 2 },
    ]);
    expect(rate(writes)).toBeCloseTo((3 / 1020) * 1000);
    expect(rate([])).toBe(0);
  });
});
