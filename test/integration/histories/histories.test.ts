/** The short form of test/long/histories.long.test.ts: a few seeds that between them do most of what there is. */
import { describe, expect, it } from 'vitest';
import { play, playSeed } from '../../support/histories/history.js';
import { ODD } from '../../support/histories/odd.js';
import { rig } from '../../support/histories/rig.js';

describe('random histories', () => {
  const up = rig();

  // One that is cut off by a limit of time would leave its servers to the next one as they are.
  it.each([2, 21, 22, 27])('seed %i', { timeout: 300_000 }, async (seed) => {
    const { violations, log } = await playSeed(seed, { ...up(), patienceMs: 90_000 });
    expect(violations, `npm run test:long -- --seed ${String(seed)}\n${log.join('\n')}`).toEqual([]);
  });

  it.each(Object.entries(ODD))('%s', { timeout: 300_000 }, async (_, history) => {
    const { violations, log } = await play(history, { ...up(), patienceMs: 90_000 });
    expect(violations, log.join('\n')).toEqual([]);
  });
});
