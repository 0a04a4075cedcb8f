/**
 * The type zoo: values of all types and keys, on a leader and replicas of every major, with other OIDs of enums, another
 * order of columns and dropped columns on each. Equal rows are equal; each value that became its neighbour, or NULL, on a
 * replica is found at its key and column.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Fleet } from '../../../src/cluster/fleet.js';
import { observe } from '../../../src/cluster/observe.js';
import { check } from '../../../src/consistency/check.js';
import type { CheckResult, RowDifference } from '../../../src/consistency/result.js';
import type { Session } from '../../../src/postgres/session.js';
import { type Servers, startServers } from '../../support/servers.js';
import { makeCluster, until } from './cluster.js';
import { OF_EXTENSIONS, SPECIMENS, type Specimen, typesSql } from './specimens.js';

/** The keys there are: the table's columns, what row g has there, and under which condition it is found. */
const KEYS = {
  key_bigint: {
    columns: 'k bigint primary key',
    row: `case g when 1 then -9223372036854775808 when 2 then 9223372036854775807 else g end`,
  },
  key_int: { columns: 'k int primary key', row: `case g when 1 then -2147483648 else g end` },
  key_text: {
    columns: 'k text collate @ primary key',
    row: `(array['a', 'B', 'é', 'e\u0301', 'ß "quoted"', '', ' ', 'Z', 'z', 'aa'])[g]`,
  },
  key_uuid: { columns: 'k uuid primary key', row: `md5(g::text)::uuid` },
  key_time: {
    columns: 'k timestamptz primary key',
    row: `case g when 1 then 'infinity' when 2 then '4713-11-24 00:00:00+00 BC' else '2026-01-01'::timestamptz + g * interval '1 us' end`,
  },
  key_five: {
    columns: 'k int, b text collate @, c uuid, d date, e numeric, primary key (k, b, c, d, e)',
    row: `g % 2, 'b ' || g, md5(g::text)::uuid, '2026-01-01'::date + g, g / 8.0`,
  },
  key_none: { columns: 'k text', row: `case when g % 3 = 0 then null else g::text end` },
} as const;
const KEYED = Object.keys(KEYS).filter((name) => name !== 'key_none');
const ROWS = 10;

interface Zoo {
  readonly servers: Servers;
  readonly fleet: Fleet;
  readonly specimens: readonly Specimen[];
  readonly replicas: readonly string[];
}

const columnOf = (specimens: readonly Specimen[], type: string): string =>
  `c${String([...new Set(specimens.map((one) => one.type))].indexOf(type))}`;
const cast = (expression: string, type: string): string => `(${expression})::${type}`;

/** What every node has to offer: extensions, and collations by their names, the first one that there is. */
async function offers(servers: Servers): Promise<{ extensions: Set<string>; collation: string }> {
  const extensions = new Set(OF_EXTENSIONS.map((one) => one.extension));
  let icu = true;
  for (const { name } of servers.config.nodes) {
    const session = await servers.superuser(name);
    for (const extension of [...extensions])
      await session
        .simple(`create extension ${extension} schema public`)
        .catch(() => extensions.delete(extension));
    const [row] = await session.query<{ there: boolean }>(
      `select exists (select 1 from pg_collation where collname = 'de-x-icu') as there`,
    );
    icu &&= row?.there ?? false;
    await session.close();
  }
  for (const { extension } of OF_EXTENSIONS)
    if (!extensions.has(extension))
      console.log(`type zoo: without ${extension}, which is not on every server here`);
  if (!icu)
    console.log(
      'type zoo: text keys with collation "POSIX" instead of ICU, which is not on every server here',
    );
  return { extensions, collation: icu ? '"de-x-icu"' : '"POSIX"' };
}

/** What a check may not lean on: replicas print and read values otherwise than the leader. */
const ODD_SETTINGS = {
  DateStyle: 'SQL, DMY',
  IntervalStyle: 'iso_8601',
  TimeZone: 'Asia/Kathmandu',
  bytea_output: 'escape',
  extra_float_digits: '-5',
  xmlbinary: 'hex',
  xmloption: 'document',
  quote_all_identifiers: 'on',
  standard_conforming_strings: 'off',
  transform_null_equals: 'on',
  search_path: 'public, pg_catalog',
} as const;

/** Prints money as 1.234,56 €, and reads it so. Debian has it in `locales`; .ci/run makes it. */
const MONETARY = 'de_DE.UTF-8';

/** Only once all rows are there: what one lc_monetary prints another cannot read, so replication would end. */
async function countOtherwise({ servers, replicas }: Pick<Zoo, 'servers' | 'replicas'>): Promise<void> {
  for (const name of replicas) {
    const session = await servers.superuser(name);
    await session.simple(`alter database shop set lc_monetary = '${MONETARY}'`).catch(() => {
      console.log(`type zoo: money under the leader's lc_monetary, since ${name} has no ${MONETARY}`);
    });
    await session.close();
  }
}

async function startZoo(pg: readonly string[]): Promise<Zoo> {
  const servers = await startServers({ nodes: pg.length, pg });
  const fleet = servers.fleet();
  const { extensions, collation } = await offers(servers);
  for (const { name } of servers.config.nodes.slice(1)) {
    const session = await servers.superuser(name);
    for (const [setting, value] of Object.entries(ODD_SETTINGS)) {
      const list = setting === 'search_path' ? value : `'${value}'`;
      await session.simple(`alter database shop set ${setting} = ${list}`);
    }
    await session.close();
  }
  const specimens = [...SPECIMENS, ...OF_EXTENSIONS.filter((one) => extensions.has(one.extension))];
  const types = [...new Set(specimens.map((one) => one.type))];
  const insert = (remainder: number): string =>
    specimens
      .map(({ type, value }, index) => ({ type, value, id: index + 1 }))
      .filter(({ id }) => id % 2 === remainder)
      .map(
        ({ type, value, id }) =>
          `insert into zoo (id, ${columnOf(specimens, type)}) values (${String(id)}, ${cast(value, type)});`,
      )
      .join('\n');
  const keyRows = (from: number, to: number): string =>
    Object.entries(KEYS)
      .map(
        ([name, { row }]) =>
          `insert into ${name} select ${row}, 'note ' || g from generate_series(${String(from)}, ${String(to)}) g;`,
      )
      .join('\n');
  await makeCluster(servers, fleet, {
    create: (place) => {
      const columns = [
        'id int primary key',
        'twice int generated always as (id * 2) stored',
        ...types.map((type) => `${columnOf(specimens, type)} ${type}`),
      ];
      const ordered = place % 2 === 0 ? columns : columns.toReversed();
      const keys = Object.entries(KEYS).map(
        ([name, key]) =>
          `create table ${name} (${key.columns.replaceAll('@', place === 0 ? '"C"' : collation)}, note text);`,
      );
      return `${typesSql(place)}
        create table zoo (${place > 0 ? 'gone int, ' : ''}${ordered.join(', ')}${place > 0 ? ', gone_too text' : ''});
        ${place > 0 ? 'alter table zoo drop gone, drop gone_too;' : ''}
        ${keys.join('\n')}
        alter table key_none replica identity full;`;
    },
    published: ['zoo', ...Object.keys(KEYS)],
    fill: `${insert(1)}\n${keyRows(1, ROWS / 2)}\ninsert into key_none select null, null from generate_series(1, 3);`,
  });
  // The other half comes by the stream.
  await (await fleet.session('n1')).simple(`${insert(0)}\n${keyRows(ROWS / 2 + 1, ROWS)}`);
  const replicas = servers.config.nodes.slice(1).map(({ name }) => name);
  for (const name of replicas) {
    const session = await fleet.session(name);
    await until(async () => {
      const [row] = await session.query<{ n: number }>('select count(*)::int as n from zoo');
      return row?.n === specimens.length;
    });
  }
  await countOtherwise({ servers, replicas });
  return { servers, fleet, specimens, replicas };
}

const run = async ({ fleet }: Zoo): Promise<CheckResult> =>
  check(fleet, await observe(fleet), {
    tables: [],
    nodes: [],
    rows: 500,
    concurrency: 2,
    blockRows: 50,
    waitMs: 30_000,
  });

const samples = (result: CheckResult, table: string, node: string): readonly RowDifference[] =>
  result.tables.find((it) => it.name === table)?.nodes.find((it) => it.node === node)?.samples ?? [];

/** Runs `sql` on every replica, behind its subscription. */
async function onReplicas(
  { servers, replicas }: Zoo,
  body: (session: Session) => Promise<unknown>,
): Promise<void> {
  for (const name of replicas) {
    const session = await servers.superuser(name);
    // Specimens are written as the leader reads them.
    await session.simple(`set lc_monetary = 'C'`);
    await body(session);
    await session.close();
  }
}

/** Changes the column of every specimen on every replica, checks, and takes it back. */
async function changed(zoo: Zoo, to: (specimen: Specimen) => string): Promise<void> {
  const { specimens } = zoo;
  const columns = ['id', ...new Set(specimens.map(({ type }) => columnOf(specimens, type)))].join(', ');
  await onReplicas(zoo, async (session) => {
    await session.simple('create table kept as table zoo');
    for (const [index, specimen] of specimens.entries())
      await session.simple(
        `update zoo set ${columnOf(specimens, specimen.type)} = ${cast(to(specimen), specimen.type)} where id = ${String(index + 1)}`,
      );
  });
  const result = await run(zoo);
  for (const replica of zoo.replicas) {
    const found = samples(result, 'zoo', replica).map(
      ({ kind, proven, key, columns: differing }) =>
        [kind, proven, Number(key?.['id']), ...differing.map(({ name }) => name)] as const,
    );
    expect(
      found.toSorted((a, b) => a[2] - b[2]),
      replica,
    ).toEqual(specimens.map(({ type }, index) => ['differing', true, index + 1, columnOf(specimens, type)]));
  }
  await onReplicas(zoo, (session) =>
    session.simple(`truncate zoo; insert into zoo (${columns}) select ${columns} from kept; drop table kept`),
  );
}

describe.each([
  ['leader 18, replicas 17, 16 and 15', ['18', '17', '16', '15']],
  ['leader 15, replica 18', ['15', '18']],
])('%s', (_, pg) => {
  let zoo: Zoo;
  beforeAll(async () => {
    zoo = await startZoo(pg);
  }, 120_000);
  afterAll(() => zoo.servers.down());

  test('equal rows are equal', async () => {
    await until(async () => (await run(zoo)).tables.every((table) => table.rows !== '0'));
    const result = await run(zoo);
    expect(
      result.tables.flatMap((table) =>
        table.nodes.map(({ node, verdict, problem }) => [table.name, node, verdict, problem]),
      ),
    ).toEqual(
      [...Object.keys(KEYS).toSorted(), 'zoo'].flatMap((table) =>
        zoo.replicas.map((node) => [table, node, 'equal', null]),
      ),
    );
    expect(result.tables.find((table) => table.name === 'zoo')?.rows).toBe(String(zoo.specimens.length));
    expect(result.verdict).toBe('equal');
  });

  test('each value that became its neighbour is found', async () => {
    await changed(zoo, ({ neighbour }) => neighbour);
    expect((await run(zoo)).verdict).toBe('equal');
  });

  test('each value that became NULL is found', async () => {
    await changed(zoo, () => 'null');
    expect((await run(zoo)).verdict).toBe('equal');
  });

  test('under every key: a changed row, a missing one and one too many, at the right key', async () => {
    const leader = await zoo.fleet.session('n1');
    const keyOf = async (table: string, note: string): Promise<Record<string, string>> => {
      const names = table === 'key_five' ? ['k', 'b', 'c', 'd', 'e'] : ['k'];
      const [row] = await leader.query<Record<string, string>>(
        `select ${names.map((name) => `${name}::text`).join(', ')} from ${table} where note = $1`,
        [note],
      );
      return row ?? {};
    };
    const names = (table: string) => (table === 'key_five' ? 'k, b, c, d, e' : 'k');
    await onReplicas(zoo, async (session) => {
      for (const table of KEYED)
        await session.simple(
          `update ${table} set note = 'note' where note = 'note 1'; create table kept_${table} as select * from ${table} where note = 'note 7';
           delete from ${table} where note = 'note 7'`,
        );
      await session.simple(`insert into key_none (k, note) values ('', null)`);
    });
    const result = await run(zoo);
    await onReplicas(zoo, async (session) => {
      for (const table of KEYED)
        await session.simple(
          `update ${table} set note = 'note 1' where note = 'note';
           insert into ${table} (${names(table)}, note) select ${names(table)}, note from kept_${table}; drop table kept_${table}`,
        );
      await session.simple(`delete from key_none where k = ''`);
    });
    for (const replica of zoo.replicas) {
      for (const table of KEYED) {
        const found = samples(result, table, replica).map(({ kind, key }) => ({ kind, key }));
        expect(
          found.toSorted((a, b) => a.kind.localeCompare(b.kind)),
          `${table} on ${replica}`,
        ).toEqual([
          { kind: 'differing', key: await keyOf(table, 'note 1') },
          { kind: 'missing', key: await keyOf(table, 'note 7') },
        ]);
      }
      expect(samples(result, 'key_none', replica), replica).toMatchObject([
        { kind: 'extra', copies: { leader: '0', node: '1' } },
      ]);
    }
    expect((await run(zoo)).verdict).toBe('equal');
  });
});
