/**
 * npm run test:long check-no-alarm: checks of equal nodes under changes of hot rows, as many as the machine can do, while
 * replicas lag, stand still and are switched off, and leaders change. REPCTL_TEST_COUNT rounds (default 120) from
 * REPCTL_TEST_FIRST on; each is drawn from its number.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Playing, playing } from '../support/no-alarm/playing.js';
import type { Round } from '../support/no-alarm/rounds.js';

const count = Number(process.env['REPCTL_TEST_COUNT'] ?? '120');
const first = Number(process.env['REPCTL_TEST_FIRST'] ?? '1');

let play: Playing;
beforeAll(async () => {
  play = await playing();
});
afterAll(() => play.end());

it(`${String(count)} checks raise no false alarm`, async () => {
  const rounds: Round[] = [];
  const start = performance.now();
  for (let seed = first; seed < first + count; seed += 1) {
    const one = await play.round(seed);
    rounds.push(one);
    process.stdout.write(`${JSON.stringify(one)}\n`);
  }
  const seconds = (performance.now() - start) / 1000;
  const sum = (of: (one: Round) => number): number => rounds.reduce((whole, one) => whole + of(one), 0);
  const verdicts = new Map<string, number>();
  for (const { verdict } of rounds) verdicts.set(verdict, (verdicts.get(verdict) ?? 0) + 1);
  process.stdout.write(
    `${JSON.stringify({
      rounds: rounds.length,
      writes: play.writes(),
      writesPerSecond: Math.round(play.writes() / seconds),
      rechecked: sum(({ rechecked }) => rechecked),
      restarts: sum(({ restarts }) => restarts),
      switchovers: sum(({ trouble }) => Number(trouble.includes('switchover'))),
      failovers: sum(({ trouble }) => Number(trouble.includes('failover'))),
      verdicts: Object.fromEntries(verdicts),
      alarms: sum(({ alarms }) => alarms.length),
    })}\n`,
  );
  expect(
    rounds.flatMap(({ seed, alarms }) => alarms.map((alarm) => `seed ${String(seed)}: ${alarm}`)),
  ).toEqual([]);
  // Who never compares raises no alarm either.
  expect(verdicts.get('equal') ?? 0).toBeGreaterThan(count / 2);
});
