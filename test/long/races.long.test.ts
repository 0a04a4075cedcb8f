/**
 * Two operators at once, many times: npm run test:long races. RACES is how many (default 60).
 * Then with the lock taken out, which the same judge must notice.
 */
import { describe, expect, it } from 'vitest';
import { createCluster } from '../support/cluster.js';
import { racers } from '../support/races/race.js';
import { PAIRS, type Round, round } from '../support/races/rounds.js';
import { startServers } from '../support/servers.js';

const count = Number(process.env['RACES'] ?? '60');

async function races(many: number, fault?: Parameters<typeof racers>[0]): Promise<Round[]> {
  const pairs = await racers(fault);
  const servers = await startServers();
  const rounds: Round[] = [];
  try {
    const fleet = servers.fleet();
    await createCluster(fleet);
    for (let i = 0; i < many; i += 1) {
      const pair = PAIRS[i % PAIRS.length];
      if (pair === undefined) continue;
      const result = await round(servers, fleet, pairs, pair);
      rounds.push(result);
      const codes = result.outcomes.map(({ ok, code }) => (ok ? 'proceeds' : code)).join(', ');
      process.stdout.write(
        `${String(i + 1).padStart(3)}  ${result.name}: ${codes}${result.violations.map((text) => `\n     ✗ ${text}`).join('')}\n`,
      );
      // A cluster that two operators have mixed up is of no more use.
      if (fault !== undefined && result.violations.length > 0) break;
    }
  } finally {
    await servers.down();
    await pairs.remove();
  }
  return rounds;
}

describe('two operators at once', () => {
  it(`${String(count)} races: one proceeds, one is refused, never a mixture`, async () => {
    const rounds = await races(count);
    expect(rounds.flatMap(({ violations }) => violations)).toEqual([]);
    const contended = rounds.filter((one) => one.contended).length;
    process.stdout.write(`${String(rounds.length)} races, ${String(contended)} contended, 0 violations\n`);
    expect(contended).toBeGreaterThan(rounds.length * 0.8);
  });

  it('without the lock it is noticed', async () => {
    const rounds = await races(3, {
      file: 'src/cluster/lock-sql.ts',
      find: 'select pg_try_advisory_lock(${keyOf(what)}) as got',
      replace: 'select true as got',
    });
    const violations = rounds.flatMap((one) => one.violations);
    process.stdout.write(`the lock taken out: ${violations.join('; ')}\n`);
    expect(violations).not.toEqual([]);
  });
});
