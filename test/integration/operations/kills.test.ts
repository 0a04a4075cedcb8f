/**
 * Killed at every step, in short: seven cells of the matrix in test/long/kills.long.test.ts, so chosen that each
 * operation and each kind of victim is there. A name that fails runs alone with
 * `KILLS="name" npm run test:long kills`.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cellOf } from '../../support/kills/cell.js';
import { type Series, series } from '../../support/kills/matrix.js';
import { type Product, buildProduct } from '../../support/kills/product.js';

const CELLS = [
  'switchover:in-1@12s:leader:back:1',
  'switchover:after-3:target-sibling/silent:back:4',
  'failover:in-4@8s:target:back:6',
  'mapped:in-2@9:repctl:back:8',
  'reconcile:in-1@8s:repctl:back:9',
  'recopy:in-4@1s:sibling:back:10',
  'rejoin:in-1@4s:repctl:back:11',
];

describe('killed at every step, in short', () => {
  let product: Product;
  let cells: Series;
  beforeAll(async () => {
    product = await buildProduct();
    cells = series(product, (line) => {
      process.stdout.write(`${line}\n`);
    });
  });
  afterAll(async () => {
    await cells.end();
    await product.remove();
  });

  it.each(CELLS)('%s', async (name) => {
    const result = await cells.run(cellOf(name));
    expect(result.violations).toEqual([]);
    expect(result.struck, 'the moment to strike did not come').not.toBe('');
  });
});
