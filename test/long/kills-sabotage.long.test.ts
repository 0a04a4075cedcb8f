/**
 * npm run test:long -- --sabotage: the program with a fault planted, struck in the cells that are to notice it. What
 * nobody notices is a failure of the harness. (That the end of a copy is flushed is proved by an interleaving that no
 * random kill would meet: test/integration/operations/lost-copy.test.ts.)
 */
import { afterAll, describe, expect, it } from 'vitest';
import { cellOf } from '../support/kills/cell.js';
import { series } from '../support/kills/matrix.js';
import { type Mutation, buildProduct } from '../support/kills/product.js';

interface Sabotage {
  readonly what: string;
  readonly edits: readonly Mutation[];
  /** Played in this order until one is noticed. */
  readonly cells: readonly string[];
}

const seeds = (cell: string, count: number): string[] =>
  Array.from({ length: count }, (_, index) => `${cell}:${String(index + 1)}`);

const SABOTAGES: readonly Sabotage[] = [
  {
    what: 'the leader is not fenced before the switchover',
    edits: [
      {
        file: 'src/operations/runners/fence.ts',
        find: '    ...fences.map(enableFenceSql),\n',
        replace: '',
      },
    ],
    cells: seeds('switchover:after-3:repctl:on', 3),
  },
  {
    what: 'mapping stops one transaction early',
    edits: [
      {
        file: 'src/replication/mapping.ts',
        find: 'if (lsnToNumber(current.lsn) <= limit) {',
        replace: 'if (lsnToNumber(current.lsn) < limit) {',
      },
    ],
    cells: [...seeds('failover:after-4:repctl:back', 2), ...seeds('failover:whole:nobody:back', 2)],
  },
  {
    what: 'reconcile passes over the last part of a block that differs',
    edits: [
      {
        file: 'src/consistency/compare/ranges.ts',
        find: 'if (others.length === 0) continue;',
        replace: 'if (others.length === 0 || part === starts.length) continue;',
      },
    ],
    cells: seeds('reconcile:whole:nobody:back', 2),
  },
  {
    what: 'an epoch that was promised to one node is given to another',
    edits: [
      {
        file: 'src/operations/next-epoch.ts',
        find: 'Math.max(highest, one.epoch), epoch) + 1',
        replace: 'Math.max(highest, Math.min(one.epoch, epoch)), epoch) + 1',
      },
      {
        file: 'src/operations/runners/reserve.ts',
        find: 'if (taken.length > 0)',
        replace: 'if (taken.length > on.length)',
      },
    ],
    // The successor is killed as it commits its epoch, of which nobody else has heard.
    cells: ['failover:in-5@6s:target:on:1100048'],
  },
];

describe('planted faults, struck', () => {
  const table: string[] = [];
  afterAll(() => {
    process.stdout.write(`${['| fault | caught by | cell |', '| --- | --- | --- |', ...table].join('\n')}\n`);
  });

  it.each(SABOTAGES)('$what', async ({ what, edits, cells: names }) => {
    const product = await buildProduct(edits);
    const cells = series(product, () => undefined);
    try {
      let caught: readonly string[] = [];
      for (const name of names) {
        caught = (await cells.run(cellOf(name))).violations;
        if (caught.length === 0) continue;
        table.push(`| ${what} | ${caught[0]?.slice(0, 120) ?? ''} | ${name} |`);
        break;
      }
      expect(caught, 'nobody noticed').not.toEqual([]);
    } finally {
      await cells.end();
      await product.remove();
    }
  });
});
