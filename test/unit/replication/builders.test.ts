import { describe, expect, it } from 'vitest';
import * as fence from '../../../src/cluster/fence.js';
import * as publications from '../../../src/replication/publications.js';
import * as slots from '../../../src/replication/slots.js';
import * as subscriptions from '../../../src/replication/subscriptions.js';
import { durablePosition } from '../../../src/replication/positions.js';

const products = { schema: 'public', name: 'products' };
const weird = { schema: 'My schema', name: 'a"b' };

describe('subscriptions', () => {
  const connection = subscriptions.conninfo(
    { host: 'db1', port: 5433, user: 'u', password: `p'a\\s s`, database: 'shop' },
    'n2',
  );
  const request = { node: 'n2', epoch: 3, connection: 'host=x', copyData: false, versionNum: 180_004 };

  it('connection strings', () => {
    expect(connection).toBe(
      String.raw`host='db1' port='5433' user='u' password='p\'a\\s s' dbname='shop' application_name='n2'`,
    );
  });
  it('create, 16 and later', () => {
    expect(subscriptions.createSubscriptionSql(request)).toBe(
      `create subscription "repctl_n2_e3" connection 'host=x' publication "repctl" with (create_slot = false, slot_name = 'repctl_n2', copy_data = false, two_phase = false, streaming = off, origin = any)`,
    );
  });
  it('create, 15: no origin', () => {
    expect(subscriptions.createSubscriptionSql({ ...request, copyData: true, versionNum: 150_018 })).toBe(
      `create subscription "repctl_n2_e3" connection 'host=x' publication "repctl" with (create_slot = false, slot_name = 'repctl_n2', copy_data = true, two_phase = false, streaming = off, synchronous_commit = local)`,
    );
  });
  it('swap', () => {
    expect(subscriptions.swapSubscriptionSql(['repctl_n2_e2'], request)).toEqual([
      'alter subscription "repctl_n2_e2" disable',
      'alter subscription "repctl_n2_e2" set (slot_name = none)',
      subscriptions.createSubscriptionSql(request),
    ]);
  });
  it('the rest', () => {
    expect(subscriptions.refreshSubscriptionSql('s', true)).toBe(
      'alter subscription "s" refresh publication with (copy_data = true)',
    );
    expect(subscriptions.skipTransactionSql('s', '0/1F')).toBe(`alter subscription "s" skip (lsn = '0/1F')`);
    expect(subscriptions.enableSubscriptionSql('s')).toBe('alter subscription "s" enable');
  });
});

describe('slots', () => {
  it('statements', () => {
    expect(slots.createSlotSql('repctl_n1')).toBe(
      `select pg_create_logical_replication_slot('repctl_n1', 'pgoutput')`,
    );
    expect(slots.advanceSlotSql('repctl_n1', '0/1')).toBe(
      `select end_lsn::text from pg_replication_slot_advance('repctl_n1', '0/1'::pg_lsn)`,
    );
    expect(slots.standbyBaseSql('n1', 2, '0/1')).toBe(
      `insert into repctl.standby (sibling, epoch, base_lsn) values ('n1', 2, '0/1'::pg_lsn) on conflict (sibling) do update set epoch = excluded.epoch, base_lsn = excluded.base_lsn`,
    );
  });
  it('durable is the lower', () => {
    expect(durablePosition('0/9', '0/10')).toBe('0/9');
    expect(durablePosition('0/9', null)).toBeNull();
  });
});

describe('publications', () => {
  it('statements', () => {
    expect(publications.createPublicationSql([products, weird])).toBe(
      `create publication "repctl" for table "public"."products", "My schema"."a""b" with (publish = 'insert, update, delete, truncate', publish_via_partition_root = false)`,
    );
    expect(publications.addToPublicationSql([weird])).toBe(
      'alter publication "repctl" add table "My schema"."a""b"',
    );
    expect(publications.dropFromPublicationSql([products], 'theirs')).toBe(
      'alter publication "theirs" drop table "public"."products"',
    );
  });

  const table = (schema: string, name: string, ...ancestors: string[]) => ({
    schema,
    name,
    kind: 'r' as const,
    ancestors: ancestors.map((ancestor) => ({ schema, name: ancestor })),
  });
  const catalog = [
    table('public', 'products'),
    table('public', 'log_1', 'log'),
    { ...table('public', 'log'), kind: 'p' as const },
    table('app', 'a.b'),
    table('app', 'x*y'),
    table('app', 'xzy'),
    table('My app', 'Weird "name"'),
  ];
  const names = (patterns: string[]) =>
    publications.resolveTables(patterns, catalog).tables.map(publications.tableKey);

  it.each([
    [['products'], ['public.products']],
    [['public.*'], ['public.log', 'public.products']],
    [['public.log_?'], ['public.log_1']],
    [['app.*'], ['app."a.b"', 'app."x*y"', 'app.xzy']],
    [['app."a.b"'], ['app."a.b"']],
    [['app."x*y"'], ['app."x*y"']],
    [['"My app"."Weird ""name"""'], ['"My app"."Weird ""name"""']],
    [['*.products', 'products'], ['public.products']],
  ])('%j', (patterns, expected) => {
    expect(names(patterns)).toEqual(expected);
  });
  it('says which match nothing', () => {
    expect(publications.resolveTables(['nope', 'products'], catalog).unmatched).toEqual(['nope']);
  });
  it.each(['', 'a.b.c', 'a.', '.b', '"open'])('refuses %j', (pattern) => {
    expect(() => names([pattern])).toThrow(/names no table/);
  });
});

describe('fence', () => {
  it('statements', () => {
    expect(fence.createFenceSql(products)).toBe(
      'create trigger "repctl_fence" before insert or update or delete or truncate on "public"."products" for each statement execute function repctl.refuse()',
    );
    expect(fence.enableFenceSql(weird)).toBe(
      'alter table only "My schema"."a""b" enable trigger "repctl_fence"',
    );
  });
  it('does only what is missing', () => {
    const tables = [
      { ...products, fence: 'enabled' as const },
      { schema: 'public', name: 'b', fence: 'disabled' as const },
      { schema: 'public', name: 'c', fence: 'missing' as const },
    ];
    expect(fence.fenceSql(tables, 'enabled')).toEqual([
      'alter table only "public"."b" enable trigger "repctl_fence"',
      fence.createFenceSql({ schema: 'public', name: 'c' }),
    ]);
    expect(fence.fenceSql(tables, 'disabled')).toEqual([
      'alter table only "public"."products" disable trigger "repctl_fence"',
      fence.createFenceSql({ schema: 'public', name: 'c' }),
      'alter table only "public"."c" disable trigger "repctl_fence"',
    ]);
  });
});
