/** The products table as the catalog describes it: ours, or one that was there before with other columns. */
import type { TableName } from '../cluster/model.js';
import type { ClusterConfig } from '../config/schema.js';
import { EXIT, RepctlError } from '../errors.js';
import { qualified } from '../postgres/quote.js';
import type { Session } from '../postgres/session.js';
import { tableMatcher } from '../replication/publications.js';
import { PRODUCTS } from './schema.js';

/** How values of a column are checked and shown. */
export type ColumnKind = 'text' | 'integer' | 'numeric' | 'boolean' | 'json' | 'timestamptz' | 'other';

export interface ProductColumn {
  readonly name: string;
  /** As format_type prints it: `numeric(12,2)`. */
  readonly type: string;
  /**
   * The type that a parameter is cast to: without its length, since an explicit cast to varchar(20) cuts in silence,
   * where assigning to the column refuses. Of a domain what it is made of, for the same reason.
   */
  readonly cast: string;
  readonly kind: ColumnKind;
  readonly notNull: boolean;
  /** The default as SQL, or null. */
  readonly default: string | null;
  /** Values come from the server: identity always or by default, or generated. */
  readonly managed: boolean;
  readonly collatable: boolean;
}

export interface ProductTable extends TableName {
  readonly columns: readonly ProductColumn[];
  /** What names a product: `sku` where there is one, else the single column of the primary key. */
  readonly key: ProductColumn;
}

interface CatalogRow {
  name: string;
  type: string;
  base: string;
  not_null: boolean;
  default: string | null;
  managed: boolean;
  collatable: boolean;
  primary_key: boolean;
  alone_unique: boolean;
}

const columnsSql = `
select a.attname as name, format_type(a.atttypid, a.atttypmod) as type,
  format_type(case t.typtype when 'd' then t.typbasetype else t.oid end, -1) as base,
  a.attnotnull or t.typnotnull as not_null,
  case when a.attgenerated = '' then pg_get_expr(d.adbin, d.adrelid) end as default,
  a.attidentity <> '' or a.attgenerated <> '' as managed,
  a.attcollation <> 0 as collatable,
  coalesce(bool_or(i.indisprimary), false) as primary_key,
  coalesce(bool_or(i.indisunique and i.indnkeyatts = 1 and i.indpred is null), false) as alone_unique
from pg_attribute a
join pg_type t on t.oid = a.atttypid
left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
left join pg_index i on i.indrelid = a.attrelid and a.attnum = any (i.indkey)
where a.attrelid = to_regclass($1) and a.attnum > 0 and not a.attisdropped
group by a.attnum, a.attname, a.atttypid, a.atttypmod, t.typtype, t.typbasetype, t.oid, a.attnotnull, t.typnotnull,
  a.attgenerated, a.attidentity, a.attcollation, d.adbin, d.adrelid
order by a.attnum`;

const KINDS: Readonly<Record<string, ColumnKind>> = {
  text: 'text',
  'character varying': 'text',
  // What format_type(…, -1) calls character(n); `character` alone would mean character(1).
  bpchar: 'text',
  smallint: 'integer',
  integer: 'integer',
  bigint: 'integer',
  numeric: 'numeric',
  boolean: 'boolean',
  json: 'json',
  jsonb: 'json',
  'timestamp with time zone': 'timestamptz',
};

/** The table called products that the configuration names, also by a pattern; else `public.products`. */
async function findProducts(session: Session, config: ClusterConfig): Promise<TableName> {
  for (const entry of config.tables) {
    const match = /^(?:"?([^".*?]+)"?\.)?"?products"?$/.exec(entry);
    if (match) return { schema: match[1] ?? 'public', name: 'products' };
  }
  const matchers = config.tables.map(tableMatcher);
  if (matchers.some((matches) => matches(PRODUCTS))) return PRODUCTS;
  const tables = await session.query<{ schema: string; name: string }>(
    `select n.nspname as schema, c.relname as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.relname = 'products' and c.relkind in ('r', 'p') order by n.nspname`,
  );
  return tables.find((table) => matchers.some((matches) => matches(table))) ?? PRODUCTS;
}

/** Throws RepctlError `table-missing` or `table-without-key` (exit 2). */
export async function describeProducts(session: Session, config: ClusterConfig): Promise<ProductTable> {
  const table = await findProducts(session, config);
  const rows = await session.query<CatalogRow>(columnsSql, [qualified(table)]);
  if (rows.length === 0) {
    throw new RepctlError('table-missing', `${session.node} has no table ${table.schema}.${table.name}.`, {
      exit: EXIT.usage,
      hint: 'repctl cluster create --with-products makes it.',
    });
  }
  const columns = rows.map((row): ProductColumn => ({
    name: row.name,
    type: row.type,
    cast: row.base,
    kind: KINDS[row.base] ?? 'other',
    notNull: row.not_null,
    default: row.default,
    managed: row.managed,
    collatable: row.collatable,
  }));
  const primary = rows.filter((row) => row.primary_key).map((row) => row.name);
  const sku = rows.find((row) => row.name === 'sku' && row.alone_unique)?.name;
  const key = columns.find(
    (column) => column.name === (sku ?? (primary.length === 1 ? primary[0] : undefined)),
  );
  if (key === undefined) {
    throw new RepctlError(
      'table-without-key',
      `${table.schema}.${table.name} has neither a unique column sku nor a primary key of one column.`,
      { hint: 'Add a unique constraint on sku.' },
    );
  }
  return { ...table, columns, key };
}

/** Throws RepctlError `unknown-column` (exit 2) with the known names. */
export function columnOf(table: ProductTable, name: string): ProductColumn {
  const found = table.columns.find((column) => column.name === name);
  if (found) return found;
  throw new RepctlError('unknown-column', `There is no column ${JSON.stringify(name)} in ${table.name}.`, {
    hint: `Columns: ${table.columns.map((column) => column.name).join(', ')}`,
  });
}

export const hasColumn = (table: ProductTable, name: string): boolean =>
  table.columns.some((column) => column.name === name);
