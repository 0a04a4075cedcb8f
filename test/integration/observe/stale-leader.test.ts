/** An old leader that comes back after a failover still takes writes, and must be seen at once. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { analyse } from '../../../src/cluster/analyse.js';
import type { Fleet } from '../../../src/cluster/fleet.js';
import { measureLag } from '../../../src/cluster/measure-lag.js';
import { observe } from '../../../src/cluster/observe.js';
import { planFailover } from '../../../src/operations/failover.js';
import { runOperation } from '../../../src/operations/run.js';
import { noJournal } from '../../../src/plan/journal.js';
import { killNode, startNode } from '../../../src/sandbox/sandbox.js';
import { createCluster } from '../../support/cluster.js';
import { type Servers, startServers } from '../../support/servers.js';
import { until } from '../../support/wait.js';

describe('lag, then a leader that comes back', () => {
  let servers: Servers;
  let fleet: Fleet;
  beforeAll(async () => {
    servers = await startServers({ nodes: 3 });
    fleet = servers.fleet();
    await createCluster(fleet);
  });
  afterAll(() => servers.down());
  const look = async () => analyse(await observe(fleet), fleet.config);

  it('measures the end-to-end delay and leaves no row behind', async () => {
    const report = await measureLag(fleet, { limits: {}, samples: 10 });
    for (const replica of report.replicas) {
      expect(replica.probe).toMatchObject({ samples: 10, timeouts: 0 });
      expect(replica.probe?.maxMs).toBeLessThan(5_000);
    }
    for (const name of ['n1', 'n2', 'n3']) {
      const session = await fleet.session(name);
      await until(
        () => session.query(`select from repctl.event where kind = 'probe'`),
        (rows) => rows.length === 0,
      );
    }
    expect(
      (await observe(fleet)).nodes.every(
        (node) => node.reachable && node.events.every((it) => it.kind !== 'probe'),
      ),
    ).toBe(true);
  });

  it('counts the transactions that wait, and sees a threshold crossed', async () => {
    const n2 = await fleet.session('n2');
    await n2.simple('alter subscription repctl_n2_e1 disable');
    await until(
      () =>
        n2.query('select from pg_stat_subscription where pid is not null and subname = $1', ['repctl_n2_e1']),
      (rows) => rows.length === 0,
    );
    const n1 = await fleet.session('n1');
    for (let i = 0; i < 5; i += 1)
      await n1.query(`insert into products (sku, name, price) values ($1, 'x', 1)`, [`T${String(i)}`]);
    const report = await until(
      () => measureLag(fleet, { limits: { maxBytes: 10 }, samples: 0 }),
      (it) => it.replicas[0]?.behindTransactions === 5,
    );
    expect(report.crossed.map((it) => it.node)).toContain('n2');
    expect(report.replicas[0]?.behindMs).toBeGreaterThan(0);
    await n2.simple('alter subscription repctl_n2_e1 enable');
    await until(
      () => measureLag(fleet, { limits: {}, samples: 0 }),
      (it) => it.replicas.every((replica) => replica.behindTransactions === 0),
    );
  });

  it('is stale and unfenced, and makes two writable nodes', async () => {
    await killNode(servers.sandbox, 'n1');
    await runOperation(
      (snapshot) => planFailover(snapshot, fleet.config, { leaderIsDead: false, acceptMinority: false }),
      { fleet, journal: noJournal },
    );
    await startNode(servers.sandbox, 'n1');
    const analysis = await until(look, (it) => it.nodes[0]?.state === 'stale');
    const codes = analysis.findings.filter((it) => it.severity === 'critical').map((it) => it.code);
    expect(codes.toSorted()).toEqual(['stale-leader-unfenced', 'two-writable-nodes']);
    expect(analysis).toMatchObject({ state: 'critical', epoch: 2 });
    expect(analysis.leader).not.toBe('n1');
  });

  it('is stale and fenced once its fence is up', async () => {
    const n1 = await fleet.session('n1').catch(() => fleet.session('n1'));
    const tables = await n1.query<{ name: string }>(
      `select tgrelid::regclass::text as name from pg_trigger where tgname = 'repctl_fence'`,
    );
    for (const { name } of tables) await n1.simple(`alter table ${name} enable trigger repctl_fence`);
    const analysis = await look();
    expect(analysis.nodes[0]).toMatchObject({ state: 'stale', fenced: true });
    expect(analysis.findings.find((it) => it.code === 'stale-leader')).toMatchObject({
      severity: 'error',
      node: 'n1',
    });
    expect(analysis.state).toBe('degraded');
  });
});
