import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { Session } from '../../../src/postgres/session.js';
import { heal, isolate, nodeOf, proxyStatus, startProxy, stopProxy } from '../../../src/sandbox/sandbox.js';
import { type Servers, startServers } from '../../support/servers.js';

let servers: Servers;
let one: Session;
let two: Session;

const rowsOnTwo = async (): Promise<string> =>
  (await two.query<{ n: string }>('select count(*)::text as n from t'))[0]?.n ?? '';
const until = (rows: number): Promise<unknown> =>
  vi.waitUntil(async () => (await rowsOnTwo()) === String(rows), { timeout: 20_000, interval: 20 });
const senders = async (): Promise<number> => (await one.query('select pid from pg_stat_replication')).length;

beforeAll(async () => {
  servers = await startServers({ nodes: 3, proxy: true });
  [one, two] = [await servers.superuser('n1'), await servers.superuser('n2')];
  // Past the proxy, yet with no more rights than the everyday role has.
  for (const session of [one, two]) await session.simple('set role app; create table t (id int primary key)');
  await one.simple('create publication p for table t');
  const url = nodeOf(servers.sandbox, 'n1').replicationUrlFrom['n2'] ?? '';
  await two.simple(`create subscription s connection '${url}' publication p`);
  await one.simple('insert into t values (1)');
  await until(1);
  // The first copy has a connection of its own, which ends some time after the row is there.
  const link = async () =>
    (await proxyStatus(servers.sandbox)).find((route) => route.from === 'n2' && route.to === 'n1');
  await vi.waitUntil(async () => (await senders()) === 1 && (await link())?.connections === 1, {
    timeout: 20_000,
    interval: 20,
  });
});
afterAll(() => servers.down());

describe('the proxy', () => {
  test('has an entrance for each node and one for each ordered pair', async () => {
    const routes = await proxyStatus(servers.sandbox);
    expect(routes.filter((route) => route.from === 'clients').map((route) => route.to)).toEqual([
      'n1',
      'n2',
      'n3',
    ]);
    expect(routes.filter((route) => route.from !== 'clients')).toHaveLength(6);
    expect(new Set(routes.map((route) => route.listen)).size).toBe(9);
    const link = routes.find((route) => route.from === 'n2' && route.to === 'n1');
    expect(link).toMatchObject({ passage: 'open', connections: 1 });
  });

  test('a cut is silent, and healed in time it goes on over the same connection', async () => {
    const [before] = await one.query('select pid from pg_stat_replication');
    await isolate(servers.sandbox, 'n1');
    await one.simple('insert into t values (2)');
    // The clients' way stays open all the while.
    const client = await servers.fleet().session('n1');
    await client.query('select 1');
    expect(await senders()).toBe(1);
    expect(await rowsOnTwo()).toBe('1');
    await heal(servers.sandbox, 'n1');
    await until(2);
    expect((await one.query('select pid from pg_stat_replication'))[0]).toEqual(before);
  });

  test('a long cut ends the sender by its timeout; after healing a new one comes', async () => {
    await isolate(servers.sandbox, 'n2', { from: ['n1'] });
    await one.simple('insert into t values (3)');
    await expect.poll(senders, { timeout: 20_000, interval: 50 }).toBe(0);
    expect(await rowsOnTwo()).toBe('2');
    await heal(servers.sandbox);
    await until(3);
  });

  test('one link alone is cut, in both directions', async () => {
    const routes = await isolate(servers.sandbox, 'n1', { from: ['n3'] });
    const cut = routes
      .filter((route) => route.passage !== 'open')
      .map((route) => `${route.from}>${route.to}`);
    expect(cut.sort()).toEqual(['n1>n3', 'n3>n1']);
    await one.simple('insert into t values (4)');
    await until(4);
    await heal(servers.sandbox, 'n1', { from: ['n3'] });
  });

  test('--reset ends connections at once and refuses new ones', async () => {
    await isolate(servers.sandbox, 'n1', { reset: true });
    await expect.poll(senders, { timeout: 2000, interval: 10 }).toBe(0);
    await one.simple('insert into t values (5)');
    expect(await rowsOnTwo()).toBe('4');
    await heal(servers.sandbox, 'n1');
    await until(5);
  });

  test('clients can be cut alone, silently and by reset', async () => {
    const fleet = servers.fleet();
    const client = await fleet.session('n1');
    await isolate(servers.sandbox, 'n1', { clients: 'only' });
    let answered = false;
    const answer = client.query('select 1').then(() => (answered = true));
    await one.simple('insert into t values (6)');
    await until(6);
    expect(answered).toBe(false);
    const { openFleet } = await import('../../../src/cluster/fleet.js');
    const hasty = openFleet({ ...servers.config, connectTimeoutMs: 300 });
    await expect(hasty.session('n1')).rejects.toMatchObject({ code: 'node-unreachable' });
    await heal(servers.sandbox, 'n1');
    await answer;
    await isolate(servers.sandbox, 'n1', { clients: 'only', reset: true });
    await expect(client.query('select 1')).rejects.toMatchObject({ code: 'connection-lost' });
    await expect(hasty.session('n1')).rejects.toMatchObject({ code: 'node-unreachable' });
    await hasty.close();
    await heal(servers.sandbox, 'n1');
    await expect(servers.fleet().session('n1')).resolves.toBeDefined();
  });

  test('an unknown node and a wrong secret are refused', async () => {
    expect(() => isolate(servers.sandbox, 'n9')).toThrow(/no node n9/);
    const { sandbox } = servers;
    const proxy = { ...sandbox.proxy!, secret: 'guess' };
    await expect(heal({ ...sandbox, proxy })).rejects.toMatchObject({ code: 'proxy-unreachable' });
  });

  test('a dead proxy is said to be dead, and can be started again', async () => {
    await stopProxy(servers.sandbox);
    await expect(proxyStatus(servers.sandbox)).rejects.toMatchObject({ code: 'proxy-unreachable' });
    await startProxy(servers.sandbox);
    await one.simple('insert into t values (7)');
    await until(7);
  });
});
