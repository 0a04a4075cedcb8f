/**
 * Foreign keys act on the leader as they did on the former one: whoever deletes a row there, or gives it another key,
 * changes the rows that refer to it. What the stranded transaction did to them is in its own lines; rows that came to
 * refer to it since, or were changed since, are in none.
 */
import type { TableName } from '../../cluster/model.js';
import type { Session } from '../../postgres/session.js';
import type { RowChange, Values } from './model.js';
import { referringKeys } from './rows.js';

/** A foreign key that acts (cascade, set null, set default), as the leader has it. */
export interface ActingKey extends TableName {
  readonly columns: readonly string[];
  /** Primary key of the table that refers; empty without one. */
  readonly key: readonly string[];
  readonly referred_schema: string;
  readonly referred_name: string;
  readonly referred: readonly string[];
  readonly on_delete: boolean;
  readonly on_update: boolean;
}

const columnsOf = (relation: string, numbers: string): string =>
  `(select coalesce(array_agg(a.attname::text order by k.i), '{}') from unnest(${numbers}) with ordinality k(n, i)
      join pg_attribute a on a.attrelid = ${relation} and a.attnum = k.n)`;

const ACTING_SQL = `
select n.nspname as schema, c.relname as name, rn.nspname as referred_schema, r.relname as referred_name,
       ${columnsOf('f.conrelid', 'f.conkey')} as columns, ${columnsOf('f.confrelid', 'f.confkey')} as referred,
       ${columnsOf('f.conrelid', '(select i.indkey::int2[] from pg_index i where i.indrelid = f.conrelid and i.indisprimary)')} as key,
       f.confdeltype in ('c', 'n', 'd') as on_delete, f.confupdtype in ('c', 'n', 'd') as on_update
  from pg_constraint f
  join pg_class c on c.oid = f.conrelid join pg_namespace n on n.oid = c.relnamespace
  join pg_class r on r.oid = f.confrelid join pg_namespace rn on rn.oid = r.relnamespace
 where f.contype = 'f' and f.conparentid = 0
   and (f.confdeltype in ('c', 'n', 'd') or f.confupdtype in ('c', 'n', 'd'))`;

export const actingKeys = (leader: Session): Promise<ActingKey[]> => leader.query<ActingKey>(ACTING_SQL);

export interface Referred {
  readonly change: Pick<RowChange, 'schema' | 'table' | 'op' | 'oldKey'>;
  /** The leader's row that is to be deleted, or to get another key. */
  readonly row: Values;
}

/**
 * The table with a row that would be changed along with it, and of which `follows` is not true: of a row (by its
 * primary key) that refers by `values` of those columns. Undefined where there is none.
 */
export async function strayReferrer(
  leader: Session,
  acting: readonly ActingKey[],
  { change, row }: Referred,
  follows: (table: TableName, key: Values, values: Values) => Promise<boolean>,
): Promise<TableName | undefined> {
  const concerned = acting.filter(
    (one) =>
      one.referred_schema === change.schema &&
      one.referred_name === change.table &&
      (change.op === 'delete' ? one.on_delete : change.oldKey !== undefined && one.on_update),
  );
  for (const one of concerned) {
    const values = Object.fromEntries(
      one.columns.map((column, place) => [column, row[one.referred[place] ?? ''] ?? null]),
    );
    if (Object.values(values).includes(null)) continue;
    for (const key of await referringKeys(leader, one, one.key, values))
      if (one.key.length === 0 || !(await follows(one, key, values))) return one;
  }
  return undefined;
}
