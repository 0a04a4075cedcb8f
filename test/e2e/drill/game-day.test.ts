/** `drill run --game-day` as it is played: something breaks unsaid, an operator in another terminal mends it, or not. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { drawGameDay, gameDayFiles } from '../../../src/drill/game-day.js';
import type { DrillResult } from '../../../src/drill/result.js';
import { processes } from '../../../src/sandbox/process.js';
import { type Cli, makeCli } from '../../support/home-cli.js';
import { mismatches, shapesIn } from '../../support/shape.js';
import { until } from '../../support/wait.js';

let cli: Cli;
let sandbox: string;
beforeAll(() => {
  cli = makeCli();
  // As root the servers' account must get there.
  sandbox = path.join('/var/tmp', `repctl-game-day-${String(process.pid)}`);
});
afterAll(() => {
  cli.end();
});

/** A seed that draws this one. */
function seedOf(name: string): number {
  const wanted = gameDayFiles().find((file) => path.basename(file, '.yaml') === name);
  for (let seed = 0; ; seed += 1) if (drawGameDay(seed).file === wanted) return seed;
}

/** Begins one; what a shell is to read, and how it ended. */
async function begin(name: string, ...more: string[]) {
  const args = [
    'drill',
    'run',
    '--game-day',
    '--seed',
    String(seedOf(name)),
    '--dir',
    sandbox,
    '--json',
    ...more,
  ];
  const running = cli.start(args);
  const ended = running.ended.then(({ code, stdout, stderr }) => ({
    ...{ code, said: stderr, data: JSON.parse(stdout) as { results: DrillResult[] } },
  }));
  const file = await running.seen(
    () => Promise.resolve(/\. (\S+operate\.sh)/u.exec(running.stderr)?.[1]),
    (found) => found !== undefined,
    90_000,
  );
  const lines = readFileSync(file ?? '', 'utf8').matchAll(/^export (\w+)='(.*)'$/gmu);
  const env = Object.fromEntries([...lines].map(([, key = '', value = '']) => [key, value]));
  return { ended, env };
}

it('a leader that is killed: noticed by status, mended as it says, graded', async () => {
  const { ended, env } = await begin('leader-killed');
  const repctl = (...args: string[]) => cli.run(args, { env });
  // A worker that has just begun again after an error may be seen before: that is not what was broken.
  const { code: noticed } = await until(
    () => repctl('status'),
    ({ stdout }) => stdout.includes('repctl failover'),
    60_000,
  );
  expect(noticed).toBe(4);
  expect(await repctl('failover', '--yes')).toMatchObject({ code: 0 });
  expect(await repctl('sandbox', 'start', 'n1')).toMatchObject({ code: 0 });
  expect(await repctl('rejoin', 'n1', '--yes')).toMatchObject({ code: 0 });
  const { code, said, data } = await ended;
  const [result] = data.results;
  const unmet = result?.verdicts.filter((one) => !one.met);
  expect({ code, unmet, error: result?.error }).toEqual({ code: 0, unmet: [], error: null });
  // Not a word of it before it was mended.
  expect(said).not.toMatch(/kill/u);
  const shapes = shapesIn(readFileSync(new URL('../../../docs/json.md', import.meta.url), 'utf8'));
  expect(mismatches(data, shapes.get('drill run') ?? 'any')).toEqual([]);
  const grade = result?.grade;
  expect(grade).toMatchObject({ faults: ['kill -9 n1'], doubled: 0, differing: [] });
  expect(grade?.commands.slice(-3)).toEqual(['failover --yes', 'sandbox start n1', 'rejoin n1 --yes']);
  expect(grade?.noticedMs).toBeGreaterThan(0);
  expect(grade?.mendedMs).toBeGreaterThan(grade?.noticedMs ?? Infinity);
  expect(result?.command).toBe(`repctl drill run --game-day --seed ${String(seedOf('leader-killed'))}`);
});

it('nobody comes: not mended, exit 4, nothing left running', async () => {
  const { ended } = await begin('subscription-disabled', '--time-limit', '2s');
  const { code, data } = await ended;
  expect(code).toBe(4);
  const [result] = data.results;
  expect(result?.status).toBe('violated');
  expect(result?.grade).toMatchObject({ noticedMs: null, mendedMs: null, commands: [] });
  const left = (await processes()).filter((one) => !one.zombie && one.command.includes(sandbox));
  expect(left).toEqual([]);
});

it('is not mixed with other ways to say what to run', async () => {
  for (const more of [['leader-killed'], ['--all'], ['--repeat', '2']])
    expect((await cli.run(['drill', 'run', '--game-day', ...more])).code).toBe(2);
  const alone = await cli.run(['drill', 'run', 'leader-killed', '--time-limit', '1m']);
  expect(alone.code).toBe(2);
  expect(alone.stderr).toContain('--game-day');
});
