/** What is published: patterns of the configuration → an explicit list of tables → statements. */
import { RepctlError } from '../errors.js';
import type { TableName } from '../cluster/model.js';
import { ident, qualified } from '../postgres/quote.js';
import { PUBLICATION, SCHEMA } from '../cluster/names.js';

/** A table that could be published, as {@link CATALOG_TABLES_SQL} lists it. */
export interface CatalogTable extends TableName {
  /** `r` a table, `p` a partitioned one. */
  readonly kind: 'r' | 'p';
  /** Partitioned tables above it, as `schema.name`. */
  readonly ancestors: readonly TableName[];
}

/** Permanent tables outside the system's schemas: unlogged and temporary ones cannot be replicated. */
export const CATALOG_TABLES_SQL = `
select n.nspname as schema, c.relname as name, c.relkind::text as kind,
       coalesce((select json_agg(json_build_object('schema', an.nspname, 'name', a.relname))
                 from pg_partition_ancestors(c.oid) p(oid) join pg_class a on a.oid = p.oid
                 join pg_namespace an on an.oid = a.relnamespace where a.oid <> c.oid), '[]') as ancestors
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p') and c.relpersistence = 'p'
  and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast', '${SCHEMA}') and n.nspname !~ '^pg_'
order by 1, 2`;

export interface ResolvedTables {
  /** Sorted by schema and name; a partition is left out when a table above it is listed, since it goes with it. */
  readonly tables: readonly TableName[];
  /** Patterns that no table matches. */
  readonly unmatched: readonly string[];
}

/**
 * Patterns such as `products` (schema public), `public.orders`, `app.*`, `*.log_?` or `"my.schema"."Weird name"`:
 * `*` and `?` match any text and one character, except between double quotes.
 * Throws RepctlError `table-pattern-invalid` (exit 2).
 */
export function resolveTables(patterns: readonly string[], catalog: readonly CatalogTable[]): ResolvedTables {
  const matched = new Set<CatalogTable>();
  const unmatched: string[] = [];
  for (const pattern of patterns) {
    const matches = tableMatcher(pattern);
    const found = catalog.filter(matches);
    if (found.length === 0) unmatched.push(pattern);
    for (const table of found) matched.add(table);
  }
  const keys = new Set([...matched].map(tableKey));
  const tables = [...matched]
    .filter((table) => !table.ancestors.some((ancestor) => keys.has(tableKey(ancestor))))
    .map(({ schema, name }) => ({ schema, name }))
    .sort(compareTables);
  return { tables, unmatched };
}

/** `schema.name` with quoting: equal exactly for equal tables, and what people may type. */
export const tableKey = (table: TableName): string =>
  `${plainOrQuoted(table.schema)}.${plainOrQuoted(table.name)}`;

/** By code unit, so that the order is the same everywhere: locks are taken in it. */
export const compareTables = (a: TableName, b: TableName): number =>
  a.schema === b.schema ? (a.name < b.name ? -1 : a.name > b.name ? 1 : 0) : a.schema < b.schema ? -1 : 1;

const plainOrQuoted = (name: string): string => (/^[a-z_][a-z0-9_$]*$/.test(name) ? name : ident(name));

/** Whether a table is meant by a pattern. */
export function tableMatcher(pattern: string): (table: TableName) => boolean {
  const parts = splitName(pattern);
  const [first = '', second] = parts.map(partPattern);
  const schema = second === undefined ? '^public$' : first;
  const name = second ?? first;
  const [schemaExpression, nameExpression] = [new RegExp(schema, 'su'), new RegExp(name, 'su')];
  return (table) => schemaExpression.test(table.schema) && nameExpression.test(table.name);
}

interface Part {
  readonly text: string;
  readonly quoted: boolean;
}

function splitName(pattern: string): Part[] {
  const invalid = (): RepctlError =>
    new RepctlError('table-pattern-invalid', `${JSON.stringify(pattern)} names no table.`, {
      hint: 'Write products, public.orders, app.* or "Quoted Schema"."Quoted name".',
    });
  const parts: Part[] = [];
  let rest = pattern.trim();
  for (;;) {
    const match = /^(?:"((?:[^"]|"")+)"|([^".]+))(?:\.|$)/u.exec(rest);
    if (match === null) throw invalid();
    parts.push(
      match[1] === undefined
        ? { text: match[2] ?? '', quoted: false }
        : { text: match[1].replaceAll('""', '"'), quoted: true },
    );
    const dotted = match[0].endsWith('.') && match[0].length < rest.length;
    if (match[0].length === rest.length && match[0].endsWith('.')) throw invalid();
    rest = rest.slice(match[0].length);
    if (!dotted) break;
  }
  if (parts.length > 2) throw invalid();
  return parts;
}

function partPattern(part: Part): string {
  const escaped = part.text.replaceAll(/[\\^$.|+()[\]{}*?]/gu, String.raw`\$&`);
  return `^${part.quoted ? escaped : escaped.replaceAll(String.raw`\*`, '.*').replaceAll(String.raw`\?`, '.')}$`;
}

const list = (tables: readonly TableName[]): string => tables.map(qualified).join(', ');

/**
 * Always an explicit list, never FOR ALL TABLES. A partitioned table is listed itself and its changes travel as
 * those of its leaves (`publish_via_partition_root = false`): so a partition attached later is published, and
 * its absence from a replica is seen, as pg_publication_tables lists the leaf.
 */
export const createPublicationSql = (tables: readonly TableName[]): string =>
  `create publication ${ident(PUBLICATION)} for table ${list(tables)} with (publish = 'insert, update, delete, truncate', publish_via_partition_root = false)`;

export const addToPublicationSql = (tables: readonly TableName[], publication = PUBLICATION): string =>
  `alter publication ${ident(publication)} add table ${list(tables)}`;

export const dropFromPublicationSql = (tables: readonly TableName[], publication = PUBLICATION): string =>
  `alter publication ${ident(publication)} drop table ${list(tables)}`;

export const setPublicationSql = (tables: readonly TableName[]): string =>
  `alter publication ${ident(PUBLICATION)} set table ${list(tables)}`;

export const dropPublicationSql = `drop publication if exists ${ident(PUBLICATION)}`;

/** One table by its exact name: `orders` (schema public), `app.orders`, `"My schema"."a.b"`. */
export function parseTable(text: string): TableName {
  const [first, second] = splitName(text).map((part) => part.text);
  return second === undefined
    ? { schema: 'public', name: first ?? '' }
    : { schema: first ?? '', name: second };
}
