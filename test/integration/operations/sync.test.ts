/** Commits that wait for replicas: set, shown, hanging, moved with the leader. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import pg from 'pg';
import { connectionOf } from '../../../src/config/connection.js';
import { analyse } from '../../../src/cluster/analyse.js';
import type { Fleet } from '../../../src/cluster/fleet.js';
import { observe } from '../../../src/cluster/observe.js';
import type { SyncRequest } from '../../../src/cluster/sync.js';
import { planSwitchover } from '../../../src/operations/switchover.js';
import { planSync } from '../../../src/operations/sync.js';
import { planRewire } from '../../../src/operations/rewire.js';
import { type Planner, makePlan, runOperation } from '../../../src/operations/run.js';
import type { FinishedStep } from '../../../src/plan/execute.js';
import { noJournal } from '../../../src/plan/journal.js';
import { pauseNode, resumeNode } from '../../../src/sandbox/sandbox.js';
import { createCluster } from '../../support/cluster.js';
import { expectEqual } from '../../support/equality.js';
import { type Servers, startServers } from '../../support/servers.js';
import { signalAll, stopAtRest } from '../../support/signal.js';
import { killUnderLoad } from '../../support/sync-kills.js';
import { until } from '../../support/wait.js';

describe('sync', () => {
  let servers: Servers;
  let fleet: Fleet;
  const sync = (
    wanted: SyncRequest,
    more: { acceptWaiting?: boolean; acceptUnrecorded?: boolean } = {},
  ): Promise<FinishedStep[]> =>
    runOperation(
      (snapshot) =>
        planSync(snapshot, servers.config, {
          wanted,
          acceptWaiting: false,
          acceptUnrecorded: false,
          ...more,
        }),
      { fleet, journal: noJournal },
    );
  const look = async () => analyse(await observe(fleet), servers.config);
  const client = async (node: string): Promise<pg.Client> => {
    const one = new pg.Client(connectionOf(fleet.node(node).url));
    one.on('error', () => undefined);
    await one.connect();
    return one;
  };

  beforeAll(async () => {
    servers = await startServers({ nodes: 4, pg: ['18', '18', '17', '16'] });
    fleet = servers.fleet();
    await createCluster(fleet);
  });
  afterAll(() => servers.down());

  it('is async until it is set, and refused where it cannot work', async () => {
    expect((await look()).sync).toMatchObject({ mode: 'async', k: 0, agrees: true });
    await expect(sync({ mode: 'any', k: 4 })).rejects.toMatchObject({ code: 'too-few-replicas', exit: 6 });
    const admin = await servers.superuser('n2');
    const role = new URL(fleet.node('n2').url).username;
    await admin.query(`revoke alter system on parameter synchronous_standby_names from "${role}"`);
    await expect(sync({ mode: 'any', k: 1 })).rejects.toMatchObject({
      code: 'sync-not-permitted',
      exit: 6,
      hint: expect.stringContaining('grant alter system on parameter') as string,
    });
    await admin.query(`grant alter system on parameter synchronous_standby_names to "${role}"`);
    const leader = await servers.superuser('n1');
    await leader.query(`alter system set synchronous_standby_names = 'FIRST 1 (standby1)'`);
    await leader.query('select pg_reload_conf()');
    await expect.poll(async () => (await look()).sync?.setting).toContain('standby1');
    await expect(sync({ mode: 'any', k: 1 })).rejects.toMatchObject({ code: 'sync-foreign-setting' });
    await leader.query('alter system reset synchronous_standby_names');
    await leader.query('select pg_reload_conf()');
    await expect.poll(async () => (await look()).sync?.setting).toBe('');
    expect(await sync({ mode: 'async' })).toEqual([]);
  });

  it('any 1: a commit is on a replica when it is acknowledged, and does not wait for the WAL writer', async () => {
    expect((await sync({ mode: 'any', k: 1 })).map((step) => step.id)).toEqual([
      'sync-commit:n2',
      'sync-commit:n3',
      'sync-commit:n4',
      'sync-setting:n1',
      'sync-record:n1:1of3',
    ]);
    const { sync: state, findings } = await look();
    expect(state).toMatchObject({ mode: 'any', k: 1, names: ['n2', 'n3', 'n4'], agrees: true });
    expect(findings.filter((finding) => finding.code.startsWith('sync'))).toEqual([]);
    expect(await sync({ mode: 'any', k: 1 })).toEqual([]);
    const one = await client('n1');
    const times: number[] = [];
    for (let i = 0; i < 20; i += 1) {
      const start = performance.now();
      await one.query('insert into products (sku, name, price) values ($1, $2, 1)', [`S${String(i)}`, 'x']);
      times.push(performance.now() - start);
    }
    // With synchronous_commit=off each waits about 200 ms, whatever else holds up single ones.
    expect(times.filter((ms) => ms < 100).length).toBeGreaterThan(times.length / 2);
    await one.end();
  });

  it('says why commits hang, and lets them go on', async () => {
    for (const node of ['n2', 'n3', 'n4']) await pauseNode(servers.sandbox, node);
    const one = await client('n1');
    // wal_sender_timeout (5 s) ends the senders of the frozen ones.
    const state = { done: false };
    const hung = one
      .query(`insert into products (sku, name, price) values ('hung', 'x', 1)`)
      .finally(() => (state.done = true));
    try {
      await expect
        .poll(
          async () => (await look()).findings.find((finding) => finding.code === 'commits-wait')?.message,
          { timeout: 30_000 },
        )
        .toMatch(/1 of n2, n3, n4 must confirm, and none is connected; 1 session waits now/);
      expect(state.done).toBe(false);
      // repctl itself does not hang, but it needs a majority to know who leads.
      await expect(sync({ mode: 'async' })).rejects.toMatchObject({ code: 'no-majority' });
    } finally {
      for (const node of ['n2', 'n3', 'n4']) await resumeNode(servers.sandbox, node);
    }
    await hung;
    await one.end();
    await expect.poll(async () => (await look()).state, { timeout: 30_000 }).toBe('healthy');
  });

  it('goes on without them when asked to, and says that a failover would not know', async () => {
    const others = ['n2', 'n3', 'n4'];
    for (const node of others)
      await (await fleet.session(node)).simple(`alter subscription repctl_${node}_e1 disable`);
    await expect.poll(async () => (await look()).sync?.connected, { timeout: 30_000 }).toEqual([]);
    const one = await client('n1');
    const hung = one.query(`insert into products (sku, name, price) values ('hung2', 'x', 1)`);
    await expect.poll(async () => (await look()).sync?.waiting).toBe(1);
    await expect(sync({ mode: 'async' })).rejects.toMatchObject({ code: 'sync-unrecorded', exit: 6 });
    await sync({ mode: 'async' }, { acceptUnrecorded: true });
    await hung;
    await one.end();
    expect((await look()).sync).toMatchObject({ mode: 'async', setting: '', agrees: true });
    for (const node of others)
      await (await fleet.session(node)).simple(`alter subscription repctl_${node}_e1 enable`);
    await expect.poll(async () => (await look()).state, { timeout: 30_000 }).toBe('healthy');
  });

  it('is not said to hold before commits wait: the checkpointer, whose flag they ask, may be late', async () => {
    const admin = await servers.superuser('n1');
    const checkpointer = await stopAtRest(admin, `backend_type = 'checkpointer'`);
    const state = { done: false };
    const setting = sync({ mode: 'any', k: 1 }).finally(() => (state.done = true));
    try {
      const tried = () =>
        admin.query(
          `select from pg_stat_activity where query like '%update repctl.node%' and pid <> pg_backend_pid()`,
        );
      await until(tried, (rows) => state.done || rows.length > 0);
      expect(state.done).toBe(false);
    } finally {
      signalAll([checkpointer], 'SIGCONT');
      await setting;
    }
    expect((await look()).sync).toMatchObject({ mode: 'any', k: 1, agrees: true });
    await sync({ mode: 'async' });
  });

  it('stronger and weaker: what is recorded never promises more than was kept', async () => {
    await sync({ mode: 'any', k: 2 });
    expect((await sync({ mode: 'any', k: 1 })).map((step) => step.id)).toEqual([
      'sync-record:n1:1of3',
      'sync-setting:n1',
    ]);
    await sync({ mode: 'all' });
    expect((await look()).sync).toMatchObject({ mode: 'all', k: 3, agrees: true });
    await sync({ mode: 'any', k: 1 });
    expect((await look()).sync).toMatchObject({ mode: 'any', k: 1, agrees: true });
  });

  it('is not given up on the quiet: no switchover to a node whose commits would wait for nobody', async () => {
    const admin = await servers.superuser('n2');
    const set = async (sql: string, value: string): Promise<void> => {
      await admin.query(sql);
      await admin.query('select pg_reload_conf()');
      const shown = async () =>
        (
          await admin.query<{ value: string }>(
            `select setting as value from pg_settings where name = 'synchronous_commit'`,
          )
        )[0]?.value;
      await expect.poll(shown).toBe(value);
    };
    await set('alter system set synchronous_commit = off', 'off');
    await expect(
      runOperation(
        (snapshot) =>
          planSwitchover(snapshot, servers.config, { target: 'n2', without: [], terminateBlockers: false }),
        { fleet, journal: noJournal },
      ),
    ).rejects.toMatchObject({ code: 'sync-commit-off', exit: 6 });
    await set('alter system reset synchronous_commit', 'on');
  });

  it('moves with a planned change of the leader; a rollback leaves nothing of it', async () => {
    const request = { target: 'n2', without: [], terminateBlockers: false };
    await runOperation((snapshot) => planSwitchover(snapshot, servers.config, request), {
      fleet,
      journal: noJournal,
    });
    const { sync: state, state: health, findings } = await look();
    expect(state).toMatchObject({ mode: 'any', k: 1, names: ['n1', 'n3', 'n4'], agrees: true });
    expect(findings.filter((finding) => /sync|commits/.test(finding.code))).toEqual([]);
    expect(health).toBe('healthy');
    const one = await client('n2');
    await one.query('begin; update products set stock = stock');
    await expect(
      runOperation(
        (snapshot) =>
          planSwitchover(snapshot, servers.config, { ...request, target: 'n1', drainTimeoutMs: 300 }),
        { fleet, journal: noJournal },
      ),
    ).rejects.toMatchObject({ exit: 8 });
    await one.end();
    await expect
      .poll(async () => (await look()).findings.filter((finding) => /sync|commits/.test(finding.code)))
      .toEqual([]);
  });

  it.each([1, 2, 3])(
    'kill %i of the leader under load: no acknowledged row is lost, and that was said before',
    async (round) => {
      const outcome = await killUnderLoad(servers, fleet, round, 100 * round);
      expect(outcome.impossible).toBe(true);
      expect(outcome.lost).toEqual([]);
      expect(outcome.leader).not.toBe(outcome.killed);
      const { sync: state, findings, nodes } = await look();
      const others = nodes.map((node) => node.name).filter((name) => name !== outcome.leader);
      expect(state).toMatchObject({ mode: 'any', k: 1, names: others, agrees: true });
      expect(findings.filter((finding) => /sync|commits/.test(finding.code))).toEqual([]);
      await expectEqual(fleet, outcome.leader, others);
    },
  );

  it('a leader whose commits wait because all replicas are gone takes a new one on all the same', async () => {
    const { epoch, nodes, ...state } = await look();
    const leader = state.leader ?? '';
    const [anew = '', ...others] = nodes.map(({ name }) => name).filter((name) => name !== leader);
    const alter = async (node: string, how: string) =>
      (await fleet.session(node)).simple(`alter subscription repctl_${node}_e${String(epoch)} ${how}`);
    for (const node of [anew, ...others]) await alter(node, 'disable');
    await expect.poll(async () => (await look()).sync?.connected, { timeout: 30_000 }).toEqual([]);
    await (await fleet.session(leader)).query('select pg_drop_replication_slot($1)', [`repctl_${anew}`]);
    const one = await client(leader);
    const answer = one
      .query(`insert into products (sku, name, price) values ('alone', 'x', 1)`)
      .then(() => 'acknowledged', String);
    await expect.poll(async () => (await look()).sync?.waiting).toBe(1);
    const planner: Planner = (snapshot) =>
      planRewire(snapshot, servers.config, { node: anew, recopy: false, acceptDataLoss: false });
    const plan = await makePlan(fleet, planner);
    expect(plan.notes.join()).toMatch(/a commit waits on .* these sessions are ended/);
    await runOperation(planner, { fleet, journal: noJournal });
    // Not acknowledged, and there all the same; from here on commits are confirmed again.
    expect(await answer).toMatch(/terminat/);
    const two = await client(leader);
    await two.query(`insert into products (sku, name, price) values ('together', 'x', 1)`);
    await two.end();
    for (const node of others) await alter(node, 'enable');
    await expect.poll(async () => (await look()).state, { timeout: 30_000 }).toBe('healthy');
    await expectEqual(fleet, leader, [anew, ...others]);
  });
});
