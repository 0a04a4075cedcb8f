/** A replica that a lock holds up must neither hold up writers nor lose in silence what it alone received. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Fleet } from '../../../src/cluster/fleet.js';
import { observe } from '../../../src/cluster/observe.js';
import { factsOf, isAttached } from '../../../src/operations/facts.js';
import { planFailover } from '../../../src/operations/failover.js';
import { runOperation } from '../../../src/operations/run.js';
import type { FinishedStep } from '../../../src/plan/execute.js';
import { noJournal } from '../../../src/plan/journal.js';
import { compareLsn } from '../../../src/postgres/lsn.js';
import { killNode } from '../../../src/sandbox/sandbox.js';
import { createCluster } from '../../support/cluster.js';
import { expectEqual } from '../../support/equality.js';
import { type Servers, startServers } from '../../support/servers.js';
import { until } from '../../support/wait.js';

describe('a locked replica', () => {
  let servers: Servers;
  let fleet: Fleet;
  beforeAll(async () => {
    servers = await startServers({ nodes: 5 });
    fleet = servers.fleet();
    await createCluster(fleet);
  });
  afterAll(() => servers.down());

  const insert = async (node: string, sku: string): Promise<unknown> =>
    (await fleet.session(node)).query(`insert into products (sku, name, price) values ($1, 'x', 1)`, [sku]);
  const has = async (node: string, sku: string): Promise<boolean> =>
    (await (await fleet.session(node)).query('select 1 from products where sku = $1', [sku])).length > 0;
  /** SHARE ROW EXCLUSIVE stops the apply worker and lets readers and CREATE SUBSCRIPTION pass. */
  const lock = async (node: string): Promise<() => Promise<void>> => {
    const session = await servers.superuser(node);
    await session.simple('begin; lock table products in share row exclusive mode');
    return async () => {
      await session.simple('commit');
      await session.close();
    };
  };
  const blocked = async (node: string): Promise<void> => {
    const session = await fleet.session(node);
    await until(
      () =>
        session.query(
          `select 1 from pg_stat_subscription w join pg_stat_activity a on a.pid = w.pid where a.wait_event_type = 'Lock'`,
        ),
      (rows) => rows.length > 0,
    );
  };
  const disable = async (node: string, epoch: number): Promise<void> => {
    await (await fleet.session(node)).simple(`alter subscription repctl_${node}_e${String(epoch)} disable`);
  };
  const failover = (acceptDataLoss = false): Promise<FinishedStep[]> =>
    runOperation(
      (snapshot) =>
        planFailover(snapshot, fleet.config, { leaderIsDead: false, acceptMinority: true, acceptDataLoss }),
      { fleet, journal: noJournal },
    );
  const drainFor = (ms: number): void => {
    (fleet.config as { drainTimeoutMs: number }).drainTimeoutMs = ms;
  };
  const promoted = (steps: readonly FinishedStep[]) =>
    steps.find((step) => step.id.startsWith('promote:'))?.node ?? '';

  it('what it alone received is not dropped: refused, undone, and brought in once the lock is gone', async () => {
    drainFor(1000);
    for (const node of ['n2', 'n3', 'n5']) await disable(node, 1);
    const release = await lock('n4');
    await insert('n1', 'precious');
    await blocked('n4');
    await killNode(servers.sandbox, 'n1');
    const refusal = await failover().catch((error: unknown) => error);
    expect(refusal).toMatchObject({ code: 'data-loss', exit: 8, details: { node: 'n4' } });
    expect((refusal as { hint: string }).hint).toMatch(/pg_terminate_backend\(\d+\)[^]*--accept-data-loss/);
    const facts = factsOf(await observe(fleet), fleet.config);
    expect(facts.epoch?.epoch).toBe(1);
    expect(facts.reachable.filter((node) => isAttached(node, 1)).map((node) => node.name)).toContain('n4');

    await release();
    drainFor(15_000);
    const steps = await failover();
    expect(promoted(steps)).toBe('n4');
    expect(await has('n4', 'precious')).toBe(true);
    await expectEqual(fleet, 'n4', ['n2', 'n3', 'n5']);
  });

  it('one that is behind is left: writes do not wait for it, and it misses nothing later', async () => {
    const release = await lock('n5');
    for (const sku of ['first', 'second']) await insert('n4', sku);
    await blocked('n5');
    for (const node of ['n2', 'n3']) await until(() => has(node, 'second'), Boolean);
    await killNode(servers.sandbox, 'n4');
    const start = performance.now();
    const running = failover();
    const clients = await Promise.all(['n2', 'n3'].map((node) => servers.superuser(node)));
    const write = () =>
      Promise.any(
        clients.map((client) =>
          client.query(`insert into products (sku, name, price) values ('after', 'x', 1)`),
        ),
      ).then(
        () => performance.now() - start,
        () => 0,
      );
    // 0.2 s on a quiet machine; waiting for the locked one would take the drain time.
    expect(await until(write, (ms) => ms > 0)).toBeLessThan(5000);
    await release();
    const steps = await running;
    const result = (id: string) => steps.find((step) => step.id === id)?.result;
    expect(result('quiesce:n5')?.['overtakenBy']).toMatch(/^n[23]$/);
    expect(result('attach:n5')).toMatchObject({ rowsCopied: 0 });
    await expectEqual(fleet, promoted(steps), ['n2', 'n3', 'n5']);
    for (const sku of ['first', 'second', 'after']) expect(await has('n5', sku), sku).toBe(true);
  });

  it('with --accept-data-loss it is given up after drainTimeout, and said so', async () => {
    const leader = factsOf(await observe(fleet), fleet.config).leader?.name ?? '';
    drainFor(1000);
    const other = leader === 'n2' ? 'n3' : 'n2';
    await disable(other, 3);
    const release = await lock('n5');
    await insert(leader, 'lost');
    await blocked('n5');
    await killNode(servers.sandbox, leader);
    const steps = await failover(true);
    await release();
    expect(steps.find((step) => step.id === 'quiesce:n5')?.result).toMatchObject({
      drained: false,
      unapplied: true,
    });
    const { epoch } = factsOf(await observe(fleet), fleet.config);
    expect(epoch?.epoch).toBe(4);
    expect(compareLsn(epoch?.previousLsn ?? '0/0', epoch?.forkPoint ?? '0/1')).toBeGreaterThanOrEqual(0);
    expect(await has(epoch?.leader ?? '', 'lost')).toBe(false);
  });
});
