import { describe, expect, it } from 'vitest';
import { problemWith } from '../../../src/products/values.js';
import { column, products } from './table.js';

const problem = (name: string, text: string): string | undefined => {
  const found = products.columns.find((one) => one.name === name)!;
  return problemWith(found, text, name === 'sku');
};

describe('problemWith', () => {
  it.each([
    ['price', '-1', 'negative'],
    ['price', 'NaN', 'decimal number'],
    ['price', '1e400', 'decimal number'],
    ['price', 'Infinity', 'decimal number'],
    ['price', '', 'decimal number'],
    ['price', '9.999', 'decimal places'],
    ['price', '99999999999', 'too large'],
    ['stock', '-1', 'negative'],
    ['stock', '1.5', 'whole number'],
    ['stock', '2147483648', 'out of range'],
    ['sku', '', 'empty'],
    ['sku', '   ', 'empty'],
    ['sku', 'x'.repeat(1001), 'longer than 1000'],
    ['name', 'a\0b', 'NUL'],
    ['name', 'a\ud800', 'surrogate'],
    ['name', 'x'.repeat(1024 * 1024), 'longer than'],
    ['currency', 'euro', 'three capital letters'],
    ['attributes', '{', 'JSON'],
    ['attributes', String.raw`{"a":"\u0000"}`, 'escaped NUL'],
    ['attributes', String.raw`{"a":["\ud800"]}`, 'surrogate'],
  ])('%s refuses %j', (name, text, reason) => {
    expect(problem(name, text)).toContain(reason);
  });

  it.each([
    ['price', '0'],
    ['price', '9999999999.99'],
    ['price', '12.500'],
    ['stock', '2147483647'],
    ['sku', `it's "1".2 ü 🍵`],
    ['attributes', String.raw`{"a":"\ud83c\udf75","n":1e400}`],
  ])('%s takes %j', (name, text) => {
    expect(problem(name, text)).toBeUndefined();
  });

  it('lets other numerics be negative and leaves other types to the server', () => {
    expect(problemWith(column('delta', 'numeric(5,1)', 'numeric'), '-3.5')).toBeUndefined();
    expect(problemWith(column('day', 'date', 'other'), 'whatever')).toBeUndefined();
  });
});
