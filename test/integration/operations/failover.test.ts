import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Fleet } from '../../../src/cluster/fleet.js';
import type { Snapshot } from '../../../src/cluster/model.js';
import { observe } from '../../../src/cluster/observe.js';
import { factsOf, isAttached } from '../../../src/operations/facts.js';
import { planFailover } from '../../../src/operations/failover.js';
import { runOperation } from '../../../src/operations/run.js';
import { noJournal } from '../../../src/plan/journal.js';
import { killNode } from '../../../src/sandbox/sandbox.js';
import { createCluster } from '../../support/cluster.js';
import { unreachable } from '../../support/simulate.js';
import { type Servers, startServers } from '../../support/servers.js';

const request = { leaderIsDead: false, acceptMinority: false };

describe('create and fail over', () => {
  let servers: Servers;
  let fleet: Fleet;
  beforeAll(async () => {
    servers = await startServers();
    fleet = servers.fleet();
  });
  afterAll(() => servers.down());

  it('creates a cluster, and nothing the second time', async () => {
    expect((await createCluster(fleet)).length).toBeGreaterThan(10);
    expect(await createCluster(fleet)).toEqual([]);
  });

  // Why the swap of subscriptions keeps the old one as a tombstone until the new one is committed.
  it('PostgreSQL forgets an origin at DROP SUBSCRIPTION even when that is rolled back', async () => {
    const replica = await fleet.session('n4');
    const position = async () =>
      (
        await replica.query<{ lsn: string }>(
          `select remote_lsn::text as lsn from pg_subscription s join pg_replication_origin o on o.roname = 'pg_' || s.oid
             join pg_show_replication_origin_status() p on p.local_id = o.roident where s.subname = 'repctl_n4_e1'`,
        )
      )[0]?.lsn;
    const before = await position();
    expect(before).toMatch(/^0\/[0-9A-F]{3,}$/);
    await replica.simple('alter subscription repctl_n4_e1 disable');
    await expect
      .poll(async () => replica.query('select 1 from pg_stat_subscription where pid is not null'))
      .toEqual([]);
    await replica.simple(
      'begin; alter subscription repctl_n4_e1 set (slot_name = none); drop subscription repctl_n4_e1; rollback',
    );
    expect(await replica.query(`select 1 from pg_subscription where subname = 'repctl_n4_e1'`)).toHaveLength(
      1,
    );
    expect(await position()).not.toBe(before);
    await replica.simple('alter subscription repctl_n4_e1 enable');
    // It starts at its slot's position instead; the next transaction gives it a position again.
    const leader = await fleet.session('n1');
    await leader.query(`insert into products (sku, name, price) values ('first', 'x', 1)`);
    await expect.poll(position, { timeout: 10_000 }).toMatch(/^0\/[0-9A-F]{3,}$/);
  });

  it('starts the replicas again when the leader is back before anything was promoted', async () => {
    let looks = 0;
    // The first look finds no leader, the second one does: the plan of a failover, refused after the drain.
    const planner = (snapshot: Snapshot) => {
      looks += 1;
      return planFailover(looks === 1 ? unreachable(snapshot, 'n1') : snapshot, fleet.config, {
        ...request,
        leaderIsDead: true,
      });
    };
    await expect(runOperation(planner, { fleet, journal: noJournal })).rejects.toMatchObject({
      code: 'leader-alive',
      exit: 8,
    });
    const facts = factsOf(await observe(fleet), fleet.config);
    expect(facts.epoch?.epoch).toBe(1);
    for (const node of facts.reachable)
      if (node.name !== 'n1') expect(isAttached(node, 1), node.name).toBe(true);
  });

  it('fails over when the leader is killed: no row copied, siblings attached, one writable node', async () => {
    const leader = await fleet.session('n1');
    await leader.query(
      `insert into products (sku, name, price) select 'A' || i, 'x', 1 from generate_series(1, 100) i`,
    );
    await killNode(servers.sandbox, 'n1');
    const failover = () =>
      runOperation((snapshot) => planFailover(snapshot, fleet.config, request), {
        fleet,
        journal: noJournal,
      });
    // It stops the promotion, and neither the apply workers nor what they drain.
    const locks = await Promise.all(['n2', 'n3', 'n4'].map((name) => servers.superuser(name)));
    for (const session of locks)
      await session.simple('begin; lock table products in share update exclusive mode');
    await expect(failover(), 'a promotion that was rolled back').rejects.toMatchObject({ exit: 8 });
    const before = factsOf(await observe(fleet), fleet.config);
    expect(before.epoch?.epoch).toBe(1);
    expect(before.reachable.map((node) => isAttached(node, 1))).toEqual([true, true, true]);
    for (const session of locks) await session.simple('rollback');
    const steps = await failover();
    expect(
      steps.filter((step) => step.id.startsWith('attach:')).map((step) => step.result?.['rowsCopied']),
    ).toEqual([0, 0]);
    const facts = factsOf(await observe(fleet), fleet.config);
    expect(facts.epoch).toMatchObject({ epoch: 2, previousLeader: 'n1', operation: 'failover' });
    const replicas = facts.reachable.filter((node) => node.name !== facts.epoch?.leader);
    expect(replicas.map((node) => isAttached(node, 2))).toEqual([true, true]);
    const fences = new Map(
      facts.reachable.map((node) => [node.name, new Set(node.tables.map((table) => table.fence))]),
    );
    for (const [name, states] of fences)
      expect([...states], name).toEqual([name === facts.epoch?.leader ? 'disabled' : 'enabled']);
  });

  it('refuses when the leader is alive and well', async () => {
    const again = runOperation((snapshot) => planFailover(snapshot, fleet.config, request), {
      fleet,
      journal: noJournal,
    });
    await expect(again).rejects.toMatchObject({ code: 'leader-alive', exit: 6 });
  });

  it('sets sequences past what is in use, so that the new leader gives out fresh ids', async () => {
    const facts = factsOf(await observe(fleet), fleet.config);
    const leader = await fleet.session(facts.epoch?.leader ?? '');
    const [row] = await leader.query<{ id: string }>(
      `insert into products (sku, name, price) values ('after', 'x', 1) returning id`,
    );
    expect(Number(row?.id)).toBeGreaterThan(1000);
  });
});
