/**
 * The fence: a statement trigger on each published table and each of its partitions that raises SQLSTATE 25006,
 * enabled on every node but the leader.
 *
 * It is an ordinary trigger (`enable`, which means origin): with session_replication_role=replica, as the apply
 * worker and the initial copy have it, such a trigger does not fire; for clients and superusers it does. A
 * statement trigger of a partitioned table fires for statements that name that table only, so a partition that
 * is written to by its own name needs one of its own.
 */
import type { FenceState, TableName } from './model.js';
import { ident, literal, qualified } from '../postgres/quote.js';
import { FENCE_TRIGGER, SCHEMA } from './names.js';

/** The tables with all their partitions, each once, sorted by schema and name (by byte): locks are taken in this order. */
export const fencedTablesSql = (tables: readonly TableName[]): string => `
select n.nspname as schema, c.relname as name,
       coalesce((select case when t.tgenabled in ('D', 'R') then 'disabled' else 'enabled' end
                 from pg_trigger t where t.tgrelid = c.oid and t.tgname = ${literal(FENCE_TRIGGER)} and not t.tgisinternal), 'missing') as fence
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p') and c.oid in (
  select coalesce(t.relid, r.oid) from (values ${tables.map((table) => `(to_regclass(${literal(qualified(table))}))`).join(', ')}) as r(oid)
  left join lateral pg_partition_tree(r.oid) as t on true)
order by n.nspname collate "C", c.relname collate "C"`;

/** A row of {@link fencedTablesSql}. */
export interface FencedTable extends TableName {
  readonly fence: FenceState;
}

/** Creates the trigger, enabled. `or replace` would enable a disabled one: only for tables that lack it. */
export const createFenceSql = (table: TableName): string =>
  `create trigger ${ident(FENCE_TRIGGER)} before insert or update or delete or truncate on ${qualified(table)} ` +
  `for each statement execute function ${SCHEMA}.refuse()`;

export const dropFenceSql = (table: TableName): string =>
  `drop trigger if exists ${ident(FENCE_TRIGGER)} on ${qualified(table)}`;

/** SHARE ROW EXCLUSIVE: waits for writers in flight, lets none in, and readers pass. */
export const enableFenceSql = (table: TableName): string =>
  `alter table ${only(table)} enable trigger ${ident(FENCE_TRIGGER)}`;

export const disableFenceSql = (table: TableName): string =>
  `alter table ${only(table)} disable trigger ${ident(FENCE_TRIGGER)}`;

/** ONLY: on a partitioned table the statement would reach for its partitions, each of which is in the list itself. */
const only = (table: TableName): string => `only ${qualified(table)}`;

/** What must run so that every table's fence is as wanted, in one transaction; empty when it is so already. */
export function fenceSql(tables: readonly FencedTable[], wanted: 'enabled' | 'disabled'): readonly string[] {
  return tables.flatMap((table) => {
    if (table.fence === wanted) return [];
    const create = table.fence === 'missing' ? [createFenceSql(table)] : [];
    if (wanted === 'disabled') return [...create, disableFenceSql(table)];
    return create.length > 0 ? create : [enableFenceSql(table)];
  });
}
