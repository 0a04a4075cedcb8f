/** One operator at a time, on real servers: who is refused is told by whom; the lock ends with its connections. */
import { hostname } from 'node:os';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { analyse } from '../../../src/cluster/analyse.js';
import { type Fleet, openFleet } from '../../../src/cluster/fleet.js';
import { DEFAULT_LIMITS } from '../../../src/cluster/limits.js';
import { type Lock, breakLock, readHolders, takeLock } from '../../../src/cluster/lock.js';
import { observe } from '../../../src/cluster/observe.js';
import { guardOf, mayGoBack, requireMajority, withLock } from '../../../src/operations/locked.js';
import { planFailover } from '../../../src/operations/failover.js';
import { planRewire } from '../../../src/operations/rewire.js';
import { runOperation } from '../../../src/operations/run.js';
import { noJournal } from '../../../src/plan/journal.js';
import type { Step } from '../../../src/plan/plan.js';
import { killNode, startNode, pauseNode, resumeNode } from '../../../src/sandbox/sandbox.js';
import { createCluster } from '../../support/cluster.js';
import { type Servers, startServers } from '../../support/servers.js';
import { until } from '../../support/wait.js';

const ada = { operation: 'failover', operator: 'ada@desk' };
const bob = { operation: 'rewire', operator: `bob@${hostname()}` };
const step = (kind: string): Step => ({
  id: kind,
  node: 'n1',
  title: kind,
  why: '',
  sql: [],
  action: { kind },
});

describe('the lock', () => {
  let servers: Servers;
  const fleets: Fleet[] = [];
  /** An operator's own connections. */
  const operator = (): Fleet => {
    const fleet = openFleet(servers.config);
    fleets.push(fleet);
    return fleet;
  };

  beforeAll(async () => {
    servers = await startServers({ nodes: 3 });
    await createCluster(servers.fleet());
  });
  afterEach(async () => {
    await Promise.all(fleets.splice(0).map((fleet) => fleet.close()));
    const fleet = operator();
    await until(
      () => readHolders(fleet),
      (holders) => holders.length === 0,
    );
  });
  afterAll(() => servers.down());

  it('refuses the second, names the first, and lets a third in after the first', async () => {
    const first = await takeLock(operator(), ada);
    expect(first.majority).toBe(true);
    const refused = takeLock(operator(), bob);
    await expect(refused).rejects.toMatchObject({ code: 'operation-in-progress', exit: 6 });
    await expect(refused).rejects.toThrow(/ada on desk \(failover, since 20\d\d-\d\d-\d\d \d\d:\d\d:\d\dZ\)/);
    await first.release();
    const third = await takeLock(operator(), bob);
    await third.release();
    expect(await readHolders(operator())).toEqual([]);
  });

  it('refuses whole operations, which change nothing', async () => {
    const held = await takeLock(operator(), ada);
    const fleet = operator();
    await expect(
      runOperation(
        (snapshot) => planRewire(snapshot, fleet.config, { node: 'n2', recopy: true, acceptDataLoss: true }),
        {
          fleet,
          journal: noJournal,
        },
      ),
    ).rejects.toMatchObject({ code: 'operation-in-progress', exit: 6 });
    await held.release();
  });

  it('is shown by status, and how long it is held', async () => {
    const held = await takeLock(operator(), ada);
    const fleet = operator();
    const snapshot = await observe(fleet, { holders: true });
    const analysis = analyse(snapshot, servers.config);
    expect(analysis.findings).toContainEqual({
      code: 'operation-in-progress',
      severity: 'info',
      message: expect.stringContaining('ada on desk (failover, since ') as string,
    });
    const limits = { ...DEFAULT_LIMITS, operationMs: -1 };
    expect(analyse(snapshot, servers.config, limits).findings).toContainEqual(
      expect.objectContaining({
        severity: 'warning',
        fix: 'If nobody works on it any more: repctl failover --break-lock ends it and goes on',
      }),
    );
    await held.release();
  });

  it('dies with its connections', async () => {
    const fleet = openFleet(servers.config);
    await takeLock(fleet, ada);
    await fleet.close();
    const other = operator();
    const lock = await until(
      () => takeLock(other, bob).catch(() => undefined),
      (taken) => taken !== undefined,
    );
    await lock?.release();
  });

  it('is broken on request; who had it stops before the next step', async () => {
    const stuck = operator();
    const lock = await takeLock(stuck, ada);
    const guard = guardOf(lock, stuck);
    await guard(step('promote'));
    let broken = '';
    await withLock(
      {
        fleet: operator(),
        operation: 'rewire',
        breakLock: true,
        onBreak: (holder) => {
          broken = holder.operator;
        },
      },
      async (mine) => {
        expect(broken).toBe('ada');
        expect(await mine.verify()).toBe(true);
        expect(await lock.verify()).toBe(false);
        await expect(guard(step('promote'))).rejects.toMatchObject({ code: 'lock-lost' });
        await expect(guard(step('attach'))).rejects.toThrow(/Now it is held by .*\(rewire, since/);
        // What the other one has begun must not be undone.
        expect(await mayGoBack(lock, { fleet: stuck, operation: 'failover' })).toBe(false);
      },
    );
    expect(await mayGoBack(lock, { fleet: stuck, operation: 'failover' })).toBe(true);
  });

  it('held by something that is no repctl is named as far as it can be, and broken too', async () => {
    const idle = operator();
    for (const name of ['n1', 'n2', 'n3']) {
      const session = await idle.session(name);
      await session.simple(`set application_name = 'psql'; select pg_advisory_lock(x'72657063'::int, 1)`);
    }
    const fleet = operator();
    await expect(takeLock(fleet, bob)).rejects.toThrow(/\(not a repctl operation, since/);
    await breakLock(fleet, await readHolders(fleet));
    await (await takeLock(fleet, bob)).release();
  });

  it('one dead node of three does not matter; with two dead it takes the word of the operator', async () => {
    await killNode(servers.sandbox, 'n1');
    const fleet = operator();
    const lock = await takeLock(fleet, ada);
    expect(lock).toMatchObject({ majority: true, count: 2 });
    await expect(takeLock(operator(), bob)).rejects.toMatchObject({ code: 'operation-in-progress' });
    await killNode(servers.sandbox, 'n2');
    await until(
      () => Promise.resolve(lock.held()),
      (held) => !held,
    );
    await lock.release();
    const alone = operator();
    const minority = await takeLock(alone, ada);
    expect(minority).toMatchObject({ majority: false, count: 1 });
    const plan = { operation: 'failover', title: '', notes: [], steps: [step('promote')] };
    const options = { fleet: alone, operation: 'failover' };
    expect(() => {
      requireMajority(minority, plan, options);
    }).toThrow(expect.objectContaining({ code: 'lock-minority', exit: 6 }) as Error);
    requireMajority(minority, plan, { ...options, acceptMinority: true });
    await minority.release();
    // The plan's own refusal is the better one.
    const fleet2 = operator();
    const request = { leaderIsDead: true, acceptMinority: false };
    await expect(
      runOperation((snapshot) => planFailover(snapshot, fleet2.config, request), {
        fleet: fleet2,
        journal: noJournal,
      }),
    ).rejects.toMatchObject({ code: 'no-majority' });
    await startNode(servers.sandbox, 'n1');
    await startNode(servers.sandbox, 'n2');
  });

  it('does not wait for a frozen node when a majority answers', async () => {
    const fleet = operator();
    await fleet.session('n1');
    await pauseNode(servers.sandbox, 'n1');
    try {
      const start = performance.now();
      const lock: Lock = await takeLock(fleet, ada);
      // So long it would be waited for.
      expect(performance.now() - start).toBeLessThan(servers.config.connectTimeoutMs);
      expect(await lock.verify()).toBe(true);
      await lock.release();
    } finally {
      await resumeNode(servers.sandbox, 'n1');
    }
  });

  it('of two who begin at once, one proceeds: twenty times', async () => {
    const [a, b] = [operator(), operator()];
    // Warm connections: the tries of both arrive in the same millisecond.
    for (const fleet of [a, b]) await Promise.all(['n1', 'n2', 'n3'].map((name) => fleet.session(name)));
    for (let round = 0; round < 20; round += 1) {
      const outcomes = await Promise.allSettled([takeLock(a, ada), takeLock(b, bob)]);
      const locks = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
      expect(locks).toHaveLength(1);
      for (const lock of locks) await lock.release();
    }
  });
});
