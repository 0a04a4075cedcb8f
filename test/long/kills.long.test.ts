/**
 * Killed at every step: each operation × each of its steps × {after it, in the middle of it} × each victim
 * (repctl, the leader, the target, a sibling, a link between two of them). An operator then types what repctl
 * says until `status` is content; a writer runs all the time, and everything is judged from outside.
 *
 *   npm run test:long kills                          all of it
 *   KILLS=failover,rejoin npm run test:long kills    these operations
 *   KILLS_SAMPLE=20 KILLS_SEED=7 …                   twenty cells of each, by a seed
 *   KILLS=failover:after-3:target:on:100015 …        one cell, by the name that a run printed; several with spaces
 *   KILLS_DONE=cells.jsonl …                         appends each result to that file and runs only what is not in it
 *   KILLS_MINUTES=30 …                               begins no cell after that time; the same command goes on
 *
 * Operations take turns, so that what was run when it is interrupted is spread over all of them.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Cell, cellOf, nameOf } from '../support/kills/cell.js';
import { type Series, inTurn, matrix, sample, series, whole } from '../support/kills/matrix.js';
import { type Product, buildProduct } from '../support/kills/product.js';
import { type Entry, openProgress } from '../support/kills/progress.js';
import { OPERATIONS, type Operation } from '../support/kills/scenes.js';

const wanted = (process.env['KILLS'] ?? OPERATIONS.join(',')).split(/[\s,]+/);
const seed = Number(process.env['KILLS_SEED'] ?? '1');
const count = Number(process.env['KILLS_SAMPLE'] ?? 'Infinity');
const minutes = Number(process.env['KILLS_MINUTES'] ?? 'Infinity');
const DAY_MS = 86_400_000;
const tell = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

describe('killed at every step', () => {
  const progress = openProgress(process.env['KILLS_DONE']);
  const deadline = performance.now() + minutes * 60_000;
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

  const run = async (cell: Cell): Promise<Entry | undefined> => {
    const known = progress.of(nameOf(cell));
    if (known !== undefined || performance.now() > deadline) return known;
    progress.add(await cells.run(cell));
    return progress.of(nameOf(cell));
  };

  it(
    wanted.join(', '),
    async () => {
      const operations = wanted.filter((name): name is Operation => !name.includes(':'));
      const all = wanted.filter((name) => name.includes(':')).map(cellOf);
      const rows: Cell[][] = [];
      for (const operation of operations) {
        const unstruck = whole(operation, seed);
        all.push(unstruck);
        const steps = (await run(unstruck))?.steps ?? [];
        rows.push(sample(matrix(operation, steps, seed), count, seed));
      }
      all.push(...inTurn(rows));
      const done = (): Entry[] => all.flatMap((cell) => progress.of(nameOf(cell)) ?? []);
      const bad = (): Entry[] => done().filter((entry) => entry.violations.length > 0);
      const where = (): string =>
        `cells ${String(done().length)}/${String(all.length)}, ${String(bad().length)} with violations`;
      for (const cell of all) {
        if (progress.of(nameOf(cell)) !== undefined) continue;
        if ((await run(cell)) === undefined) break;
        tell(`     ${where()}`);
      }

      const tally = new Map<string, { run: number; bad: number }>();
      for (const { cell, violations } of done()) {
        const { operation, victim } = cellOf(cell);
        const kind = `${operation} ${victim.replace(/\/.*/, '')}`;
        const before = tally.get(kind) ?? { run: 0, bad: 0 };
        tally.set(kind, { run: before.run + 1, bad: before.bad + (violations.length === 0 ? 0 : 1) });
      }
      for (const [kind, one] of [...tally].sort())
        tell(`${kind}: ${String(one.run)} cells, ${String(one.bad)} with violations`);
      tell(where());
      expect(bad().map(({ cell, struck, violations }) => [cell, struck, ...violations])).toEqual([]);
    },
    DAY_MS,
  );
});
