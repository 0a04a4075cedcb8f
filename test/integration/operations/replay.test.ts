/**
 * Stranded changes whose tables are not simple: foreign keys that act, constraints that are checked at the commit, no
 * key, a key stored out of line; and a server that holds a database of somebody else too.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Fleet, openFleet } from '../../../src/cluster/fleet.js';
import { planRejoin } from '../../../src/operations/rejoin.js';
import { runOperation } from '../../../src/operations/run.js';
import { noJournal } from '../../../src/plan/journal.js';
import { openSession, type Session } from '../../../src/postgres/session.js';
import { createCluster } from '../../support/cluster.js';
import { expectEqual } from '../../support/equality.js';
import { type Servers, startServers } from '../../support/servers.js';
import { settled, strand } from '../../support/stranded.js';

const TABLES_SQL = `
  create table parent (id int primary key);
  create table child (id int primary key, parent int references parent on delete cascade, note text);
  create table orders (number int primary key, code text unique);
  create table order_lines (id int primary key, number int references orders deferrable initially deferred);
  create table log (at timestamptz, payload json);
  alter table log replica identity full;
  create table pages (url text primary key, title text);
  alter table pages alter column url set storage external`;

let servers: Servers;
let fleet: Fleet;
let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'repctl-replay-'));
  servers = await startServers({ nodes: 3 });
  servers = { ...servers, config: { ...servers.config, tables: ['public.*'] } };
  fleet = openFleet(servers.config);
  for (const { name } of servers.config.nodes) await (await fleet.session(name)).simple(TABLES_SQL);
  await createCluster(fleet);
});
afterAll(async () => {
  await fleet.close();
  await servers.down();
  await rm(directory, { recursive: true, force: true });
});

/** A slot that another cluster's database has on the same server. */
async function slotOfAnother(admin: Session): Promise<void> {
  await admin.simple('create database crm');
  const { host, port, user, password } = admin.client;
  const other = await openSession({
    node: 'crm',
    connection: { host, port, user: user ?? '', password: password ?? '', database: 'crm' },
    ...{ connectTimeoutMs: 10_000, statementTimeoutMs: 10_000 },
  });
  await other.simple(`select pg_create_logical_replication_slot('repctl_crm', 'pgoutput')`);
  await other.close();
}

it('replays what nothing speaks against, lists the rest, and touches nobody else', async () => {
  const first = await fleet.session('n1');
  await first.simple(`
    insert into parent values (1), (2); insert into child values (100, 1, 'a'), (200, 2, 'b');
    insert into pages values (repeat(md5('1'), 78), 'old')`);
  await settled(fleet);
  const { old, leader } = await strand(servers, fleet, async (there) => {
    await there.simple('delete from parent where id = 1');
    await there.simple('delete from parent where id = 2');
    await there.simple(
      `begin; insert into order_lines values (70, 7); insert into orders values (7, 'taken'); commit`,
    );
    await there.simple(
      `begin; insert into order_lines values (90, 9); insert into orders values (9, 'nine'); commit`,
    );
    await there.simple(`insert into log values ('2026-01-01', '{}'), ('2026-01-01', '{}')`);
    await there.simple(`update pages set title = 'new'`);
  });
  const now = await fleet.session(leader);
  await now.simple(`update child set note = 'theirs' where id = 100; insert into child values (101, 1, 'theirs');
    insert into orders values (8, 'taken')`);
  await slotOfAnother(await servers.superuser(old));

  const request = { node: old, directory, replay: true, fenceTimeoutMs: 5000, terminateBlockers: false };
  const steps = await runOperation((snapshot) => planRejoin(snapshot, servers.config, request), {
    ...{ fleet, journal: noJournal, stateDir: directory },
  });
  const resultOf = (kind: string) => steps.find(({ id }) => id.startsWith(`${kind}:`))?.result;
  expect(resultOf('rejoin')).toMatchObject({ method: 'reconcile' });
  expect(resultOf('replay-stranded')).toMatchObject({ applied: 5, conflicts: 6 });
  expect(resultOf('replay-stranded')?.['shown']).toMatchObject([
    { table: 'public.parent', code: 'referenced' },
    { table: 'public.child', code: 'row-changed' },
    { table: 'public.order_lines', code: 'refused' },
    { table: 'public.orders', code: 'refused' },
    { table: 'public.log', code: 'no-key' },
    { table: 'public.log', code: 'no-key' },
  ]);
  const rows = async (sql: string) => (await now.query<{ line: string }>(sql)).map(({ line }) => line);
  expect(await rows(`select concat_ws(' ', id, note) as line from child order by id`)).toEqual([
    '100 theirs',
    '101 theirs',
  ]);
  expect(await rows('select id::text as line from parent')).toEqual(['1']);
  expect(await rows(`select concat_ws(' ', number, code) as line from orders order by number`)).toEqual([
    '8 taken',
    '9 nine',
  ]);
  expect(await rows('select id::text as line from order_lines')).toEqual(['90']);
  expect(await rows('select title as line from pages')).toEqual(['new']);
  const slots = `select from pg_replication_slots where slot_name = 'repctl_crm'`;
  expect(await (await fleet.session(old)).query(slots)).toHaveLength(1);
  await settled(fleet);
  const tables = ['parent', 'child', 'orders', 'order_lines', 'log', 'pages'];
  const others = servers.config.nodes.map(({ name }) => name).filter((name) => name !== leader);
  await expectEqual(
    fleet,
    leader,
    others,
    tables.map((name) => ({ schema: 'public', name })),
  );
});
