/**
 * Random histories: npm run test:long -- histories, --count N, --seed N. A failure prints its seed and what happened.
 */
import { afterAll, describe, expect, it } from 'vitest';
import type { Round } from '../support/histories/generate.js';
import { type Outcome, playSeed, totals } from '../support/histories/history.js';
import { rig } from '../support/histories/rig.js';

const seed = process.env['REPCTL_TEST_SEED'];
const count = Number(process.env['REPCTL_TEST_COUNT'] ?? '200');
const first = Number(process.env['REPCTL_TEST_FIRST'] ?? '1');
/** Only rounds of some kinds, such as `switchover,crash`: for looking into something, the seeds mean others then. */
const rounds = process.env['REPCTL_TEST_ROUNDS']?.split(',') as Round[] | undefined;
const seeds =
  seed === undefined ? Array.from({ length: count }, (_, index) => first + index) : [Number(seed)];

describe('random histories', () => {
  const up = rig();
  const outcomes: Outcome[] = [];
  afterAll(() => {
    console.log(JSON.stringify(totals(outcomes), null, 2));
  });

  it.each(seeds)('seed %i', async (one) => {
    const outcome = await playSeed(one, up(), rounds === undefined ? {} : { rounds });
    outcomes.push(outcome);
    const { violations, log, ...figures } = outcome;
    console.log(JSON.stringify(figures));
    if (seed !== undefined || rounds !== undefined || violations.length > 0)
      console.log([...violations, ...log].join('\n'));
    expect(violations, `npm run test:long -- --seed ${String(one)}`).toEqual([]);
  });
});
