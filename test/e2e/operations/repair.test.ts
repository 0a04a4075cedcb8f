/** `repair` as it is typed: dry run, questions, refusals, --json, and killed while it holds the table. */
import { readFileSync, statSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { ChangeResult } from '../../../src/cli/change-command.js';
import type { Session } from '../../../src/postgres/session.js';
import { type Cli, makeCli } from '../../support/home-cli.js';
import { failing, writeConfig } from '../../support/operator.js';
import { type Servers, startServers } from '../../support/servers.js';
import { until } from '../../support/wait.js';

let servers: Servers;
let cli: Cli;
let admin: Session;
let leader: Session;

beforeAll(async () => {
  servers = await startServers({ nodes: 3 });
  cli = makeCli();
  const nodes = Object.fromEntries(servers.config.nodes.map(({ name, url }) => [name, { url }] as const));
  writeConfig(cli, { cluster: servers.config.cluster, nodes });
  const { code, stderr } = await cli.run(['cluster', 'create', '--with-products', '--yes']);
  expect(code, stderr).toBe(0);
  leader = await servers.superuser('n1');
  await leader.simple(
    `insert into products (sku, name, price) select 'P' || g, 'p', 1 from generate_series(1, 50) g`,
  );
  admin = await servers.superuser('n2');
  await until(
    () => admin.simple('select from products'),
    (rows) => rows.length === 50,
  );
  await admin.simple('set session_replication_role = replica');
});
afterAll(async () => {
  await servers.down();
  cli.end();
});

const MESS = `delete from products where id = 3; update products set name = 'by hand' where id = 4;
  insert into products (id, sku, name, price) overriding system value values (900, 'ONLY', 'here', 1)`;
const rows = () => admin.simple(`select id, name from products where id in (3, 4, 900) order by id`);
const MESSY = [
  { id: '4', name: 'by hand' },
  { id: '900', name: 'here' },
];

/** Makes tables on every node, as the role that owns the others, and publishes them. */
async function publish(sql: string, tables: readonly string[]): Promise<void> {
  for (const name of ['n1', 'n2', 'n3']) {
    const session = await servers.superuser(name);
    const [role] = await session.simple<{ owner: string }>(
      `select tableowner as owner from pg_tables where tablename = 'products'`,
    );
    await session.simple(`set role ${role?.owner ?? ''}; ${sql}`);
    await session.close();
  }
  expect(await cli.run(['publication', 'add', ...tables, '--yes'])).toMatchObject({ code: 0 });
}

it('nothing to do, dry run, refusals: nothing is changed', async () => {
  expect(await cli.json<ChangeResult>(['repair'])).toMatchObject({
    code: 0,
    data: { status: 'nothing-to-do' },
  });
  await admin.simple(MESS);
  const dry = await cli.run(['repair', '--dry-run', '--sql']);
  expect(dry).toMatchObject({ code: 5 });
  expect(dry.stdout).toContain(`n2> update only "public"."products" set "name" = 'p' where "id"::text = '4'`);
  expect(dry.stdout).toContain(`n2> delete from only "public"."products" where "id"::text = '900'`);
  expect(dry.stdout).toMatch(/n2> insert into "public"\."products" .*'P3'/u);
  const { code, data } = await cli.json<ChangeResult>(['repair', 'products', '--dry-run']);
  expect(code).toBe(5);
  expect(data).toMatchObject({
    operation: 'repair',
    status: 'planned',
    data: {
      stalled: [],
      differences: [
        {
          node: 'n2',
          schema: 'public',
          name: 'products',
          missing: 1,
          extra: 1,
          differing: 1,
          undecided: 0,
          problem: null,
        },
      ],
    },
    steps: [{ id: 'set-right:n2' }, { id: 'record:n1' }],
  });
  expect(await failing(cli, ['repair'], 6)).toMatchObject({ code: 'confirmation-needed' });
  expect(await failing(cli, ['repair', '--max-rows', '2', '--yes'], 6)).toMatchObject({
    code: 'too-many-rows',
  });
  expect(await failing(cli, ['repair', 'nowhere', '--yes'], 2)).toMatchObject({ code: 'unknown-table' });
  expect(await failing(cli, ['repair', '--node', 'n9', '--yes'], 2)).toMatchObject({ code: 'unknown-node' });
  expect(await failing(cli, ['repair', '--node', 'n1', '--yes'], 2)).toMatchObject({ code: 'usage' });
  await failing(cli, ['repair', '--only', 'some'], 2);
  expect(await rows()).toEqual(MESSY);
});

it('killed while the table is locked: nothing is held, nothing half done; the same command does it', async () => {
  const writer = await servers.superuser('n1');
  // Keeps repair out of the table until the leader has a writer that repair, once it is in, waits for.
  await admin.simple('begin; lock table products in share update exclusive mode');
  const child = cli.spawn(['repair', '--yes']);
  const ended = new Promise((resolve) => child.once('close', resolve));
  await expect
    .poll(() => admin.simple(`select from pg_locks where not granted and relation = 'products'::regclass`), {
      timeout: 30_000,
      interval: 5,
    })
    .toHaveLength(1);
  const writing = writer.simple(
    `with u as (update products set stock = stock where id = 9 returning 1) select pg_sleep(1) from u`,
  );
  await expect
    .poll(
      () =>
        leader.simple(
          `select from pg_locks where relation = 'products'::regclass and mode = 'RowExclusiveLock' and granted`,
        ),
      { interval: 5 },
    )
    .toHaveLength(1);
  await admin.simple('commit');
  const held = `select from pg_locks l join pg_stat_activity a using (pid) where a.application_name = 'repctl repair' and l.mode = 'ShareRowExclusiveLock' and l.granted`;
  await expect.poll(() => admin.simple(held), { timeout: 20_000, interval: 5 }).not.toHaveLength(0);
  child.kill('SIGKILL');
  await ended;
  await writing;
  await expect
    .poll(() => admin.simple(`select from pg_stat_activity where application_name like 'repctl repair%'`))
    .toHaveLength(0);
  expect(await admin.simple(`select from pg_class where relpersistence = 't'`)).toHaveLength(0);
  expect(await rows()).toEqual(MESSY);
  const again = await cli.json<ChangeResult>(['repair', '--yes', '--break-lock', '--reason', 'killed']);
  expect(again).toMatchObject({ code: 0, data: { status: 'done' } });
  expect(again.data.steps[0]).toMatchObject({
    id: 'set-right:n2',
    result: { inserted: 1, updated: 1, deleted: 1, open: 0, stillDiffering: 0, unverified: 0 },
  });
  expect(await cli.json(['check'])).toMatchObject({ code: 0 });
  const file = (again.data.steps[0] as unknown as { result: { overwritten: string } }).result.overwritten;
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect((await cli.run(['history', '--json'])).stdout).toContain('"repair"');
});

it('a leader whose fence is up: refused before a row is touched', async () => {
  await admin.simple('delete from products where id = 6');
  expect(await cli.run(['fence', 'n1', '--yes'])).toMatchObject({ code: 0 });
  expect(await failing(cli, ['repair', '--yes'], 6)).toMatchObject({ code: 'leader-fenced' });
  expect(await admin.simple('select from products where id = 6')).toHaveLength(0);
  expect(await cli.run(['unfence', 'n1', '--yes'])).toMatchObject({ code: 0 });
  expect(await cli.run(['repair', '--yes'])).toMatchObject({ code: 0 });
});

it('a role whose transactions are read only on that node unless they say otherwise', async () => {
  const [owned] = await admin.simple<{ owner: string }>(
    `select quote_ident(tableowner) as owner from pg_tables where tablename = 'products'`,
  );
  const role = owned?.owner ?? '';
  await admin.simple(`alter role ${role} set default_transaction_read_only = on`);
  await admin.simple('delete from products where id = 5');
  const { code, stderr } = await cli.run(['repair', '--yes']);
  expect(code, stderr).toBe(0);
  await admin.simple(`alter role ${role} reset default_transaction_read_only`);
  expect(await admin.simple('select id from products where id = 5')).toEqual([{ id: '5' }]);
});

it('what is overwritten is a line of JSON each, whatever is in it: line ends in json, rows of a megabyte', async () => {
  await publish('create table docs (id int primary key, j json, t text)', ['docs']);
  const json = `E'{"a":\\n 1,\\r\\n "b\\\\n": 2}'`;
  await leader.simple(
    `insert into docs select g, ${json}, repeat('x', case g % 40 when 0 then 1048576 else 3 end) from generate_series(1, 400) g`,
  );
  await until(
    () => admin.simple('select from docs'),
    (found) => found.length === 400,
  );
  await admin.simple(`update docs set t = t || 'y'`);
  const { code, data } = await cli.json<ChangeResult>(['repair', 'docs', '--yes']);
  expect({ code, status: data.status }).toEqual({ code: 0, status: 'done' });
  const file = (data.steps[0] as unknown as { result: { overwritten: string } }).result.overwritten;
  const kept = readFileSync(file, 'utf8').trimEnd().split('\n');
  const overwritten = kept.map((line) => JSON.parse(line) as { row: { id: number; j: unknown; t: string } });
  expect(overwritten.map(({ row: { id } }) => id).toSorted((a, b) => a - b)).toEqual(
    Array.from({ length: 400 }, (_, index) => index + 1),
  );
  for (const { row } of overwritten) {
    expect(row.j).toEqual({ a: 1, 'b\n': 2 });
    expect(row.t.length).toBe(row.id % 40 === 0 ? 1048577 : 4);
  }
});

it('more SQL than anybody reads is refused, and nothing is changed', async () => {
  await leader.simple(
    `insert into docs select g, '{}', repeat('x', 1048576) from generate_series(1001, 1065) g`,
  );
  const missing = 'select from docs where id > 1000';
  await until(
    () => admin.simple(missing),
    (found) => found.length === 65,
  );
  await admin.simple('delete from docs where id > 1000');
  const refused = await failing(cli, ['repair', 'docs', '--dry-run', '--sql'], 6);
  expect(refused).toMatchObject({ code: 'sql-too-long', hint: expect.stringContaining('--sql') as unknown });
  expect(await admin.simple(missing)).toHaveLength(0);
  expect(await cli.run(['repair', 'docs', '--yes'])).toMatchObject({ code: 0 });
  expect(await admin.simple(missing)).toHaveLength(65);
});

it('keys that are equal and print differently; rows of a partition to which a foreign key cascades', async () => {
  await publish(
    `create table alike (k numeric primary key, note text);
     create table owners (id int primary key, note text) partition by range (id);
     create table owners_1 partition of owners for values from (0) to (100);
     create table owned (id int primary key, owner int references owners on delete cascade)`,
    ['alike', 'owners', 'owned'],
  );
  await leader.simple(`insert into alike values (1.0, 'one'), (2.0, 'two'); insert into owners values (1, 'a'), (2, 'b');
    insert into owned values (10, 1), (20, 2)`);
  await until(
    () => admin.simple('select from owned'),
    (found) => found.length === 2,
  );
  await admin.simple(
    `update alike set k = 1.00 where k = 1; update owners set note = 'by hand' where id = 1`,
  );
  const { code, data } = await cli.json<ChangeResult>(['repair', 'alike', 'owners', 'owned', '--yes']);
  expect({ code, status: data.status }).toEqual({ code: 0, status: 'done' });
  expect(await admin.simple('select k::text, note from alike order by k')).toEqual([
    { k: '1.0', note: 'one' },
    { k: '2.0', note: 'two' },
  ]);
  expect(await admin.simple('select id from owned order by id')).toEqual([{ id: 10 }, { id: 20 }]);
  expect(await cli.json(['check'])).toMatchObject({ code: 0 });
});

it('a quoted name; a partition that is not published is not passed over in silence', async () => {
  await publish(
    `create table part (id int primary key) partition by range (id);
     create table part_1 partition of part for values from (0) to (100);
     create table part_2 partition of part for values from (100) to (200)`,
    ['part_1'],
  );
  expect(await cli.json<ChangeResult>(['repair', 'public."part_1"', '--yes'])).toMatchObject({
    ...{ code: 0, data: { status: 'nothing-to-do' } },
  });
  const { code, stdout } = await cli.run(['repair', 'part', '--dry-run']);
  expect(code, stdout).toBe(4);
  expect(stdout).toMatch(/public\.part_2 is not published: repctl publication add\s+.*public\.part_2/u);
});
