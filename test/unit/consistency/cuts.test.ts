import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cuts } from '../../../src/consistency/compare/cuts.js';

const evenly = (parts: number, width: bigint): bigint[] =>
  Array.from({ length: parts + 1 }, (_, index) => BigInt(index) * width);

describe('where blocks begin', () => {
  it('small parts go together, about as many rows as a block', () => {
    expect(cuts(evenly(100, 10_000n), 1_000_000, 50_000)).toEqual(
      Array.from({ length: 19 }, (_, index) => BigInt(index + 1) * 50_000n),
    );
  });

  it('big parts are divided', () => {
    expect(cuts([0n, 10n, 1000n], 200, 50)).toEqual([5n, 10n, 505n]);
  });

  it.each([
    ['no statistics', [], 1000],
    ['one value', [7n], 1000],
    ['no rows', [1n, 2n, 3n], 0],
    ['a table smaller than a block', evenly(100, 1n), 100],
  ])('%s: none', (_, bounds, rows) => {
    expect(cuts(bounds, rows, 50_000)).toEqual([]);
  });

  it('ascend, whatever the statistics say', () => {
    const bounds = fc
      .array(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), { maxLength: 101 })
      .map((keys) => keys.toSorted((a, b) => (a < b ? -1 : a > b ? 1 : 0)));
    fc.assert(
      fc.property(
        bounds,
        fc.integer({ min: 0, max: 1e6 }),
        fc.integer({ min: 100, max: 1e7 }),
        (keys, rows, size) => {
          const found = cuts(keys, rows, size);
          for (const [index, key] of found.entries())
            expect(key > (found[index - 1] ?? (keys[0] ?? 0n) - 1n)).toBe(true);
        },
      ),
    );
  });
});
