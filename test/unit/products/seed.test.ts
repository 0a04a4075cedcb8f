import { describe, expect, it } from 'vitest';
import { copyRow } from '../../../src/products/copy-text.js';
import { seedProducts } from '../../../src/products/seed.js';

describe('seedProducts', () => {
  it('gives the same rows for the same seed', () => {
    expect([...seedProducts(50, 7)]).toEqual([...seedProducts(50, 7)]);
    expect([...seedProducts(50, 7)]).not.toEqual([...seedProducts(50, 8)]);
  });

  it('keeps the first rows when more are asked for', () => {
    expect([...seedProducts(500, 7)].slice(0, 50)).toEqual([...seedProducts(50, 7)]);
  });

  it('fits the table: distinct skus, prices with two digits, stock from zero', () => {
    const rows = [...seedProducts(2000)];
    expect(new Set(rows.map((row) => row.sku)).size).toBe(2000);
    for (const row of rows) {
      expect(row.price).toMatch(/^\d+\.\d\d$/);
      expect(row.stock).toBeGreaterThanOrEqual(0);
    }
    expect(rows.some((row) => /[^\u0000-\u00ff]/u.test(row.name))).toBe(true);
  });
});

describe('copyRow', () => {
  it.each([
    [['a', 'b'], 'a\tb\n'],
    [[null, ''], '\\N\t\n'],
    [['a\tb\nc\rd\\e'], 'a\\tb\\nc\\rd\\\\e\n'],
    [['\\N'], '\\\\N\n'],
    [['\\.'], '\\\\.\n'],
  ])('%j', (fields, expected) => {
    expect(copyRow(fields)).toBe(expected);
  });
});
