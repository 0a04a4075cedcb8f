/**
 * A link that falls silent (packets vanish, sockets stay open) in the middle of `check`, `check --exact` and `repair`:
 * repctl ends within a bounded time and names the node, no lock that matters stays, and nothing at all once the link
 * is back. The proxy acknowledges what it does not pass on, so keepalives do not help: the harder kind of silence.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { CheckResult } from '../../src/consistency/result.js';
import { heal, isolate } from '../../src/sandbox/sandbox.js';
import { nothingLeft } from '../support/left.js';
import { commandsIn } from '../support/operator.js';
import {
  NAMES,
  OPERATIONS,
  type Operation,
  type Struck,
  silentWhileLocked,
  startStruck,
} from '../support/struck.js';
import { until } from '../support/wait.js';

let struck: Struck;
beforeAll(async () => {
  struck = await startStruck();
});
afterAll(() => struck.down());

/** 10 s of silence, a new connection that is not answered (2 s here), and the same for what follows it. */
const BOUND_MS = 45_000;

describe.each(Object.keys(OPERATIONS) as Operation[])('%s', (operation) => {
  test.each(['n1', 'n3'])('the link to %s falls silent', async (silent) => {
    const { sandbox } = struck.servers;
    if (operation === 'repair') await struck.plant();
    const { running, release } = await struck.begin(operation);
    running.child.kill('SIGSTOP');
    await isolate(sandbox, silent, { clients: 'only' });
    await release();
    running.child.kill('SIGCONT');
    const from = performance.now();
    const { code, stdout, stderr } = await running.ended;
    const took = performance.now() - from;
    console.log(`${operation}, ${silent} silent: exit ${String(code)} after ${String(Math.round(took))} ms`);
    expect(took).toBeLessThan(BOUND_MS);
    expect(stderr).not.toMatch(/\bat .*:\d+:\d+/u);
    commandsIn(stdout);
    const said = JSON.parse(stdout) as Partial<CheckResult> & { error?: { message: string } };
    if (operation !== 'repair' && silent === 'n3') {
      const nodes = said.tables?.[0]?.nodes.map(({ node, verdict }) => `${node} ${verdict}`);
      expect({ code, nodes }).toEqual({ code: 4, nodes: ['n2 equal', 'n3 unverified'] });
    } else {
      expect(code, stdout).toBe(operation === 'repair' ? 7 : 3);
      // Who is silent, not who was left because of it.
      expect(said.error?.message, stdout).toContain(`${silent}: the connection was lost`);
    }
    // Nobody who writes is in the way of a check; a repair's lock on the replica goes with its link.
    await struck.admin('n1', `set lock_timeout = '1s'; update products set name = name || '.' where id = 1`);
    await heal(sandbox, silent);
    await nothingLeft(struck.servers, NAMES);
    expect(await struck.standing()).toMatchObject({ neither: [] });
    if (operation === 'repair') expect((await struck.cli.run(['repair', '--yes'])).code).toBe(0);
    await until(
      () => struck.cli.run(['check']),
      (result) => result.code === 0,
    );
    expect(await struck.standing()).toMatchObject({ planted: [], neither: [] });
  });
});

test('check --exact, while the tables are locked: the link to the leader falls silent, and writers go on', async () => {
  const { writerMs, tookMs, locks, code, said } = await silentWhileLocked(struck, 'n1');
  console.log(
    `a writer waited ${String(Math.round(writerMs))} ms, the check ended after ${String(Math.round(tookMs))} ms`,
  );
  // 2 s, since the leader's server must notice by itself; and a slow machine.
  expect(writerMs).toBeLessThan(3_500);
  expect(locks).toEqual([]);
  expect(tookMs).toBeLessThan(BOUND_MS);
  expect({ code, said: said.error?.message }).toMatchObject({
    code: 3,
    said: expect.stringMatching(/^n1/u) as string,
  });
  await nothingLeft(struck.servers, NAMES);
});
