/** Every check of doctor, provoked on real servers that are not a cluster yet. */
import { createServer, type Server } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type DoctorReport, examine } from '../../../src/cluster/doctor/examine.js';
import { openFleet } from '../../../src/cluster/fleet.js';
import type { ClusterConfig, NodeConfig } from '../../../src/config/schema.js';
import { superuserSession } from '../../../src/sandbox/sandbox.js';
import { type Servers, startServers } from '../../support/servers.js';

let servers: Servers;
let poor: Servers;

/** n1, n2 and n3 as they are, with changes by name. */
const configWith = (
  changes: Readonly<Record<string, Partial<NodeConfig>>> = {},
  tables = ['products'],
): ClusterConfig => ({
  ...servers.config,
  tables,
  nodes: servers.config.nodes.map((node) => ({ ...node, ...changes[node.name] })),
});
const examined = async (config: ClusterConfig = configWith()): Promise<DoctorReport> => {
  const fleet = openFleet({ ...config, connectTimeoutMs: 2000 });
  try {
    return await examine(fleet);
  } finally {
    await fleet.close();
  }
};
const found = (report: DoctorReport, code: string, node?: string) =>
  report.findings.filter((it) => it.code === code && (node === undefined || it.node === node));
const asSuperuser = async (name: string, ...statements: string[]): Promise<void> => {
  const session = await servers.superuser(name);
  for (const sql of statements) await session.simple(sql);
  await session.close();
};
const as = async (name: string, ...statements: string[]): Promise<void> => {
  const fleet = servers.fleet();
  const session = await fleet.session(name);
  for (const sql of statements) await session.simple(sql);
  await fleet.close();
};
const everywhere = async (sql: string): Promise<void> => {
  for (const name of ['n1', 'n2', 'n3']) await as(name, sql);
};
const withUser = (url: string, user: string, password: string): string => {
  const parsed = new URL(url);
  parsed.username = user;
  parsed.password = password;
  return parsed.href;
};
const urlOf = (name: string): string => servers.config.nodes.find((node) => node.name === name)?.url ?? '';

beforeAll(async () => {
  [servers, poor] = await Promise.all([
    startServers({ nodes: 3 }),
    startServers({
      nodes: 1,
      settings: {
        wal_level: 'replica',
        max_replication_slots: '1',
        max_wal_senders: '1',
        max_logical_replication_workers: '1',
      },
    }),
  ]);
});
afterAll(async () => {
  await Promise.all([servers.down(), poor.down()]);
});

describe('doctor', () => {
  it('finds bare servers fit, warns that there is no table, and leaves no trace', async () => {
    const report = await examined();
    expect(report.ok).toBe(true);
    expect(report.findings.filter((it) => it.severity !== 'info').map((it) => it.code)).toEqual([
      'no-tables',
    ]);
    const admin = await superuserSession(servers.sandbox.nodes[0]!);
    const traces = await admin.query(
      `select nspname::text as name from pg_namespace where nspname ~ 'doctor'
       union all select slot_name::text from pg_replication_slots
       union all select subname::text from pg_subscription union all select pubname::text from pg_publication`,
    );
    await admin.close();
    expect(traces).toEqual([]);
  });

  it('compares the configured tables', async () => {
    await everywhere('create table products (id bigint primary key, sku text)');
    expect((await examined()).findings.filter((it) => it.severity !== 'info')).toEqual([]);
    await as('n2', 'alter table products alter column id type integer, add column extra text');
    await as('n3', 'drop table products');
    const report = await examined();
    expect(report.ok).toBe(false);
    expect(found(report, 'schema-drift', 'n2')[0]?.message).toMatch(
      /id is integer, not bigint.*extra is here alone/,
    );
    expect(found(report, 'table-missing', 'n3')).toHaveLength(1);
    await as('n2', 'drop table products', 'create table products (id bigint primary key, sku text)');
    await as('n3', 'create table products (id bigint primary key, sku text)');
  });

  it('looks at replica identities', async () => {
    await everywhere(
      `create schema app; create table app.nokey (a int); create table app.nothing (a int primary key);
       alter table app.nothing replica identity nothing; create table app.whole (a int); alter table app.whole replica identity full;
       create table app.parts (a int) partition by list (a); create table app.parts_1 partition of app.parts for values in (1)`,
    );
    const report = await examined(configWith({}, ['app.*']));
    const names = found(report, 'no-replica-identity', 'n1').map((it) => it.message.split(' ')[0]);
    expect(names.toSorted()).toEqual(['app.nokey', 'app.nothing', 'app.parts_1']);
    expect(found(report, 'replica-identity-full', 'n1')).toHaveLength(1);
    await everywhere('drop schema app cascade');
  });

  it('names the grant for each privilege that is missing', async () => {
    await asSuperuser(
      'n1',
      `create role weak login password 'w'`,
      'revoke execute on function pg_show_replication_origin_status() from public',
    );
    const report = await examined(configWith({ n1: { url: withUser(urlOf('n1'), 'weak', 'w') } }));
    const fixes = found(report, 'privilege-missing', 'n1').map((it) => it.fix);
    expect(fixes).toEqual([
      expect.stringMatching(/^grant create on database .* to "weak"$/),
      expect.stringMatching(/owner to "weak"|grant create on database/),
      'alter role "weak" replication',
      'grant pg_create_subscription to "weak"',
    ]);
    expect(found(report, 'origin-status-denied', 'n1')).toHaveLength(1);
    expect(found(report, 'stats-hidden', 'n1')).toHaveLength(1);
    expect(found(report, 'privilege-missing', 'n2')).toEqual([]);
  });

  it('needs a password in the URL where the role is no superuser', async () => {
    // The servers ask for one, so the way here is a role that logs in elsewhere without: the text alone counts.
    const report = await examined(
      configWith({ n2: { replicationUrl: urlOf('n2').replace(/:[^:@/]*@/, '@') } }),
    );
    expect(found(report, 'password-missing', 'n2')).toHaveLength(1);
  });

  it('finds a node that another node cannot reach', async () => {
    const closed = urlOf('n2').replace(/:\d+\//, ':1/');
    const report = await examined(
      configWith({
        n2: { replicationUrl: { n1: closed } },
        n3: { replicationUrl: { n2: withUser(urlOf('n3'), new URL(urlOf('n3')).username, 'wrong') } },
      }),
    );
    expect(report.ok).toBe(false);
    expect(found(report, 'node-cannot-reach')).toHaveLength(2);
    expect(found(report, 'node-cannot-reach', 'n1')[0]?.message).toMatch(/from n2: .*refused/i);
    expect(found(report, 'node-cannot-reach', 'n2')[0]?.message).toMatch(/from n3: .*password/i);
    expect(JSON.stringify(report)).not.toContain(':wrong');
  });

  it('gives up on a way that swallows everything', async () => {
    const silent: Server = createServer(() => undefined);
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const { port } = silent.address() as { port: number };
    const report = await examined(
      configWith({ n3: { replicationUrl: { n1: urlOf('n3').replace(/:\d+\//, `:${String(port)}/`) } } }),
    );
    silent.close();
    expect(found(report, 'node-cannot-reach', 'n1')[0]?.message).toMatch(/no answer/);
  });

  it('finds what a poor server lacks, and a node that is away or refuses the login', async () => {
    const lonely = poor.config.nodes[0]?.url ?? '';
    const report = await examined(
      configWith({
        n1: { url: lonely },
        n2: { url: withUser(urlOf('n2'), new URL(urlOf('n2')).username, 'wrong') },
      }),
    );
    for (const code of ['wal-level', 'slots-short', 'senders-short', 'workers-short'])
      expect(found(report, code, 'n1'), code).toHaveLength(1);
    expect(found(report, 'node-unreachable', 'n2')[0]?.message).toMatch(/refused the login/);
    expect(found(report, 'node-cannot-reach', 'n3').length).toBeGreaterThan(0);
  });

  it('sees that an open transaction would block new slots', async () => {
    const other = await servers.superuser('n2');
    await other.simple('begin; select pg_current_xact_id()');
    const report = await examined();
    expect(found(report, 'slot-creation-blocked', 'n2')).toHaveLength(1);
    expect(report.ok).toBe(true);
    await other.simple('rollback');
  });

  it('finds what former clusters left', async () => {
    await as(
      'n2',
      `select pg_create_logical_replication_slot('repctl_n9', 'pgoutput')`,
      `create subscription repctl_n8_e1 connection 'host=nowhere password=x' publication p with (connect = false, slot_name = none)`,
    );
    const report = await examined();
    expect(found(report, 'slot-orphaned', 'n2')).toHaveLength(1);
    expect(found(report, 'subscription-orphaned', 'n2')).toHaveLength(1);
    await as('n2', `select pg_drop_replication_slot('repctl_n9')`, 'drop subscription repctl_n8_e1');
  });

  it('tells of nodes that share a server, and of a pooled host', async () => {
    await asSuperuser('n1', `create database other owner ${new URL(urlOf('n1')).username}`);
    const parsed = new URL(urlOf('n1'));
    parsed.pathname = '/other';
    const shared = await examined(configWith({ n2: { url: parsed.href } }));
    expect(found(shared, 'shared-system-identifier')[0]?.message).toMatch(/n1, n2/);
    const pooled = await examined(
      configWith({ n3: { url: 'postgres://app:x@ep-quiet-sea-pooler.invalid:5432/shop' } }),
    );
    expect(found(pooled, 'pooled-host', 'n3')).toHaveLength(1);
    expect(pooled.ok).toBe(false);
  });
});
