import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  killNode,
  nodeOf,
  nodeState,
  pauseNode,
  resumeNode,
  startNode,
  stopNode,
} from '../../../src/sandbox/sandbox.js';
import { type Servers, startServers } from '../../support/servers.js';

let servers: Servers;
beforeAll(async () => {
  servers = await startServers({ nodes: 2 });
});
afterAll(() => servers.down());

describe('bare servers', () => {
  test('the everyday role is no superuser and may do what repctl needs', async () => {
    const session = await servers.fleet().session('n1');
    const [role] = await session.query(
      `select rolsuper, rolreplication, rolcreaterole,
              pg_has_role('pg_create_subscription', 'member') as subscriptions,
              pg_has_role('pg_monitor', 'member') as monitor,
              pg_get_userbyid(datdba) as owner
       from pg_roles, pg_database where rolname = current_user and datname = current_database()`,
    );
    expect(role).toEqual({
      rolsuper: false,
      rolreplication: true,
      rolcreaterole: false,
      subscriptions: true,
      monitor: true,
      owner: 'app',
    });
    await expect(session.query('select * from pg_show_replication_origin_status()')).resolves.toEqual([]);
    await expect(session.query('select pg_read_file($1)', ['/etc/passwd'])).rejects.toMatchObject({
      code: 'privilege-missing',
    });
  });

  test('a wrong password is refused', async () => {
    const { config } = servers;
    const { openFleet } = await import('../../../src/cluster/fleet.js');
    const wrong = openFleet({
      ...config,
      nodes: config.nodes.map((node) => ({ ...node, url: node.url.replace(/:[^:@]+@/, ':wrong@') })),
    });
    await expect(wrong.session('n1')).rejects.toMatchObject({ code: 'auth-failed' });
  });

  test('each has a system identifier of its own', async () => {
    const ids = await Promise.all(
      servers.config.nodes.map(async ({ name }) => {
        const session = await servers.superuser(name);
        const [row] = await session.query<{ id: string }>(
          'select system_identifier::text as id from pg_control_system()',
        );
        return row?.id;
      }),
    );
    expect(new Set(ids).size).toBe(2);
  });

  test('a row replicates from n1 to n2 without superuser', async () => {
    const fleet = servers.fleet();
    const [one, two] = [await fleet.session('n1'), await fleet.session('n2')];
    for (const session of [one, two]) await session.simple('create table t (id int primary key)');
    await one.simple('create publication p for table t');
    const url = nodeOf(servers.sandbox, 'n1').replicationUrlFrom['n2'] ?? '';
    await two.simple(`create subscription s connection '${url}' publication p`);
    await one.simple('insert into t values (1)');
    await expect
      .poll(async () => two.query('select id from t'), { timeout: 10_000, interval: 20 })
      .toEqual([{ id: 1 }]);
    await two.simple('drop subscription s');
  });

  test('kill, start, stop, pause and resume', async () => {
    const { sandbox } = servers;
    await expect(killNode(sandbox, 'n2')).resolves.toBeGreaterThan(3);
    await expect(nodeState(sandbox, 'n2')).resolves.toBe('crashed');
    await expect(servers.fleet().session('n2')).rejects.toMatchObject({ code: 'node-unreachable' });
    await startNode(sandbox, 'n2');
    await expect(nodeState(sandbox, 'n2')).resolves.toBe('running');
    await stopNode(sandbox, 'n2');
    await expect(nodeState(sandbox, 'n2')).resolves.toBe('stopped');
    await startNode(sandbox, 'n2');

    const session = await servers.fleet().session('n2');
    await expect(pauseNode(sandbox, 'n2')).resolves.toBeGreaterThan(3);
    await expect(nodeState(sandbox, 'n2')).resolves.toBe('paused');
    let answered = false;
    const answer = session.query('select 1').then(() => (answered = true));
    await expect(servers.fleet().session('n1')).resolves.toBeDefined();
    expect(answered).toBe(false);
    await resumeNode(sandbox, 'n2');
    await answer;
    await expect(nodeState(sandbox, 'n2')).resolves.toBe('running');
  });
});
