/** Nodes that missed a failover, nodes that come and go, and the end of a cluster. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Fleet, openFleet } from '../../../src/cluster/fleet.js';
import { observe } from '../../../src/cluster/observe.js';
import type { ClusterConfig } from '../../../src/config/schema.js';
import { planCreate } from '../../../src/operations/create.js';
import { planDestroy, planNodeRemove } from '../../../src/operations/destroy.js';
import { factsOf } from '../../../src/operations/facts.js';
import { planFailover } from '../../../src/operations/failover.js';
import { planNodeAdd } from '../../../src/operations/node-add.js';
import { planRewire } from '../../../src/operations/rewire.js';
import { type Planner, makePlan, runOperation } from '../../../src/operations/run.js';
import { tablesToPublish } from '../../../src/operations/targets.js';
import { noJournal } from '../../../src/plan/journal.js';
import { killNode, startNode, stopNode } from '../../../src/sandbox/sandbox.js';
import { expectEqual, leftovers } from '../../support/equality.js';
import { type Servers, startServers } from '../../support/servers.js';

describe('rewire, node add, node remove, destroy', () => {
  let servers: Servers;
  /** Five servers; the cluster is n1 to n4 until n5 is added. */
  let fleet: Fleet;
  let four: ClusterConfig;
  let five: ClusterConfig;
  const run = (planner: Planner) => runOperation(planner, { fleet, journal: noJournal });
  const insert = async (node: string, prefix: string, rows: number): Promise<void> => {
    const session = await fleet.session(node);
    for (let row = 1; row <= rows; row += 1)
      await session.query(`insert into products (sku, name, price) values ($1, 'x', 1)`, [
        `${prefix}${String(row)}`,
      ]);
  };

  beforeAll(async () => {
    servers = await startServers({ nodes: 5 });
    five = servers.config;
    four = { ...five, nodes: five.nodes.slice(0, 4) };
    fleet = openFleet(five);
    const tables = await tablesToPublish(fleet, 'n1', true);
    const small = openFleet(four);
    await runOperation((snapshot) => planCreate(snapshot, four, { tables, products: true, prefilled: [] }), {
      fleet: small,
      journal: noJournal,
    });
    await small.close();
    fleet = openFleet(four);
  });
  afterAll(async () => {
    await fleet.close();
    await servers.down();
  });

  it('attaches a replica that was down during the failover, by mapping', async () => {
    await insert('n1', 'before', 10);
    await expectEqual(fleet, 'n1', ['n2', 'n3', 'n4']);
    await stopNode(servers.sandbox, 'n4');
    await insert('n1', 'missed', 50);
    await expectEqual(fleet, 'n1', ['n2', 'n3']);
    await killNode(servers.sandbox, 'n1');
    await run((snapshot) => planFailover(snapshot, four, { leaderIsDead: false, acceptMinority: true }));
    const leader = factsOf(await observe(fleet), four).epoch?.leader ?? '';
    await insert(leader, 'after', 20);

    await startNode(servers.sandbox, 'n4');
    const planner: Planner = (snapshot) =>
      planRewire(snapshot, four, { node: 'n4', recopy: false, acceptDataLoss: false });
    expect((await makePlan(fleet, planner)).notes[0]).toContain('mapped');
    const steps = await run(planner);
    const attach = steps.find((step) => step.id === 'attach:n4');
    expect(attach?.result).toMatchObject({ rowsCopied: 0, behind: 50, foreign: 0 });
    await expectEqual(fleet, leader, ['n4', leader === 'n2' ? 'n3' : 'n2']);
    expect((await makePlan(fleet, planner)).steps).toEqual([]);
  });

  it('does not map a former leader; recopy takes its own flags and ends with no tombstone anywhere', async () => {
    await startNode(servers.sandbox, 'n1');
    const rewire =
      (recopy: boolean, acceptDataLoss: boolean): Planner =>
      (snapshot) =>
        planRewire(snapshot, four, { node: 'n1', recopy, acceptDataLoss });
    await expect(run(rewire(false, false))).rejects.toMatchObject({ code: 'rejoin-needed', exit: 6 });
    await expect(run(rewire(true, false))).rejects.toMatchObject({ code: 'data-loss', exit: 6 });
    await run(rewire(true, true));
    const facts = factsOf(await observe(fleet), four);
    await expectEqual(fleet, facts.epoch?.leader ?? '', ['n1']);
    expect(
      facts.reachable.flatMap((node) => node.subscriptions.filter((one) => one.slotName === null)),
    ).toEqual([]);
  });

  it('adds an empty node, removes it, and adds it again with its rows proved equal', async () => {
    const leader = factsOf(await observe(fleet), four).epoch?.leader ?? '';
    const n5 = await servers.superuser('n5');
    await fleet.close();
    fleet = openFleet(five);
    const own = await fleet.session('n5');
    const { productsTableSql } = await import('../../../src/products/schema.js');
    for (const sql of productsTableSql) await own.simple(sql);
    await run((snapshot) => planNodeAdd(snapshot, five, { name: 'n5', prefilled: false }));
    await insert(leader, 'five', 5);
    await expectEqual(fleet, leader, ['n5']);

    await run((snapshot) => planNodeRemove(snapshot, five, 'n5'));
    expect(await leftovers(fleet, 'n5')).toEqual({});
    expect(await n5.query('select 1 from products')).not.toHaveLength(0);

    const add: Planner = (snapshot) => planNodeAdd(snapshot, five, { name: 'n5', prefilled: true });
    await own.query(`update products set stock = 7 where sku = 'five1'`);
    await expect(run(add)).rejects.toMatchObject({ code: 'not-equal', exit: 5 });
    // Its fence is up by now: taking the node out again lifts it, as the hint says.
    await expect(own.query(`update products set stock = 0 where sku = 'five1'`)).rejects.toMatchObject({
      code: 'node-fenced',
    });
    await run((snapshot) => planNodeRemove(snapshot, five, 'n5'));
    await own.query(`update products set stock = 0 where sku = 'five1'`);
    const steps = await run(add);
    expect(steps.find((step) => step.id === 'attach-equal:n5')?.result).toMatchObject({ rowsCopied: 0 });
    await insert(leader, 'again', 5);
    await expectEqual(fleet, leader, ['n5']);
    await run((snapshot) => planNodeRemove(snapshot, five, 'n5'));
  });

  it('destroys the cluster: nothing is left but the rows', async () => {
    await fleet.close();
    fleet = openFleet(four);
    await run((snapshot) => planDestroy(snapshot, four, { withoutUnreachable: false }));
    for (const { name } of four.nodes) {
      expect(await leftovers(fleet, name), name).toEqual({});
      const session = await fleet.session(name);
      expect((await session.query('select 1 from products')).length, name).toBeGreaterThan(80);
      await session.query(`insert into products (sku, name, price) values ('free', 'x', 1)`);
    }
  });
});
