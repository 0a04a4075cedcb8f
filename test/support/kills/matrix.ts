/** Cells, and running many of them on one set of servers. */
import { type Cell, CUTS, type CellResult, LINKS, type Victim, nameOf, randomOf, runCell } from './cell.js';
import type { Product } from './product.js';
import { type Rig, makeRig } from './rig.js';
import type { Operation } from './scenes.js';

/** Steps of an operation as a run without a strike showed them. */
export type Steps = CellResult['steps'];

export const whole = (operation: Operation, seed: number): Cell => ({
  operation,
  strike: undefined,
  victim: 'nobody',
  manner: 'back',
  seed,
});

/**
 * Each step × {after it, in the middle of it} × each victim; which statement, which kind of cut and whether the
 * victim comes back at once or is done without is drawn by the seed.
 */
export function matrix(operation: Operation, steps: Steps, seed: number): Cell[] {
  // The leader that a failover is about is down: its links carry nothing.
  const links = operation === 'failover' ? (['target-sibling'] as const) : LINKS;
  const victims: readonly (Victim | (typeof LINKS)[number])[] = [
    'repctl',
    'leader',
    'target',
    'sibling',
    ...links,
  ];
  let next = seed * 100_000;
  return steps.flatMap(({ ordinal, statements }) =>
    [false, true].flatMap((middle) =>
      victims.map((victim): Cell => {
        next += 1;
        const random = randomOf(next);
        const pick = <T>(of: readonly T[]): T => of[Math.floor(random() * of.length)] as T;
        const one = LINKS.find((link) => link === victim);
        return {
          operation,
          strike: middle
            ? {
                step: ordinal,
                statement: 1 + Math.floor(random() * Math.max(1, statements)),
                when: pick(['before', 'sent'] as const),
              }
            : { step: ordinal },
          victim: one === undefined ? (victim as Victim) : `${one}/${pick(CUTS)}`,
          manner: pick(['on', 'back'] as const),
          seed: next,
        };
      }),
    ),
  );
}

export interface Series {
  run(cell: Cell): Promise<CellResult>;
  end(): Promise<void>;
}

/** Cells one after another; after a violation the next one gets new servers. */
export function series(product: Product, tell: (line: string) => void): Series {
  let rig: Rig | undefined;
  return {
    async run(cell) {
      rig ??= await makeRig(product);
      const result = await runCell(rig, cell);
      const good = result.violations.length === 0;
      tell(
        `${good ? 'ok  ' : 'FAIL'} ${nameOf(cell)} ${String(result.ms)} ms, ${String(result.acknowledged)} acknowledged, ${String(result.lost)} lost; ${result.struck === '' ? 'not struck' : result.struck}`,
      );
      if (!good || process.env['KILLS_VERBOSE'] === '1')
        for (const line of [...result.violations.map((it) => `! ${it}`), ...result.transcript])
          tell(`     ${line}`);
      if (!good) {
        await rig.down();
        rig = undefined;
      }
      return result;
    },
    async end() {
      await rig?.down();
    },
  };
}

/** Some of a list, spread by a seed. */
export function sample<T>(of: readonly T[], count: number, seed: number): T[] {
  const random = randomOf(seed);
  return of
    .map((item) => ({ item, at: random() }))
    .toSorted((a, b) => a.at - b.at)
    .slice(0, count)
    .map(({ item }) => item);
}
