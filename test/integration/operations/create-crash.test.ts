/** `cluster create`, `node add` and `cluster destroy` killed after each of their steps, on one set of servers. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Fleet, openFleet } from '../../../src/cluster/fleet.js';
import { observe } from '../../../src/cluster/observe.js';
import type { ClusterConfig } from '../../../src/config/schema.js';
import { planDestroy } from '../../../src/operations/destroy.js';
import { factsOf } from '../../../src/operations/facts.js';
import { planNodeAdd } from '../../../src/operations/node-add.js';
import { type Planner, runOperation } from '../../../src/operations/run.js';
import { noJournal } from '../../../src/plan/journal.js';
import { productsTableSql } from '../../../src/products/schema.js';
import { createCluster } from '../../support/cluster.js';
import { type CrashHarness, crashHarness } from '../../support/crash.js';
import { expectEqual, leftovers } from '../../support/equality.js';
import { type Servers, startServers } from '../../support/servers.js';

describe('create, node add and destroy killed on the way', () => {
  let servers: Servers;
  let harness: CrashHarness;
  let fleet: Fleet;
  let three: ClusterConfig;
  const run = (planner: Planner) => runOperation(planner, { fleet, journal: noJournal });

  beforeAll(async () => {
    harness = await crashHarness();
    servers = await startServers({ nodes: 4 });
    three = { ...servers.config, nodes: servers.config.nodes.slice(0, 3) };
    fleet = openFleet(three);
    for (const { name } of three.nodes) {
      const session = await fleet.session(name);
      for (const sql of productsTableSql) await session.simple(sql);
    }
    const leader = await fleet.session('n1');
    await leader.query(
      `insert into products (sku, name, price) select 'S' || i, 'x', 1 from generate_series(1, 2000) i`,
    );
  });
  afterAll(async () => {
    await fleet.close();
    await servers.down();
    await harness.remove();
  });

  // Three prepare, three publish, the epoch, two subscribe (or attach), the copy, verify, two standby.
  const kills = [1, 3, 4, 6, 7, 8, 9, 10, 11, 12].map((step, index) => ({
    step,
    delayMs: index % 2 === 0 ? null : 4,
  }));

  it.each(kills)('create killed at step $step (delay $delayMs), destroy too', async ({ step, delayMs }) => {
    // In turn: replicas that are empty (copied) and replicas that hold the rows (proved equal).
    if (step % 2 === 0) {
      for (const name of ['n2', 'n3']) await (await fleet.session(name)).simple('truncate products');
    }
    expect(
      await harness.crash({ config: three, operation: 'create', node: 'n1', kill: { step, delayMs } }),
    ).toBe('killed');
    await createCluster(fleet);
    await expectEqual(fleet, 'n1', ['n2', 'n3']);
    const snapshot = await observe(fleet);
    for (const node of factsOf(snapshot, three).reachable) {
      expect(node.slots, node.name).toHaveLength(2);
      expect(node.subscriptions, node.name).toHaveLength(node.name === 'n1' ? 0 : 1);
    }

    await harness.crash({
      config: three,
      operation: 'destroy',
      node: '',
      kill: { step: 1 + (step % 7), delayMs },
    });
    await run((state) => planDestroy(state, three, { withoutUnreachable: false }));
    for (const { name } of three.nodes) expect(await leftovers(fleet, name), name).toEqual({});
  });

  it.each([1, 2, 3, 4, 5, 6].map((step) => ({ step })))('node add killed at step $step', async ({ step }) => {
    await createCluster(fleet);
    const wider = openFleet(servers.config);
    try {
      const n4 = await wider.session('n4');
      for (const sql of productsTableSql) await n4.simple(sql);
      await n4.simple('truncate products');
      const kill = { step, delayMs: step % 2 === 0 ? 4 : null };
      await harness.crash({ config: servers.config, operation: 'node-add', node: 'n4', kill });
      await runOperation(
        (snapshot) => planNodeAdd(snapshot, servers.config, { name: 'n4', prefilled: false }),
        {
          fleet: wider,
          journal: noJournal,
        },
      );
      await expectEqual(wider, 'n1', ['n2', 'n3', 'n4']);
      await runOperation((snapshot) => planDestroy(snapshot, servers.config, { withoutUnreachable: false }), {
        fleet: wider,
        journal: noJournal,
      });
      for (const { name } of servers.config.nodes) expect(await leftovers(wider, name), name).toEqual({});
    } finally {
      await wider.close();
    }
  });
});
