/**
 * Killed after each step and in the middle of it: the same command finishes the work. One set of servers; each
 * round kills the leader, fails over (crashing on the way), and brings the old leader back by recopy (crashing
 * on the way), so that every round starts from a healthy cluster of four.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RepctlError } from '../../../src/errors.js';
import type { Fleet } from '../../../src/cluster/fleet.js';
import { analyse } from '../../../src/cluster/analyse.js';
import { observe } from '../../../src/cluster/observe.js';
import { factsOf, isAttached, isTombstone } from '../../../src/operations/facts.js';
import { planFailover } from '../../../src/operations/failover.js';
import { planRewire } from '../../../src/operations/rewire.js';
import { makePlan, runOperation } from '../../../src/operations/run.js';
import { noJournal } from '../../../src/plan/journal.js';
import { killNode, startNode, stopNode } from '../../../src/sandbox/sandbox.js';
import { createCluster } from '../../support/cluster.js';
import { type CrashHarness, crashHarness } from '../../support/crash.js';
import type { CrashRequest } from '../../support/crash-program.js';
import { expectEqual } from '../../support/equality.js';
import { type Servers, startServers } from '../../support/servers.js';

describe('killed on the way', () => {
  let servers: Servers;
  let fleet: Fleet;
  let harness: CrashHarness;
  let written = 0;

  beforeAll(async () => {
    harness = await crashHarness();
    servers = await startServers();
    fleet = servers.fleet();
    await createCluster(fleet);
  });
  afterAll(async () => {
    await servers.down();
    await harness.remove();
  });

  const crash = (request: Omit<CrashRequest, 'config'>) =>
    harness.crash({ ...request, config: servers.config });

  const write = async (leader: string, rows: number): Promise<void> => {
    const session = await fleet.session(leader);
    for (let row = 0; row < rows; row += 1) {
      written += 1;
      await session.query('insert into products (sku, name, price) values ($1, $2, 1)', [
        `S${String(written)}`,
        `row ${String(written)}`,
      ]);
    }
  };

  /** Healthy, from outside: one writable node, everybody attached, the same rows everywhere, nothing left over. */
  const expectHealthy = async (present: number): Promise<void> => {
    const snapshot = await observe(fleet);
    const facts = factsOf(snapshot, servers.config);
    expect(facts.reachable).toHaveLength(present);
    const writable = facts.reachable.filter((node) => node.tables.some((table) => table.fence !== 'enabled'));
    expect(writable.map((node) => node.name)).toEqual([facts.epoch?.leader]);
    const epoch = facts.epoch?.epoch ?? 0;
    for (const node of facts.reachable) {
      if (node.name === facts.epoch?.leader) continue;
      expect(isAttached(node, epoch), `${node.name} attached`).toBe(true);
      expect(node.subscriptions.filter((one) => one.own)).toHaveLength(1);
      expect(node.subscriptions[0]?.applyErrors, `${node.name} apply errors`).toBe(0);
      // An operation waits for the replicas that it is about; the stream of others may still be on its way.
      await expectEqual(fleet, facts.epoch?.leader ?? '', [node.name]);
    }
    const tombstones = facts.leader?.subscriptions.filter(isTombstone) ?? [];
    expect(tombstones, 'tombstones').toHaveLength(present === servers.config.nodes.length ? 0 : 1);
  };

  // Steps of a failover with three survivors: three drains, promote, two attaches, verify, two standby.
  const kills = [
    ...[1, 3, 4, 5, 6, 7, 8].map((step) => ({ step, delayMs: null })),
    ...[4, 5, 6, 8].map((step) => ({ step, delayMs: step * 3 })),
  ];

  it.each(kills)('failover killed at step $step (delay $delayMs), then recopy killed too', async (kill) => {
    const before = factsOf(await observe(fleet), servers.config);
    const leader = before.epoch?.leader ?? '';
    await write(leader, 20);
    await killNode(servers.sandbox, leader);
    expect(await crash({ operation: 'failover', node: '', kill })).toBe('killed');

    const planner = (snapshot: Parameters<typeof planFailover>[0]) =>
      planFailover(snapshot, servers.config, { leaderIsDead: false, acceptMinority: false });
    // Killed after the last piece of work there is nothing left to do, and it says so.
    await runOperation(planner, { fleet, journal: noJournal }).catch((error: unknown) => {
      expect((error as RepctlError).code).toBe('leader-alive');
    });
    await expectHealthy(3);
    const now = factsOf(await observe(fleet), servers.config);
    expect(now.epoch?.epoch).toBe((before.epoch?.epoch ?? 0) + 1);
    await write(now.epoch?.leader ?? '', 5);

    await startNode(servers.sandbox, leader);
    await crash({
      operation: 'recopy',
      node: leader,
      kill: { step: 1 + (kill.step % 4), delayMs: kill.delayMs },
    });
    const rewire = (recopy: boolean) => (snapshot: Parameters<typeof planRewire>[0]) =>
      planRewire(snapshot, servers.config, { node: leader, recopy, acceptDataLoss: true });
    await runOperation(rewire(true), { fleet, journal: noJournal });
    expect((await makePlan(fleet, rewire(false))).steps).toEqual([]);
    await expectHealthy(4);
  });

  it('two nodes never lead one epoch: a leader died before anybody had heard of it', async () => {
    const look = async () => factsOf(await observe(fleet), servers.config);
    const before = await look();
    const epoch = before.epoch?.epoch ?? 0;
    const first = before.epoch?.leader ?? '';
    // As in a cluster that was created before there were promises.
    for (const { name } of servers.config.nodes)
      await (await fleet.session(name)).simple('drop table repctl.reserved');
    await killNode(servers.sandbox, first);
    const promotion = 4;
    expect(await crash({ operation: 'failover', node: '', kill: { step: promotion, delayMs: null } })).toBe(
      'killed',
    );
    const second = (await look()).epoch?.leader ?? '';
    await write(second, 3);
    await killNode(servers.sandbox, second);
    expect((await look()).epoch?.epoch).toBe(epoch);

    await runOperation(
      (snapshot) => planFailover(snapshot, servers.config, { leaderIsDead: false, acceptMinority: true }),
      { fleet, journal: noJournal },
    );
    expect((await look()).epoch?.epoch).toBe(epoch + 2);
    await startNode(servers.sandbox, second);
    const { findings } = analyse(await observe(fleet), servers.config);
    expect(findings).toContainEqual(
      expect.objectContaining({
        code: 'stale-leader-unfenced',
        node: second,
        fix: `repctl fence ${second} stops its writes at once, then repctl rewire ${second}`,
      }),
    );
    for (const [node, recopy] of [
      [second, false],
      [first, true],
    ] as const) {
      if (node === first) await startNode(servers.sandbox, first);
      await runOperation(
        (snapshot) => planRewire(snapshot, servers.config, { node, recopy, acceptDataLoss: true }),
        { fleet, journal: noJournal },
      );
    }
    await expectHealthy(4);
  });

  it.each([1, 2, 3, 4].map((step) => ({ step })))('mapped rewire killed at step $step', async ({ step }) => {
    const before = factsOf(await observe(fleet), servers.config);
    const leader = before.epoch?.leader ?? '';
    const late = servers.config.nodes.map((node) => node.name).find((name) => name !== leader) ?? '';
    await stopNode(servers.sandbox, late);
    await write(leader, 30);
    await killNode(servers.sandbox, leader);
    await runOperation(
      (snapshot) => planFailover(snapshot, servers.config, { leaderIsDead: false, acceptMinority: true }),
      { fleet, journal: noJournal },
    );
    await startNode(servers.sandbox, late);
    await crash({ operation: 'rewire', node: late, kill: { step, delayMs: step === 2 ? 5 : null } });
    const rewire = (node: string, recopy: boolean) => (snapshot: Parameters<typeof planRewire>[0]) =>
      planRewire(snapshot, servers.config, { node, recopy, acceptDataLoss: true });
    await runOperation(rewire(late, false), { fleet, journal: noJournal });
    await expectHealthy(3);
    await startNode(servers.sandbox, leader);
    await runOperation(rewire(leader, true), { fleet, journal: noJournal });
    await expectHealthy(4);
  });
});
