/** The short form of test/long/check-no-alarm.long.test.ts: a replica held back, one stopped, a failover. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Playing, playing } from '../../support/no-alarm/playing.js';
import { troublesOf } from '../../support/no-alarm/rounds.js';

let play: Playing;
beforeAll(async () => {
  play = await playing();
});
afterAll(() => play.end());

test.each([3, 4, 6].map((seed) => [troublesOf(seed).troubles.join(', '), seed] as const))(
  '%s (round %i): no difference between nodes that are equal',
  async (_, seed) => {
    const before = play.writes();
    const { alarms, verdict } = await play.round(seed);
    expect(alarms).toEqual([]);
    expect(['equal', 'unverified']).toContain(verdict);
    expect(play.writes()).toBeGreaterThan(before + 100);
  },
);
