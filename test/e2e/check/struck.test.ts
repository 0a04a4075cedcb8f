/**
 * A node that dies, a link that is cut, or repctl killed, in the middle of `check`, `check --exact` and `repair`: what
 * is said, that nothing is left on any server that lives, that no repair is half written, and that the same command
 * ends it afterwards. A link that falls silent takes longer to be noticed: test/long/struck-silent.long.test.ts.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { CheckResult } from '../../../src/consistency/result.js';
import { heal, isolate, killNode, startNode } from '../../../src/sandbox/sandbox.js';
import { nothingLeft } from '../../support/left.js';
import { commandsIn } from '../../support/operator.js';
import {
  NAMES,
  OPERATIONS,
  type Operation,
  PLANTED,
  type Struck,
  silentWhileLocked,
  startStruck,
} from '../../support/struck.js';
import { until } from '../../support/wait.js';

let struck: Struck;
beforeAll(async () => {
  struck = await startStruck();
});
afterAll(() => struck.down());

const STRIKES = {
  'the replica is killed': { down: ['n3'], strike: () => killNode(struck.servers.sandbox, 'n3') },
  'the link to the replica is cut': {
    down: [],
    strike: () => isolate(struck.servers.sandbox, 'n3', { clients: 'only', reset: true }),
  },
  'the leader is killed': { down: ['n1'], strike: () => killNode(struck.servers.sandbox, 'n1') },
} as const;

/** Of the rows of a repair's one transaction all are right, or none; what it overwrote can be read in its file. */
async function wholeRepair(): Promise<'all' | 'none'> {
  const { right, planted, neither } = await struck.standing();
  expect({ planted: planted.length, neither }).toEqual({
    planted: planted.length === 0 ? 0 : PLANTED,
    neither: [],
  });
  if (planted.length > 0) return 'none';
  const kept = struck.kept();
  expect(right.filter((id) => Number(id) % 3 === 0 && !kept.has(id))).toEqual([]);
  return 'all';
}

async function endedAfterwards(operation: Operation): Promise<void> {
  if (operation === 'repair') expect((await struck.cli.run(['repair', '--yes'])).code).toBe(0);
  await until(
    () => struck.cli.run(['check']),
    (result) => result.code === 0,
  );
  expect(await struck.standing()).toMatchObject({ planted: [], neither: [] });
}

describe.each(Object.keys(OPERATIONS) as Operation[])('%s', (operation) => {
  test.each(Object.entries(STRIKES))('%s', async (what, { down, strike }) => {
    const { servers } = struck;
    if (operation === 'repair') await struck.plant();
    const { running, release } = await struck.begin(operation);
    // It must not get away before it is struck.
    running.child.kill('SIGSTOP');
    await strike();
    await release();
    running.child.kill('SIGCONT');
    const { code, stdout, stderr } = await running.ended;
    await nothingLeft(
      servers,
      NAMES.filter((name) => !(down as readonly string[]).includes(name)),
    );

    expect(stderr).not.toMatch(/\bat .*:\d+:\d+/u);
    commandsIn(stdout);
    const said = JSON.parse(stdout) as Partial<CheckResult> & { error?: { code: string } };
    if (operation !== 'repair' && what !== 'the leader is killed') {
      expect(code).toBe(4);
      const nodes = said.tables?.[0]?.nodes ?? [];
      expect(nodes.map(({ node, verdict }) => `${node} ${verdict}`)).toEqual(['n2 equal', 'n3 unverified']);
    } else expect(code, stdout).not.toBe(0);

    for (const name of down) await startNode(servers.sandbox, name);
    if (down.length === 0) await heal(servers.sandbox, 'n3');
    if (operation === 'repair') expect(await wholeRepair()).toBe('none');
    else expect(await struck.standing()).toMatchObject({ planted: [], neither: [] });
    await endedAfterwards(operation);
  });
});

describe('repair, repctl killed', () => {
  test('in the middle of its transaction: nothing is changed', async () => {
    await struck.plant();
    const { running, release } = await struck.begin('repair');
    running.child.kill('SIGKILL');
    await nothingLeft(struck.servers, NAMES);
    await release();
    expect(await wholeRepair()).toBe('none');
    await endedAfterwards('repair');
  });

  test('once rows are in the file, on its way to commit: all or none of them', async () => {
    await struck.plant();
    const running = struck.cli.start(['repair', '--yes', '--json']);
    await new Promise<void>((resolve) => {
      const look = () => {
        if (struck.kept().size > 0 || running.child.exitCode !== null) resolve();
        else setImmediate(look);
      };
      look();
    });
    running.child.kill('SIGKILL');
    const { signal } = await running.ended;
    await nothingLeft(struck.servers, NAMES);
    expect({ signal, left: await wholeRepair() }).toMatchObject({ signal: 'SIGKILL' });
    await endedAfterwards('repair');
  });
});

test('check --exact, while the tables are locked: the link to a replica falls silent, and writers go on', async () => {
  const { writerMs, tookMs, locks, code, said } = await silentWhileLocked(struck, 'n3');
  // 1.2 s, and a slow machine.
  expect(writerMs).toBeLessThan(2_000);
  expect(locks).toEqual([]);
  expect(tookMs).toBeLessThan(40_000);
  const nodes = said.tables?.[0]?.nodes.map(({ node, verdict }) => `${node} ${verdict}`);
  expect({ code, nodes }).toEqual({ code: 4, nodes: ['n2 equal', 'n3 unverified'] });
  await nothingLeft(struck.servers, NAMES);
  await endedAfterwards('check --exact');
});
