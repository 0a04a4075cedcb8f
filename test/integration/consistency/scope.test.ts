/** What a check looks at: definitions of every kind, --where, --since, and rights. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Fleet } from '../../../src/cluster/fleet.js';
import { subscriptionName } from '../../../src/cluster/names.js';
import { observe } from '../../../src/cluster/observe.js';
import { type CheckRequest, check } from '../../../src/consistency/check.js';
import type { CheckResult } from '../../../src/consistency/result.js';
import type { Session } from '../../../src/postgres/session.js';
import { type Servers, startServers } from '../../support/servers.js';
import { makeCluster, until } from './cluster.js';

let servers: Servers;
let fleet: Fleet;
let leader: Session;
let replica: Session;
beforeAll(async () => {
  servers = await startServers({ nodes: 2, pg: ['18', '15'] });
  fleet = servers.fleet();
  await makeCluster(servers, fleet);
  leader = await servers.superuser('n1');
  replica = await servers.superuser('n2');
});
afterAll(() => servers.down());

const run = async (request: Partial<CheckRequest> = {}): Promise<CheckResult> =>
  check(fleet, await observe(fleet), {
    tables: [],
    nodes: [],
    rows: 20,
    concurrency: 2,
    blockRows: 500,
    waitMs: 5_000,
    ...request,
  });

const both = async (sql: string) => {
  await leader.simple(sql);
  await replica.simple(sql);
};

describe('definitions', () => {
  test.each<[string, 'n1' | 'n2', string, string, string[]]>([
    [
      'a check',
      'n2',
      'alter table public.by_int add constraint c check (n < 1000000)',
      'alter table public.by_int drop constraint c',
      ['error check-extra'],
    ],
    [
      'a check only on the leader',
      'n1',
      'alter table public.by_int add constraint c check (n < 1000000)',
      'alter table public.by_int drop constraint c',
      ['warning check-missing'],
    ],
    [
      'an exclusion',
      'n2',
      'alter table public.by_int add constraint x exclude using btree (n with =)',
      'alter table public.by_int drop constraint x',
      ['error exclusion-extra'],
    ],
    [
      'a foreign key',
      'n2',
      'alter table public.by_int add constraint f foreign key (id) references public.by_int (id)',
      'alter table public.by_int drop constraint f',
      ['warning foreign-key-extra'],
    ],
    ['an index', 'n2', 'create index i on public.by_int (note)', 'drop index public.i', ['info index-extra']],
    [
      'an index only on the leader',
      'n1',
      'create index i on public.by_int (note)',
      'drop index public.i',
      ['warning index-missing'],
    ],
    [
      'replica identity',
      'n2',
      'alter table public.by_int replica identity full',
      'alter table public.by_int replica identity default',
      ['warning replica-identity'],
    ],
    [
      'a trigger that fires in apply',
      'n2',
      `create function public.f() returns trigger language plpgsql as 'begin return new; end'; create trigger g before insert on public.by_int for each row execute function public.f(); alter table public.by_int enable always trigger g`,
      'drop function public.f() cascade',
      ['warning trigger-fires', 'warning trigger-extra'],
    ],
    [
      'row-level security',
      'n2',
      'alter table public.by_int enable row level security',
      'alter table public.by_int disable row level security',
      ['warning row-security'],
    ],
    [
      'a column list',
      'n2',
      'alter publication repctl set table public.by_int (id, n), public.by_text, public.by_uuid, public.by_three, public.no_key, repctl.epoch, repctl.event',
      'alter publication repctl set table public.by_text, public.by_uuid, public.by_three, public.no_key, public.by_int, repctl.epoch, repctl.event',
      ['warning publication-columns'],
    ],
    [
      'a row filter',
      'n2',
      'alter publication repctl set table public.by_int where (id > 0), public.by_text, public.by_uuid, public.by_three, public.no_key, repctl.epoch, repctl.event',
      'alter publication repctl set table public.by_text, public.by_uuid, public.by_three, public.no_key, public.by_int, repctl.epoch, repctl.event',
      ['warning publication-filter'],
    ],
  ])('%s', async (_, node, sql, back, expected) => {
    const session = node === 'n1' ? leader : replica;
    await session.simple(sql);
    try {
      const result = await run({ schemaOnly: true, tables: ['by_int'] });
      expect(result.schema.map(({ severity, code }) => `${severity} ${code}`)).toEqual(expected);
      expect(result).toMatchObject({
        verdict: expected.some((it) => it.startsWith('error')) ? 'diverged' : 'equal',
        tables: [],
        scope: { data: false },
      });
    } finally {
      await session.simple(back);
    }
    expect((await run({ schemaOnly: true })).schema).toEqual([]);
  });

  test('enum values: a missing one breaks apply, a new one does not', async () => {
    await both(
      `create type public.mood as enum ('sad', 'glad'); alter table public.by_text add mood public.mood`,
    );
    await replica.simple(`alter type public.mood add value 'mad'`);
    try {
      const codes = async () =>
        (await run({ schemaOnly: true })).schema.map(({ severity, code }) => `${severity} ${code}`);
      expect(await codes()).toEqual(['info enum-label-extra']);
      await leader.simple(`alter type public.mood add value 'bad'`);
      expect(await codes()).toEqual(['error enum-label-missing']);
    } finally {
      await both('alter table public.by_text drop mood; drop type public.mood');
    }
  });

  test('where row-level security is forced on the owner, apply refuses the table from 16 on', async () => {
    // Seen from the other side, for the sake of the versions: the leader (18) as a replica would be judged.
    await leader.simple(
      'alter table public.by_int enable row level security; alter table public.by_int force row level security',
    );
    const { findDefinition } = await import('../../../src/consistency/definition.js');
    const table = { schema: 'public', name: 'by_int' };
    try {
      expect(await findDefinition(leader, table)).toMatchObject({ rowSecurityBlocksApply: true });
      expect(await findDefinition(replica, table)).toMatchObject({ rowSecurityBlocksApply: false });
    } finally {
      await leader.simple(
        'alter table public.by_int disable row level security; alter table public.by_int no force row level security',
      );
    }
  });
});

describe('a condition on the key', () => {
  test('only rows that meet it are compared, whatever the kind of key', async () => {
    await replica.simple(
      `update public.by_int set n = -1 where id in (100, 4000); update public.by_text set note = 'x' where code in ('k100 "é', 'k4000 "é')`,
    );
    try {
      const result = await run({ tables: ['by_int'], where: 'id between 1 and 1000' });
      expect(result.tables[0]).toMatchObject({
        rows: '1000',
        nodes: [{ differing: 1, missing: 0, extra: 0 }],
      });
      const text = await run({ tables: ['by_text'], where: `code like 'k4%' or lower(code) = 'none'` });
      expect(text.tables[0]).toMatchObject({
        rows: '1111',
        nodes: [{ differing: 1, samples: [{ key: { code: 'k4000 "é' } }] }],
      });
    } finally {
      await replica.simple(
        `update public.by_int set n = id where id in (100, 4000); update public.by_text set note = 'note' where note = 'x'`,
      );
    }
    expect((await run()).verdict).toBe('equal');
  });

  test.each([
    ['id > 1; drop table by_int', ';'],
    ['id > 1) or (true', 'parenthesis|closing'],
    ['id > 1 -- rest', '--'],
    ['id > 1 /* rest', '/\\*'],
    [`id > $1`, '\\$'],
    ['id in (select 1)', 'select'],
    ['exists (table pg_authid)', 'table'],
    ['pg_catalog.pg_sleep(5) is null', 'qualified'],
    ['pg_sleep(5) is null', 'pg_sleep'],
    [`set_config('a.b', 'c', false) is null`, 'set_config'],
    [`id = 'x`, 'quote'],
    ['n > 1', 'column "n" does not exist, at character 1'],
    ['id >', 'syntax error'],
    ['id', 'must be type boolean'],
    ['count(*) > 1', 'aggregate'],
    ['no_function(id)', 'no_function'],
  ])('%s: refused', async (where, message) => {
    await expect(run({ tables: ['by_int'], where })).rejects.toMatchObject({
      code: 'bad-condition',
      message: expect.stringMatching(new RegExp(message)) as string,
    });
    expect(await leader.query('select count(*)::int as n from public.by_int')).toEqual([{ n: 5000 }]);
  });

  test('strings may hold anything', async () => {
    for (const where of [`code <> 'a;b -- ( '' "'`, `code <> E'\\';('`, `"code" > 'k' and (code) <> ''`])
      expect((await run({ tables: ['by_text'], where })).verdict).toBe('equal');
  });
});

describe('since a time', () => {
  test('rows that changed since, by the column; tables without it are left out, named ones refused', async () => {
    await both(
      'alter table public.by_int add updated_at timestamptz; alter table public.by_uuid add updated_at timestamp',
    );
    await leader.simple(
      `update public.by_int set updated_at = now() - interval '3 hours' where id <= 2000; update public.by_int set updated_at = now() where id > 2000`,
    );
    await leader.simple(`update public.by_uuid set updated_at = now() at time zone 'UTC'`);
    expect((await run({ tables: ['by_int', 'by_uuid'] })).verdict).toBe('equal');
    await replica.simple(`update public.by_int set n = -1 where id in (100, 4000)`);
    try {
      const since = { at: { agoMs: 3_600_000 }, column: 'updated_at' };
      const result = await run({ since });
      expect(result.tables.map(({ name, rows }) => [name, rows])).toEqual([
        ['by_int', '3000'],
        ['by_uuid', '5000'],
      ]);
      expect(result.tables[0]?.nodes[0]).toMatchObject({ differing: 1, samples: [{ key: { id: '4000' } }] });
      expect(result.skipped.map(({ name }) => name)).toEqual(['by_text', 'by_three', 'no_key']);
      // Nothing of them is known: that is not equal.
      await replica.simple(`update public.by_int set n = id where id = 4000`);
      expect((await run({ since })).verdict).toBe('unverified');
      expect((await run({ since, tables: ['by_int'] })).verdict).toBe('equal');
      await replica.simple(`update public.by_int set n = -1 where id = 4000`);
      await expect(run({ since, tables: ['by_text'] })).rejects.toMatchObject({ code: 'no-time-column' });
      // A row whose time itself differs is in on one side only, and judged all the same.
      await replica.simple(`update public.by_int set updated_at = now() - interval '2 days' where id = 4000`);
      const again = await run({ since, tables: ['by_int'] });
      expect(again.tables[0]?.nodes[0]).toMatchObject({ differing: 1, missing: 0 });
    } finally {
      await leader.simple('update public.by_int set n = id where id in (100, 4000)');
      await both('alter table public.by_int drop updated_at; alter table public.by_uuid drop updated_at');
    }
  });
});

describe('rights', () => {
  test('what may not be read is unverified and names the GRANT; the other tables are compared', async () => {
    // n1 is 18, where the everyday role is no superuser.
    const [row] = await (await fleet.session('n1')).query<{ role: string }>('select current_user as role');
    const [superuser] = await leader.query<{ role: string }>('select current_user as role');
    const role = row?.role ?? '';
    await leader.simple(`alter table public.by_int owner to "${superuser?.role ?? ''}"`);
    try {
      const result = await run();
      expect(result.verdict).toBe('unverified');
      expect(result.tables.find(({ name }) => name === 'by_int')?.nodes[0]).toMatchObject({
        verdict: 'unverified',
        problem: `${role} may not read it on n1: grant select on public.by_int to ${role};`,
      });
      const others = result.tables.filter(({ name }) => name !== 'by_int');
      expect(others.every(({ nodes }) => nodes[0]?.verdict === 'equal')).toBe(true);
    } finally {
      await leader.simple(`alter table public.by_int owner to "${role}"`);
    }
  });
});

describe('names', () => {
  /** On both nodes, as the role that owns the publication. */
  const publish = async (sql: string, tables: readonly string[], fill: string) => {
    for (const name of ['n1', 'n2']) {
      const session = await fleet.session(name);
      await session.simple(`${sql}; alter publication repctl add table ${tables.join(', ')}`);
    }
    await leader.simple(fill);
    await replica.simple(`alter subscription ${subscriptionName('n2', 1)} refresh publication`);
    await until(async () => (await run()).verdict === 'equal');
  };
  const namesOf = async (...tables: string[]) =>
    (await run({ tables })).tables.map(({ schema, name }) => [schema, name]);

  test('dots in names: two tables are two, and a quoted name says which', async () => {
    await publish(
      'create schema "a.b"; create schema a; create table "a.b".c (id int primary key); create table a."b.c" (id int primary key)',
      ['"a.b".c', 'a."b.c"'],
      'insert into "a.b".c values (1); insert into a."b.c" values (1)',
    );
    await replica.simple('insert into a."b.c" values (2)');
    try {
      expect(await namesOf('a."b.c"')).toEqual([['a', 'b.c']]);
      expect(await namesOf('"a.b".c')).toEqual([['a.b', 'c']]);
      expect(await namesOf('"a"."b.c"', '"a.b"."c"', 'public."by_int"', '"by_text"')).toEqual([
        ...[
          ['a', 'b.c'],
          ['a.b', 'c'],
        ],
        ...[
          ['public', 'by_int'],
          ['public', 'by_text'],
        ],
      ]);
      expect(await namesOf('b.c')).toEqual([['a', 'b.c']]);
      await expect(run({ tables: ['a.b.c'] })).rejects.toMatchObject({
        code: 'ambiguous-table',
        message: expect.stringContaining('a."b.c"') as string,
      });
      expect(await run({ tables: ['"a.b".c'] })).toMatchObject({ verdict: 'equal' });
      expect(await run({ tables: ['a."b.c"'] })).toMatchObject({ verdict: 'diverged' });
    } finally {
      await replica.simple('delete from a."b.c" where id = 2');
    }
  });

  test('a partitioned table of which one leaf is published: the other one is not passed over in silence', async () => {
    await publish(
      `create table public.part (id int primary key) partition by range (id);
       create table public.part_1 partition of public.part for values from (0) to (100);
       create table public."Part 2" partition of public.part for values from (100) to (200) partition by range (id);
       create table public.part_2_1 partition of public."Part 2" for values from (100) to (200)`,
      ['public.part_1'],
      'insert into public.part select g from generate_series(0, 199) g',
    );
    const finding = {
      ...{ code: 'table-not-published', severity: 'error', node: 'n1' },
      message: expect.stringContaining('public.part_2_1') as string,
      fix: 'repctl publication add public.part_2_1',
    };
    for (const schemaOnly of [false, true])
      expect(await run({ tables: ['part'], schemaOnly })).toMatchObject({
        ...{ verdict: 'unverified', publication: [finding] },
        tables: schemaOnly ? [] : [{ name: 'part_1', rows: '100', nodes: [{ verdict: 'equal' }] }],
      });
    expect(await run({ tables: ['part_1'] })).toMatchObject({ verdict: 'equal', publication: [] });
    await expect(run({ tables: ['public."Part 2"'] })).rejects.toMatchObject({
      code: 'table-not-published',
      hint: expect.stringContaining('repctl publication add public."Part 2"') as string,
    });
  });
});
