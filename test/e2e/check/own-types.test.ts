/**
 * Types, keys and columns that other people made: what their casts and operators say is not what the check goes by.
 * Each difference is found, set right, and gone; equal values that print differently are no difference.
 */
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Fleet } from '../../../src/cluster/fleet.js';
import type { CheckResult } from '../../../src/consistency/result.js';
import { makeCluster } from '../../integration/consistency/cluster.js';
import { type Cli, makeCli, urlEnv } from '../../support/home-cli.js';
import { type Servers, startServers } from '../../support/servers.js';

const NAMES = ['n1', 'n2', 'n3'];

/** A cast that says less than there is, and types of extensions, whose operators are on no search_path of a check. */
const TYPES_SQL = `
  create extension citext schema public;
  create schema ext; grant usage on schema ext to public;
  create extension ltree schema ext;
  create type public.amount as (value numeric, currency text);
  create function public.amount_text(public.amount) returns text language sql immutable as 'select ($1).value::int::text';
  create cast (public.amount as text) with function public.amount_text(public.amount) as assignment`;

const TABLES_SQL = (place: number): string => `
  create table cast_value (id int primary key, a public.amount);
  create table cast_key (a public.amount primary key, v int);
  create domain public.paid as public.amount;
  create table cast_domain (id int primary key, a public.paid);
  create table blanks (id int primary key, c bpchar);
  create table floats (id int primary key, f ${place === 2 ? 'float8' : 'real'});
  create table by_citext (c public.citext primary key, v int);
  create table by_ltree (c ext.ltree primary key, v int);
  create table part_sent (id int primary key default (random() * 1e9)::int, code text unique not null, v int);
  alter table part_sent replica identity using index part_sent_code_key;
  create table filtered (c text primary key, k0 int, "repctl key 1" int, v int);
  alter table filtered replica identity full;
  create table named_o (id int primary key, o text, v int);
  create table composite_o (id int primary key, o public.amount, v int);
  create table computed (a int generated always as (1) stored);
  create table sent_whole (id int primary key, a int, g int generated always as (a * 2) stored);
  create table whole (id int, v int) partition by range (id);
  create table whole_1 partition of whole (primary key (id)) for values from (0) to (100)`;

const PUBLISHED = [
  'cast_value',
  'cast_key',
  'cast_domain',
  'blanks',
  'floats',
  'by_citext',
  'by_ltree',
  'part_sent (code, v)',
  'filtered where (k0 > 0)',
  'named_o',
  'composite_o',
  'sent_whole',
  'whole_1',
];

const FILL_SQL = `
  insert into cast_value values (1, (1.25, 'EUR')), (2, (2, 'USD'));
  insert into cast_key values ((1.25, 'EUR'), 1), ((1.49, 'EUR'), 2);
  insert into cast_domain values (1, (1.25, 'EUR'));
  insert into blanks values (1, 'a '), (2, 'b');
  insert into floats values (1, 2500000), (2, 1.1), (3, 'NaN'), (4, -0.0), (5, '1e-40'), (6, 'Infinity'), (7, null);
  insert into by_citext values ('Abc', 1), ('def', 2);
  insert into by_ltree values ('a.b', 1), ('a.c', 2);
  insert into part_sent values (1, 'one', 1), (2, 'two', 2);
  insert into filtered values ('in', 1, 1, 1), ('out', -1, 1, 1);
  insert into named_o values (1, 'leader', 1);
  insert into composite_o values (1, (1, 'EUR'), 1);
  insert into sent_whole values (1, 1);
  insert into whole values (1, 1)`;

let servers: Servers;
let fleet: Fleet;
let cli: Cli;
let env: Record<string, string>;
beforeAll(async () => {
  servers = await startServers({ nodes: 3, pg: ['18'] });
  fleet = servers.fleet();
  cli = makeCli();
  for (const name of NAMES) await admin(name, TYPES_SQL);
  await makeCluster(servers, fleet, { create: TABLES_SQL, published: PUBLISHED, fill: FILL_SQL });
  env = urlEnv(servers.config);
});
afterAll(async () => {
  await servers.down();
  cli.end();
});

async function admin(node: string, sql: string): Promise<void> {
  const session = await servers.superuser(node);
  await session.simple(sql);
  await session.close();
}

async function check(...args: string[]): Promise<{ code: number | null; result: CheckResult }> {
  const { code, stdout } = await cli.run(['check', ...args, '--json'], { env });
  return { code, result: JSON.parse(stdout) as CheckResult };
}

const tables = PUBLISHED.map((text) => text.split(' ')[0] ?? '');

test('equal as they are, in whatever width a number is', async () => {
  const { code, result } = await check(...tables);
  expect(code, JSON.stringify(result)).toBe(0);
});

describe('a difference on one replica is found at its key, set right, and gone', () => {
  test.each([
    { table: 'cast_value', sql: `update cast_value set a = (1.49, 'XXX') where id = 1` },
    { table: 'cast_key', sql: `update cast_key set v = 9 where (a).value = 1.49` },
    { table: 'cast_key', sql: `delete from cast_key where (a).value = 1.49` },
    { table: 'cast_domain', sql: `update cast_domain set a = (1.49, 'EUR')` },
    { table: 'blanks', sql: `update blanks set c = 'a' where id = 1` },
    { table: 'floats', sql: `update floats set f = 1.1000000238 where id = 2` },
    { table: 'by_citext', sql: `update by_citext set v = 9 where v = 1` },
    { table: 'by_citext', sql: `update by_citext set c = 'ABC' where v = 1` },
    { table: 'by_ltree', sql: `update by_ltree set v = 9 where v = 1` },
    { table: 'by_ltree', sql: `insert into by_ltree values ('x.y', 3); delete from by_ltree where v = 2` },
    { table: 'part_sent', sql: `update part_sent set v = 9 where code = 'two'` },
    { table: 'filtered', sql: `update filtered set v = 9` },
    { table: 'named_o', sql: `update named_o set v = 9` },
    { table: 'composite_o', sql: `update composite_o set o = (7, 'SECRET'), v = 5` },
  ])('$sql', async ({ table, sql }) => {
    await admin('n3', sql);
    const found = await check(table);
    expect(found.code, JSON.stringify(found.result)).toBe(5);
    expect(found.result.tables[0]?.nodes).toMatchObject([
      { node: 'n2', verdict: 'equal' },
      { node: 'n3', verdict: 'diverged', unverified: 0, problem: null },
    ]);
    const repaired = await cli.run(['repair', table, '--node', 'n3', '--yes', '--json'], { env });
    expect(repaired.code, repaired.stdout + repaired.stderr).toBe(0);
    const again = await check(table);
    expect(again.code, JSON.stringify(again.result)).toBe(0);
  });

  test('and what was overwritten is kept whole', () => {
    const files = readdirSync(cli.home, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && entry.name.endsWith('.jsonl'))
      .map((entry) => readFileSync(path.join(entry.parentPath, entry.name), 'utf8'));
    const lines = files.flatMap((file) => file.split('\n')).filter((line) => line.includes('SECRET'));
    expect(lines.map((line) => (JSON.parse(line) as { row: unknown }).row)).toEqual([
      { id: 1, o: { value: 7, currency: 'SECRET' }, v: 5 },
    ]);
  });
});

describe('what is defined', () => {
  test('a table of which no column is sent: unverified, and why; the others are compared', async () => {
    // Its initial copy would fail for ever.
    for (const name of NAMES) await admin(name, 'alter publication repctl add table computed');
    const { code, result } = await check('computed', 'blanks');
    expect(code, JSON.stringify(result)).toBe(4);
    expect(result.tables.find(({ name }) => name === 'computed')?.nodes).toMatchObject([
      ...NAMES.slice(1).map((node) => ({
        ...{ node, verdict: 'unverified', problem: expect.stringMatching(/no column/u) as string },
      })),
    ]);
    expect(result.tables.find(({ name }) => name === 'blanks')?.nodes).toMatchObject([
      { verdict: 'equal' },
      { verdict: 'equal' },
    ]);
    for (const name of NAMES) await admin(name, 'alter publication repctl drop table computed');
  });

  test('a generated column that is sent to one that is generated too: breaks apply, and is said before it does', async () => {
    await (
      await fleet.session('n1')
    ).simple('alter publication repctl set (publish_generated_columns = stored)');
    const { code, result } = await check('sent_whole', '--schema');
    expect(code).toBe(5);
    expect(result.schema).toMatchObject(
      ['n2', 'n3'].map((node) => ({ node, name: 'sent_whole', code: 'column-generated', severity: 'error' })),
    );
    await (
      await fleet.session('n1')
    ).simple('alter publication repctl set (publish_generated_columns = none)');
    expect((await check('sent_whole', '--schema')).code).toBe(0);
  });

  test('a partition that is none on a replica', async () => {
    await admin('n3', 'alter table whole detach partition whole_1');
    const { code, result } = await check('whole_1');
    expect(code).toBe(5);
    expect(result.schema).toMatchObject([
      { node: 'n3', code: 'partition-bound', message: expect.stringMatching(/no partition here/u) as string },
    ]);
  });
});
