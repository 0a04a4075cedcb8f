/** What else is defined on a table of one node, beyond its columns and keys: what may break apply, or a promotion. */
import type { TableName } from '../cluster/model.js';
import { FENCE_TRIGGER, PUBLICATION } from '../cluster/names.js';
import { literal } from '../postgres/quote.js';
import type { Session } from '../postgres/session.js';
import { IS_SENT_SQL, publishedSql } from './published.js';

export interface TableDefinition {
  /** All of them by name, generated ones left out; sorted. */
  readonly columns: readonly string[];
  /** Enforced CHECK, foreign key and exclusion constraints. */
  readonly constraints: readonly ConstraintShape[];
  /** Indexes that are not unique, without their names; sorted. */
  readonly indexes: readonly string[];
  /** Names of indexes that were never finished; a unique one is enforced all the same. */
  readonly invalid: readonly string[];
  /** pg_class.relreplident: d, n, f, i; with the columns of the index when i. */
  readonly identity: string;
  /** Bound of a partition as the server prints it; null for other tables. */
  readonly bound: string | null;
  /** Neither the server's own nor repctl's fence. */
  readonly triggers: readonly TriggerShape[];
  /** Columns with values of an enum (or of an array or domain of it), and those values. */
  readonly labels: readonly { readonly column: string; readonly labels: readonly string[] }[];
  /** Row-level security is on. */
  readonly rowSecurity: boolean;
  /** The role that applies changes (16+: the table's owner) is subject to it: apply refuses the table. */
  readonly rowSecurityBlocksApply: boolean;
  /** What publication `repctl` sends of the table, generated columns left out; null where it is not in it. */
  readonly published: { readonly columns: readonly string[]; readonly filter: string | null } | null;
}

export interface ConstraintShape {
  readonly name: string;
  /** pg_constraint.contype: c, f or x. */
  readonly type: string;
  /** As pg_get_constraintdef prints it, without NOT VALID. */
  readonly definition: string;
  readonly validated: boolean;
}

export interface TriggerShape {
  readonly name: string;
  /** pg_trigger.tgenabled: O and D for clients' writes; A and R fire for replicated rows too. */
  readonly enabled: string;
  readonly definition: string;
  /** BEFORE … FOR EACH ROW: may change the row, or drop it. */
  readonly changesRows: boolean;
}

/**
 * $1 schema, $2 table, $3 publication. Foreign keys' own triggers are internal and fire for clients only
 * (session_replication_role is replica in an apply worker). NOT ENFORCED came with 18, like rows of type n.
 */
const definitionSql = `
select
  (select coalesce(json_agg(a.attname order by a.attname collate "C"), '[]') from pg_catalog.pg_attribute a
   where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = '') as columns,
  (select coalesce(json_agg(json_build_object('name', k.conname, 'type', k.contype,
      'definition', regexp_replace(pg_get_constraintdef(k.oid), ' NOT VALID$', ''), 'validated', k.convalidated)
      order by k.conname collate "C"), '[]')
   from pg_catalog.pg_constraint k
   where k.conrelid = c.oid and k.contype in ('c', 'f', 'x')
     and coalesce((to_jsonb(k) ->> 'conenforced')::bool, true)) as constraints,
  (select coalesce(json_agg(i.def order by i.def collate "C"), '[]')
   from (select regexp_replace(pg_get_indexdef(x.indexrelid), '^.* USING ', '') as def
         from pg_catalog.pg_index x
         where x.indrelid = c.oid and x.indisvalid and not x.indisunique and not x.indisexclusion) i) as indexes,
  (select coalesce(json_agg(r.relname order by r.relname collate "C"), '[]')
   from pg_catalog.pg_index x join pg_catalog.pg_class r on r.oid = x.indexrelid
   where x.indrelid = c.oid and not x.indisvalid) as invalid,
  c.relreplident::text || coalesce((select ' (' || string_agg(a.attname, ', ' order by a.attname collate "C") || ')'
     from pg_catalog.pg_index x join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum = any(x.indkey::int2[])
     where x.indrelid = c.oid and x.indisreplident and c.relreplident = 'i'), '') as identity,
  pg_get_expr(c.relpartbound, c.oid) as bound,
  (select coalesce(json_agg(json_build_object('name', g.tgname, 'enabled', g.tgenabled,
      'definition', pg_get_triggerdef(g.oid), 'changesRows', g.tgtype & 3 = 3) order by g.tgname collate "C"), '[]')
   from pg_catalog.pg_trigger g
   where g.tgrelid = c.oid and not g.tgisinternal and g.tgname <> ${literal(FENCE_TRIGGER)}) as triggers,
  (select coalesce(json_agg(json_build_object('column', e.attname, 'labels', e.labels) order by e.attname collate "C"), '[]')
   from (select a.attname, json_agg(l.enumlabel order by l.enumsortorder) as labels
         from pg_catalog.pg_attribute a join pg_catalog.pg_type y on y.oid = a.atttypid
         join pg_catalog.pg_enum l on l.enumtypid in (y.oid, y.typbasetype, y.typelem)
         where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped group by a.attname) e) as labels,
  c.relrowsecurity as "rowSecurity",
  c.relrowsecurity and c.relforcerowsecurity and current_setting('server_version_num')::int >= 160000
    and exists (select from pg_catalog.pg_roles o where o.oid = c.relowner and not o.rolsuper and not o.rolbypassrls)
    as "rowSecurityBlocksApply",
  (select json_build_object('columns', (select coalesce(json_agg(a.attname order by a.attname collate "C"), '[]') from pg_catalog.pg_attribute a
       where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = '' and ${IS_SENT_SQL}), 'filter', p.rowfilter)
   from (${publishedSql('$3')}) p) as published
from pg_catalog.pg_class c
where c.relnamespace = (select oid from pg_catalog.pg_namespace where nspname = $1)
  and c.relname = $2 and c.relkind in ('r', 'p')`;

/** The table as this session's node defines it; undefined when there is none of that name. Sessions pinned for digests. */
export async function findDefinition(
  session: Session,
  { schema, name }: TableName,
): Promise<TableDefinition | undefined> {
  const [row] = await session.query<TableDefinition>(definitionSql, [schema, name, PUBLICATION]);
  return row;
}
