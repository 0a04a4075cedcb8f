/**
 * Killed at every step: each operation × each of its steps × {after it, in the middle of it} × each victim
 * (repctl, the leader, the target, a sibling, a link between two of them). An operator then types what repctl
 * says until `status` is content; a writer runs all the time, and everything is judged from outside.
 *
 *   npm run test:long kills                          all of it
 *   KILLS=failover,rejoin npm run test:long kills    these operations
 *   KILLS_SAMPLE=20 KILLS_SEED=7 …                   twenty cells of each, by a seed
 *   KILLS=failover:after-3:target:on:100015 …        one cell, by the name that a run printed; several with spaces
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CellResult, cellOf } from '../support/kills/cell.js';
import { type Series, matrix, sample, series, whole } from '../support/kills/matrix.js';
import { type Product, buildProduct } from '../support/kills/product.js';
import { OPERATIONS, type Operation } from '../support/kills/scenes.js';

const wanted = (process.env['KILLS'] ?? OPERATIONS.join(',')).split(/[\s,]+/);
const seed = Number(process.env['KILLS_SEED'] ?? '1');
const count = Number(process.env['KILLS_SAMPLE'] ?? 'Infinity');
const tell = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

describe('killed at every step', () => {
  let product: Product;
  let cells: Series;
  beforeAll(async () => {
    product = await buildProduct();
    cells = series(product, tell);
  });
  afterAll(async () => {
    await cells.end();
    await product.remove();
  });

  it.each(wanted)('%s', async (name) => {
    const failed: CellResult[] = [];
    const tally = new Map<string, { run: number; bad: number }>();
    const run = async (cell: ReturnType<typeof cellOf>): Promise<CellResult> => {
      const result = await cells.run(cell);
      const victim = cell.victim.replace(/\/.*/, '');
      const { run: done, bad } = tally.get(victim) ?? { run: 0, bad: 0 };
      const good = result.violations.length === 0;
      tally.set(victim, { run: done + 1, bad: bad + (good ? 0 : 1) });
      if (!good) failed.push(result);
      return result;
    };
    if (name.includes(':')) await run(cellOf(name));
    else {
      const operation = name as Operation;
      const { steps } = await run(whole(operation, seed));
      for (const cell of sample(matrix(operation, steps, seed), count, seed)) await run(cell);
    }
    for (const [victim, { run: done, bad }] of tally)
      tell(`${name} ${victim}: ${String(done)} cells, ${String(bad)} with violations`);
    expect(failed.map((result) => [result.struck, ...result.violations])).toEqual([]);
  });
});
