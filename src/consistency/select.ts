/** Which tables were meant. */
import type { TableName } from '../cluster/model.js';
import { RepctlError } from '../errors.js';
import type { Session } from '../postgres/session.js';

const label = ({ schema, name }: TableName): string => `${schema}.${name}`;

/** $1: names. Leaves of partitioned tables that were named, for it is the leaves that are published. */
const LEAVES_SQL = `
  select w.wanted, ln.nspname as schema, l.relname as name
  from unnest($1::text[]) w(wanted)
  join pg_catalog.pg_class c on c.relkind = 'p'
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace and w.wanted in (c.relname, n.nspname || '.' || c.relname)
  cross join lateral pg_catalog.pg_partition_tree(c.oid) t
  join pg_catalog.pg_class l on l.oid = t.relid and t.isleaf
  join pg_catalog.pg_namespace ln on ln.oid = l.relnamespace`;

/**
 * The published tables that are named by `wanted` (`products`, `public.products`, a partitioned table), or all of
 * them but repctl's own. Throws `unknown-table` (exit 2) for a name that fits none, `ambiguous-table` for several.
 */
export async function selectTables(
  leader: Session,
  published: readonly TableName[],
  wanted: readonly string[],
): Promise<readonly TableName[]> {
  if (wanted.length === 0) return published.filter((table) => table.schema !== 'repctl');
  const leaves = await leader.query<TableName & { wanted: string }>(LEAVES_SQL, [wanted]);
  const known = new Set(published.map(label));
  const selected = new Map<string, TableName>();
  for (const name of new Set(wanted)) {
    const plain = published.filter((table) => label(table) === name || table.name === name);
    const exact = plain.filter((table) => label(table) === name);
    const found =
      exact.length > 0
        ? exact
        : plain.length > 0
          ? plain
          : leaves.filter((leaf) => leaf.wanted === name && known.has(label(leaf)));
    if (found.length === 0) throw await notFound(leader, published, name);
    if (plain.length > 1 && exact.length === 0)
      throw new RepctlError('ambiguous-table', `${name} may be any of ${plain.map(label).join(', ')}.`, {
        hint: 'Give the schema too.',
      });
    for (const { schema, name: table } of found)
      selected.set(label({ schema, name: table }), { schema, name: table });
  }
  return [...selected.values()];
}

/** $1: a name. */
const THERE_SQL = `
  select n.nspname as schema, c.relname as name from pg_catalog.pg_class c
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  where c.relkind in ('r', 'p') and $1::text in (c.relname, n.nspname || '.' || c.relname)
  order by n.nspname collate "C"`;

async function notFound(
  leader: Session,
  published: readonly TableName[],
  name: string,
): Promise<RepctlError> {
  const [there] = await leader.query<TableName>(THERE_SQL, [name]);
  const replicated = published
    .filter((table) => table.schema !== 'repctl')
    .map(label)
    .join(', ');
  if (there === undefined)
    return new RepctlError('unknown-table', `${leader.node} has no table ${name}.`, {
      hint: `Replicated: ${replicated}`,
    });
  return new RepctlError(
    'table-not-published',
    `${label(there)} is not among the tables that this cluster replicates.`,
    {
      hint: `Replicated: ${replicated}\nrepctl publication add ${label(there)}`,
      details: { table: label(there) },
    },
  );
}
