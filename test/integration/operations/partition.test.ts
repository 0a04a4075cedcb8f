/**
 * Partitions, through the sandbox's proxy: who is cut off from whom decides whether a failover is right. One set of
 * servers; each test heals what it cut, until the last ones, which fail over.
 */
import { readFile, readdir } from 'node:fs/promises';
import path from 'node:path';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { analyse } from '../../../src/cluster/analyse.js';
import { type Fleet, openFleet } from '../../../src/cluster/fleet.js';
import { connectionOf } from '../../../src/config/connection.js';
import { observe } from '../../../src/cluster/observe.js';
import { factsOf, isAttached } from '../../../src/operations/facts.js';
import { planFailover } from '../../../src/operations/failover.js';
import type { FailoverRequest } from '../../../src/operations/failover-request.js';
import { planRejoin } from '../../../src/operations/rejoin.js';
import { planRewire } from '../../../src/operations/rewire.js';
import { type Planner, runOperation } from '../../../src/operations/run.js';
import { dropSlotHard } from '../../../src/operations/runners/teardown.js';
import { planSync } from '../../../src/operations/sync.js';
import type { FinishedStep } from '../../../src/plan/execute.js';
import { noJournal } from '../../../src/plan/journal.js';
import { heal, isolate, nodeOf } from '../../../src/sandbox/sandbox.js';
import { createCluster } from '../../support/cluster.js';
import { expectEqual } from '../../support/equality.js';
import { type Servers, startServers } from '../../support/servers.js';
import { until } from '../../support/wait.js';

describe('partitions', () => {
  let servers: Servers;
  let fleet: Fleet;
  beforeAll(async () => {
    servers = await startServers({ nodes: 4, proxy: true });
    fleet = servers.fleet();
    await createCluster(fleet);
    // What is cut is silent: each look waits that long for it.
    Object.assign(fleet.config, { connectTimeoutMs: 1000 });
  });
  afterAll(() => servers.down());
  afterEach(async () => {
    await heal(servers.sandbox);
  });

  const failover = (over: Partial<FailoverRequest> = {}): Promise<FinishedStep[]> =>
    runOperation(
      (snapshot) =>
        planFailover(snapshot, fleet.config, { leaderIsDead: false, acceptMinority: false, ...over }),
      { fleet, journal: noJournal, acceptMinority: over.acceptMinority ?? false },
    );
  const facts = async () => factsOf(await observe(fleet), fleet.config);
  /** Refused, and nothing was changed: still epoch 1, everybody attached. */
  const expectRefused = async (code: string, over: Partial<FailoverRequest> = {}): Promise<void> => {
    await expect(failover(over)).rejects.toMatchObject({ code, exit: 6 });
    await heal(servers.sandbox);
    await until(facts, ({ reachable }) => reachable.length === 4);
    const { epoch, reachable } = await facts();
    expect(epoch?.epoch).toBe(1);
    const attached = reachable.filter((node) => isAttached(node, 1)).map((node) => node.name);
    expect(attached).toEqual(['n2', 'n3', 'n4']);
  };
  /** Past the proxy: a client on the far side of the cut. */
  const insert = async (node: string, sku: string): Promise<unknown> =>
    (await servers.superuser(node)).query(`insert into products (sku, name, price) values ($1, 'x', 1)`, [
      sku,
    ]);

  it('a leader that only this machine cannot reach is alive: its replicas say so, idle as it is', async () => {
    await isolate(servers.sandbox, 'n1', { clients: 'only' });
    await expectRefused('leader-heard');
  });

  it('the operator cut off with the leader sees a leader that is well', async () => {
    for (const node of ['n2', 'n3', 'n4']) await isolate(servers.sandbox, node, { clients: 'only' });
    await expect(failover({ acceptMinority: true })).rejects.toMatchObject({ code: 'leader-alive', exit: 6 });
  });

  it('a minority decides nothing', async () => {
    for (const node of ['n1', 'n2', 'n3']) await isolate(servers.sandbox, node, { clients: 'with' });
    await expectRefused('no-majority');
  });

  it('one link between the leader and a replica is no reason to fail over', async () => {
    await isolate(servers.sandbox, 'n1', { from: ['n2'] });
    await expectRefused('leader-alive');
  });

  it.each(['reconcile', 'recopy'])(
    'rewire by %s is not held up by a way that swallows everything',
    async (method) => {
      const planner: Planner = (snapshot) =>
        planRewire(snapshot, fleet.config, {
          node: 'n2',
          recopy: method === 'recopy',
          acceptDataLoss: false,
        });
      const leader = await fleet.session('n1');
      await dropSlotHard(leader, 'repctl_n2');
      const hasty = openFleet({ ...servers.config, statementTimeoutMs: 2000 });
      await isolate(servers.sandbox, 'n2', { from: ['n1'] });
      await expect(runOperation(planner, { fleet: hasty, journal: noJournal })).rejects.toMatchObject({
        code: 'subscribe-timeout',
        exit: 7,
        message: expect.stringContaining('n2 got no answer from n1 in time') as unknown,
      });
      await hasty.close();
      // A closed session's backend is gone a moment later. Not ours: autovacuum, and n2's worker, should the cut have
      // met it while it logged in.
      const snapshots = `select backend_type, state, query from pg_stat_activity
        where backend_xmin is not null and pid <> pg_backend_pid() and backend_type <> 'autovacuum worker'
          and not (backend_type = 'walsender' and state = 'starting')`;
      await expect.poll(() => leader.query(snapshots)).toEqual([]);
      await heal(servers.sandbox);
      await runOperation(planner, { fleet, journal: noJournal });
      await expectEqual(fleet, 'n1', ['n2']);
    },
  );

  it('the leader cut off with its clients, and a named node that is behind: nothing that arrived anywhere is lost', async () => {
    const arrived = async (node: string, sku: string): Promise<unknown> =>
      until(
        async () => (await fleet.session(node)).query('select 1 from products where sku = $1', [sku]),
        (rows) => rows.length > 0,
      );
    await insert('n1', 'everywhere');
    await arrived('n3', 'everywhere');
    await (await fleet.session('n3')).simple('alter subscription repctl_n3_e1 disable');
    await insert('n1', 'not-on-n3');
    for (const node of ['n2', 'n4']) await arrived(node, 'not-on-n3');
    await isolate(servers.sandbox, 'n1', { clients: 'with' });
    await insert('n1', 'stranded');

    // Nobody says that it is dead, and no worker has noticed: each replica tried to reach it and could not.
    const steps = await failover({ target: 'n3' });
    const promoted = steps.filter((step) => step.id.startsWith('promote:')).map((step) => step.node);
    expect(promoted).toEqual([expect.stringMatching(/^n[24]$/), 'n3']);
    expect((await facts()).epoch).toMatchObject({ epoch: 3, leader: 'n3', operation: 'switchover' });
    const rows = await (await fleet.session('n3')).query('select sku from products order by sku');
    expect(rows).toEqual([{ sku: 'everywhere' }, { sku: 'not-on-n3' }]);
    await expectEqual(fleet, 'n3', ['n2', 'n4']);

    await heal(servers.sandbox);
    const snapshot = await until(
      () => observe(fleet),
      (seen) => seen.nodes.every((node) => node.reachable),
    );
    const analysis = analyse(snapshot, fleet.config);
    expect(analysis.state).toBe('critical');
    expect(analysis.findings.map((finding) => finding.code)).toContain('stale-leader-unfenced');
  });

  it('in sync its clients are not answered; it comes back, is rejoined, and what they committed is saved', async () => {
    const { directory } = servers.sandbox;
    const run = (planner: Planner) =>
      runOperation(planner, { fleet, journal: noJournal, stateDir: directory });
    const rejoin = (node: string): Promise<FinishedStep[]> =>
      run((snapshot) =>
        planRejoin(snapshot, fleet.config, {
          ...{ node, directory, replay: false, fenceTimeoutMs: 5000, terminateBlockers: false },
        }),
      );
    await rejoin('n1');
    await run((snapshot) =>
      planSync(snapshot, fleet.config, {
        ...{ wanted: { mode: 'any', k: 1 }, acceptWaiting: false, acceptUnrecorded: false },
      }),
    );
    await isolate(servers.sandbox, 'n3', { clients: 'with' });
    // As the everyday role: repctl may not end a superuser's session.
    const one = new pg.Client(connectionOf(nodeOf(servers.sandbox, 'n3').directUrl));
    one.on('error', () => undefined);
    await one.connect();
    const answer = one
      .query(`insert into products (sku, name, price) values ('unconfirmed', 'x', 1)`)
      .then(() => 'acknowledged', String);
    const inside = await servers.superuser('n3');
    await until(
      () => inside.query(`select 1 from pg_stat_activity where wait_event = 'SyncRep'`),
      (rows) => rows.length === 1,
    );
    await failover({ leaderIsDead: true });
    const { leader } = await facts();
    await heal(servers.sandbox);
    await until(facts, ({ reachable }) => reachable.length === 4);

    // Clients that come again at once, and hang again.
    const stubborn = { on: true, tried: 0 };
    const clients = [1, 2, 3].map(async () => {
      while (stubborn.on) {
        const client = new pg.Client(connectionOf(nodeOf(servers.sandbox, 'n3').directUrl));
        client.on('error', () => undefined);
        const sku = `again-${String((stubborn.tried += 1))}`;
        await client
          .connect()
          .then(() => client.query(`insert into products (sku, name, price) values ($1, 'x', 1)`, [sku]))
          .catch(() => undefined);
        client.end().catch(() => undefined);
      }
    });
    const rejoined = async (): Promise<FinishedStep[]> => {
      await until(
        () => inside.query(`select 1 from pg_stat_activity where wait_event = 'SyncRep'`),
        (rows) => rows.length === 4,
      );
      return rejoin('n3');
    };
    const steps = await rejoined().finally(() => {
      stubborn.on = false;
    });
    await Promise.all(clients);
    const { terminated } = steps.find(({ id }) => id === 'fence-node:n3')?.result ?? {};
    expect(terminated).toBeGreaterThanOrEqual(4);
    expect(await answer).toMatch(/terminat/);
    const [saved = ''] = (await readdir(directory)).filter((name) => name.startsWith('stranded-n3-'));
    expect(await readFile(path.join(directory, saved), 'utf8')).toContain('unconfirmed');
    await until(
      async () => analyse(await observe(fleet), fleet.config).state,
      (state) => state === 'healthy',
    );
    const others = fleet.config.nodes.map(({ name }) => name).filter((name) => name !== leader?.name);
    await expectEqual(fleet, leader?.name ?? '', others);
  });
});
