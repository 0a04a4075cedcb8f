/** Which tables were meant. */
import type { Finding, TableName } from '../cluster/model.js';
import { RepctlError } from '../errors.js';
import { ident } from '../postgres/quote.js';
import type { Session } from '../postgres/session.js';
import { tableKey } from '../replication/publications.js';

/** As it is, or quoted as SQL has it. */
const spellings = (name: string): string[] => [name, ident(name)];

const isNamedInFull = ({ schema, name }: TableName, text: string): boolean =>
  spellings(schema).some((first) => spellings(name).some((second) => `${first}.${second}` === text));

/** Whether the table is meant by `products`, `public.products`, `public."products"`. */
export const isNamed = (table: TableName, text: string): boolean =>
  spellings(table.name).includes(text) || isNamedInFull(table, text);

const quotedSql = (name: string): string => `'"' || replace(${name}, '"', '""') || '"'`;

/** What isNamed() accepts, of `pg_class c join pg_namespace n`. */
const NAMES_SQL = `
  array(select head || tail from unnest(array['', n.nspname || '.', ${quotedSql('n.nspname')} || '.']) head,
        unnest(array[c.relname::text, ${quotedSql('c.relname')}]) tail)`;

/** $1: names. Leaves of partitioned tables that were named, for it is mostly leaves that are published. */
const LEAVES_SQL = `
  select w.wanted, ln.nspname as schema, l.relname as name,
         (select json_agg(json_build_object('schema', un.nspname, 'name', u.relname))
            from pg_catalog.pg_partition_ancestors(t.relid) with ordinality a(oid, place)
            join pg_catalog.pg_class u on u.oid = a.oid join pg_catalog.pg_namespace un on un.oid = u.relnamespace
           where a.place <= t.level + 1) as path
  from unnest($1::text[]) w(wanted)
  cross join pg_catalog.pg_class c
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace and w.wanted = any (${NAMES_SQL})
  cross join lateral pg_catalog.pg_partition_tree(c.oid) t
  join pg_catalog.pg_class l on l.oid = t.relid and t.isleaf
  join pg_catalog.pg_namespace ln on ln.oid = l.relnamespace
  where c.relkind = 'p'`;

interface Leaf extends TableName {
  readonly wanted: string;
  /** Itself and the partitioned tables above it, up to the one that was named. */
  readonly path: readonly TableName[];
}

export interface Selected {
  readonly tables: readonly TableName[];
  /** Leaves of partitioned tables that were named: others of the same table are published, these are not. */
  readonly unpublished: readonly TableName[];
}

/**
 * The published tables that are named by `wanted` (see {@link isNamed}; a partitioned table means its partitions), or
 * all of them but repctl's own. Throws `unknown-table`, `table-not-published` (exit 2) for a name that fits none,
 * `ambiguous-table` for several.
 */
export async function selectTables(
  leader: Session,
  published: readonly TableName[],
  wanted: readonly string[],
): Promise<Selected> {
  if (wanted.length === 0)
    return { tables: published.filter((table) => table.schema !== 'repctl'), unpublished: [] };
  const leaves = await leader.query<Leaf>(LEAVES_SQL, [wanted]);
  const known = new Set(published.map(tableKey));
  const tables = new Map<string, TableName>();
  const unpublished = new Map<string, TableName>();
  for (const name of new Set(wanted)) {
    const plain = published.filter((table) => isNamed(table, name));
    const exact = plain.filter((table) => isNamedInFull(table, name));
    const meant = exact.length > 0 ? exact : plain;
    const parts = meant.length > 0 ? [] : leaves.filter((leaf) => leaf.wanted === name);
    const sent = parts.flatMap(({ path }) => path.filter((table) => known.has(tableKey(table))));
    if (meant.length + sent.length === 0) throw await notFound(leader, published, name);
    if (meant.length > 1)
      throw new RepctlError('ambiguous-table', `${name} may be any of ${meant.map(tableKey).join(', ')}.`, {
        hint: exact.length > 0 ? 'Name it as it is written here.' : 'Give the schema too.',
      });
    for (const table of [...meant, ...sent])
      tables.set(tableKey(table), { schema: table.schema, name: table.name });
    for (const { schema, name: leaf, path } of parts)
      if (!path.some((table) => known.has(tableKey(table))))
        unpublished.set(tableKey({ schema, name: leaf }), { schema, name: leaf });
  }
  return { tables: [...tables.values()], unpublished: [...unpublished.values()] };
}

/** A partition whose rows nobody compares, though its table was named. */
export const notPublished = (leader: string, table: TableName): Finding => ({
  code: 'table-not-published',
  severity: 'error',
  node: leader,
  message: `${tableKey(table)} is a partition of a table that was named, but is not published: its rows are not replicated, and were not compared`,
  fix: `repctl publication add ${tableKey(table)}`,
});

/** $1: a name. */
const THERE_SQL = `
  select n.nspname as schema, c.relname as name from pg_catalog.pg_class c
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  where c.relkind in ('r', 'p') and $1::text = any (${NAMES_SQL})
  order by n.nspname collate "C"`;

async function notFound(
  leader: Session,
  published: readonly TableName[],
  name: string,
): Promise<RepctlError> {
  const [there] = await leader.query<TableName>(THERE_SQL, [name]);
  const replicated = published
    .filter((table) => table.schema !== 'repctl')
    .map(tableKey)
    .join(', ');
  if (there === undefined)
    return new RepctlError('unknown-table', `${leader.node} has no table ${name}.`, {
      hint: `Replicated: ${replicated}`,
    });
  return new RepctlError(
    'table-not-published',
    `${tableKey(there)} is not among the tables that this cluster replicates.`,
    {
      hint: `Replicated: ${replicated}\nrepctl publication add ${tableKey(there)}`,
      details: { table: tableKey(there) },
    },
  );
}
