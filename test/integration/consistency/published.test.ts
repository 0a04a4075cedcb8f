/** How a publication sends a table, read from the catalogs: what the server's own view says, which takes locks. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findDefinition } from '../../../src/consistency/definition.js';
import { findShape } from '../../../src/consistency/shape.js';
import type { Session } from '../../../src/postgres/session.js';
import { type Servers, startServers } from '../../support/servers.js';

const MAJORS = ['15', '16', '17', '18'];
const TABLES = ['plain', 'tree', 'tree_low', 'tree_high', 'tree_high_0', 'lone', 'other.there', 'unlisted'];

const TABLES_SQL = `
  create schema other;
  create table plain (id int primary key, a int, b text, gone int, twice int generated always as (a * 2) stored);
  alter table plain drop column gone;
  create table tree (id int primary key, n int) partition by range (id);
  create table tree_low partition of tree for values from (minvalue) to (100);
  create table tree_high partition of tree for values from (100) to (maxvalue) partition by hash (id);
  create table tree_high_0 partition of tree_high for values with (modulus 1, remainder 0);
  create table lone (id int primary key, n int);
  create table other.there (id int primary key, n int);
  create table unlisted (id int)`;

const PUBLICATIONS: Record<string, string> = {
  whole: 'for table plain, tree, lone',
  narrowed: 'for table plain (id, b) where (id > 7 and b <> $$it$$), lone where (n is not null)',
  by_root: 'for table tree, lone with (publish_via_partition_root)',
  filtered_root: 'for table tree (id) where (id < 500) with (publish_via_partition_root)',
  a_branch: 'for table tree_high, plain',
  a_leaf: 'for table tree_low where (id > 3)',
  root_and_leaf: 'for table tree, tree_low with (publish_via_partition_root)',
  a_schema: 'for tables in schema other',
  a_schema_more: 'for tables in schema other, table plain where (a > 1)',
  everything: 'for all tables',
  everything_by_root: 'for all tables with (publish_via_partition_root)',
};
/** From 18 on. */
const GENERATED = {
  stored: 'for table plain, lone with (publish_generated_columns = stored)',
  listed: 'for table plain (id, twice)',
};

interface Listed {
  readonly columns: readonly string[];
  readonly filter: string | null;
}

/** The view's columns: on 15 it counts generated ones in where there is no list, and never sends them. */
async function listed(session: Session, publication: string, table: string): Promise<Listed | undefined> {
  const [schema, name] = table.includes('.') ? table.split('.') : ['public', table];
  const [row] = await session.query<Listed>(
    `select array(select a.attname::text from pg_attribute a
             where a.attrelid = format('%I.%I', p.schemaname, p.tablename)::regclass and not a.attisdropped and a.attnum > 0
               and (p.attnames is null or a.attname = any (p.attnames))
               and (a.attgenerated = '' or current_setting('server_version_num')::int >= 180000)
             order by a.attname collate "C") as columns, p.rowfilter as filter
     from pg_publication_tables p where p.pubname = $1 and p.schemaname = $2 and p.tablename = $3`,
    [publication, schema, name],
  );
  return row;
}

describe.each(MAJORS)('PostgreSQL %s', (major) => {
  let servers: Servers;
  let session: Session;
  const publications = Object.entries({ ...PUBLICATIONS, ...(Number(major) >= 18 ? GENERATED : {}) });
  beforeAll(async () => {
    servers = await startServers({ nodes: 1, pg: [major] });
    session = await servers.superuser('n1');
    await session.simple(TABLES_SQL);
    for (const [name, what] of publications) await session.simple(`create publication ${name} ${what}`);
  });
  afterAll(() => servers.down());

  test('every publication, every table: as pg_publication_tables says', async () => {
    let sent = 0;
    for (const [publication] of publications)
      for (const table of TABLES) {
        const [schema = '', name = ''] = table.includes('.') ? table.split('.') : ['public', table];
        const expected = await listed(session, publication, table);
        const about = `${table} in ${publication}`;
        const shape = await findShape(session, { schema, name }, publication);
        expect(shape?.filter ?? null, about).toBe(expected?.filter ?? null);
        if (expected === undefined) continue;
        sent += 1;
        const columns = shape?.columns.flatMap((column) => (column.published ? [column.name] : []));
        expect(columns?.sort(), about).toEqual(expected.columns);
      }
    expect(sent).toBeGreaterThan(20);
  });

  test('what is not in it has no definition there; a lock on another table holds nothing up', async () => {
    const held = await servers.superuser('n1');
    await held.simple(`begin; lock table lone in access exclusive mode`);
    await session.simple(`set lock_timeout = '100ms'`);
    const [shape, inside] = [
      await findShape(session, { schema: 'public', name: 'plain' }),
      await findDefinition(session, { schema: 'public', name: 'plain' }),
    ];
    expect(shape?.columns).toHaveLength(4);
    expect(inside?.published).toBeNull();
    await held.close();
  });
});
