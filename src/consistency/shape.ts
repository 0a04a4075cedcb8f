/** What a table looks like on one node: its columns with their types, its key, its publication's filter. */
import type { TableName } from '../cluster/model.js';
import { RepctlError } from '../errors.js';
import { qualified } from '../postgres/quote.js';
import type { Session } from '../postgres/session.js';
import { IS_SENT_SQL, publishedSql } from './published.js';

export interface ColumnShape {
  readonly name: string;
  /** As format_type prints it: `numeric(12,2)`. */
  readonly type: string;
  /** pg_type.typname of the type below all domains; `schema.name` outside pg_catalog. */
  readonly base: string;
  readonly notNull: boolean;
  /** pg_attribute.attgenerated: '' or 's' (stored) or 'v' (virtual, 18+). */
  readonly generated: string;
  /** The default's expression as the server prints it; null without one. */
  readonly defaultExpression: string | null;
  /** pg_attribute.attidentity: '', 'a' or 'd'. */
  readonly identity: string;
  /** Quoted and qualified; null for types without one. */
  readonly collation: string | null;
  /**
   * SQL that prints it with its type's own output function, `%s` for the column, where a cast to text may say something
   * else: a type outside pg_catalog, whose owner may have made a cast, and bpchar without a length. Null for others.
   */
  readonly output: string | null;
  /** Equality by which indexes tell values apart: `=`, or with its schema, which is not on a check's search_path. */
  readonly equals: string;
  /** Sent by publication `repctl`; true where the table is in no such publication. */
  readonly published: boolean;
}

export interface TableShape extends TableName {
  /** pg_class.relkind: r or p. */
  readonly kind: string;
  readonly columns: readonly ColumnShape[];
  /** Columns of the primary key, else of the replica identity index, if they are published; empty without either. */
  readonly key: readonly string[];
  /** Those of both, published or not; `[[]]` without either. */
  readonly keys: readonly (readonly string[])[];
  /** Definitions of unique indexes without the index's name, sorted. */
  readonly uniques: readonly string[];
  /** Row filter of the publication, an SQL expression; null without one. */
  readonly filter: string | null;
  /** pg_class.reltuples; where the table was never analysed, a guess by its size. */
  readonly estimatedRows: number;
  /** pg_table_size: the rows' own pages and TOAST, without indexes. */
  readonly bytes: number;
}

/** $1 schema, $2 table, $3 publication. */
const shapeSql = `
with it as (
  select c.* from pg_catalog.pg_class c
  where c.relnamespace = (select oid from pg_catalog.pg_namespace where nspname = $1)
    and c.relname = $2 and c.relkind in ('r', 'p')),
published as (select p.* from it c cross join lateral (${publishedSql('$3')}) p),
keys as (
  select i.indisprimary as main, json_agg(a.attname order by k.place) as columns,
         bool_and(p.attrs is null or a.attnum = any(p.attrs)) as sent
  from it c left join published p on true
  join pg_catalog.pg_index i on i.indrelid = c.oid and i.indisvalid and (i.indisprimary or i.indisreplident)
  cross join lateral unnest(i.indkey::int2[]) with ordinality k(attnum, place)
  join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum = k.attnum
  where k.place <= i.indnkeyatts
  group by i.indexrelid, i.indisprimary)
select c.oid, c.relkind::text as kind, 
  case when c.reltuples >= 0 and c.relpages > 0 then c.reltuples else pg_relation_size(c.oid) / 100 end::float8 as rows,
  pg_table_size(c.oid)::float8 as bytes, p.rowfilter as filter,
  (select coalesce(json_agg(json_build_object(
      'name', a.attname, 'type', format_type(a.atttypid, a.atttypmod),
      'base', case when b.typnamespace = 'pg_catalog'::regnamespace then b.typname::text
                   else b.typnamespace::regnamespace::text || '.' || b.typname end,
      'output', case when b.typnamespace <> 'pg_catalog'::regnamespace
                       or a.atttypid = 'pg_catalog.bpchar'::regtype and a.atttypmod = -1
                     then format('textin(%s(%s))', b.typoutput::regproc,
                                 case when b.oid = a.atttypid then '%s' else format('(%%s)::%s', format_type(b.oid, null)) end) end,
      'equals', case when b.typnamespace = 'pg_catalog'::regnamespace then '=' else coalesce((select format('operator(%I.%s)', n.nspname, o.oprname)
                    from pg_catalog.pg_opclass oc
                    join pg_catalog.pg_amop m on m.amopfamily = oc.opcfamily and m.amopstrategy = 3
                         and m.amoplefttype = oc.opcintype and m.amoprighttype = oc.opcintype
                    join pg_catalog.pg_operator o on o.oid = m.amopopr join pg_catalog.pg_namespace n on n.oid = o.oprnamespace
                    where oc.opcmethod = (select oid from pg_catalog.pg_am where amname = 'btree') and oc.opcdefault
                      and oc.opcintype = b.oid and n.nspname <> 'pg_catalog'), '=') end,
      'notNull', a.attnotnull, 'generated', a.attgenerated, 'identity', a.attidentity,
      'defaultExpression', pg_get_expr(d.adbin, d.adrelid),
      'collation', (select collnamespace::regnamespace::text || '.' || quote_ident(collname)
                    from pg_catalog.pg_collation where oid = a.attcollation),
      'published', ${IS_SENT_SQL}
    ) order by a.attnum), '[]')
   from pg_catalog.pg_attribute a
   left join pg_catalog.pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
   cross join lateral (
     with recursive t(oid, typtype, typbasetype, typname, typnamespace, typoutput) as (
       select oid, typtype, typbasetype, typname, typnamespace, typoutput from pg_catalog.pg_type where oid = a.atttypid
       union all
       select n.oid, n.typtype, n.typbasetype, n.typname, n.typnamespace, n.typoutput
       from t join pg_catalog.pg_type n on t.typtype = 'd' and n.oid = t.typbasetype)
     select * from t where typtype <> 'd') b
   where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) as columns,
  coalesce((select k.columns from keys k where k.sent order by k.main desc limit 1), '[]') as key,
  coalesce((select json_agg(k.columns order by k.main desc) from keys k), '[[]]') as keys,
  coalesce((select json_agg(u.def order by u.def) from (
     select regexp_replace(pg_get_indexdef(i.indexrelid), '^.* USING ', '') as def
     from pg_catalog.pg_index i where i.indrelid = c.oid and i.indisunique and i.indisvalid) u), '[]') as uniques
from it c left join published p on true`;

interface ShapeRow {
  kind: string;
  rows: number;
  bytes: number;
  filter: string | null;
  columns: ColumnShape[];
  key: string[];
  keys: string[][];
  uniques: string[];
}

/** The table as this session's node has it; undefined when there is none of that name. */
export async function findShape(
  session: Session,
  table: TableName,
  publication = 'repctl',
): Promise<TableShape | undefined> {
  const [row] = await session.query<ShapeRow>(shapeSql, [table.schema, table.name, publication]);
  if (!row) return undefined;
  const { schema, name } = table;
  const { kind, columns, key, keys, uniques, filter, bytes } = row;
  return { schema, name, kind, columns, key, keys, uniques, filter, estimatedRows: row.rows, bytes };
}

/** As {@link findShape}; throws `table-missing` (exit 2). */
export async function readShape(session: Session, table: TableName): Promise<TableShape> {
  const shape = await findShape(session, table);
  if (shape) return shape;
  throw new RepctlError('table-missing', `${session.node} has no table ${qualified(table)}.`, {
    details: { node: session.node, schema: table.schema, table: table.name },
  });
}
