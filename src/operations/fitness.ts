/** What can be wrong with nodes and tables before a cluster is made of them, asked before anything is changed. */
import type { Fleet } from '../cluster/fleet.js';
import type { Finding, TableName } from '../cluster/model.js';
import { qualified } from '../postgres/quote.js';
import { tableKey } from '../replication/publications.js';
import { type TableFacts, tableFindings } from './tables/obstacles.js';
import { COLUMNS_SQL, IDENTIFIABLE_SQL } from './tables/sql.js';

/** $1: names, as to_regclass reads them. */
const FACTS_SQL = `
with wanted as (
  select to_regclass(t)::oid as oid from unnest($1::text[]) t where to_regclass(t) is not null
), members as (
  select oid, oid as member from wanted
  union select w.oid, t.relid from wanted w cross join lateral pg_partition_tree(w.oid) t
)
select n.nspname as schema, c.relname as name, c.relkind::text as kind, c.relpersistence = 'p' as permanent,
       ${COLUMNS_SQL} as columns, ${IDENTIFIABLE_SQL} as identifiable
from wanted w join pg_class c on c.oid = w.oid join pg_namespace n on n.oid = c.relnamespace`;

/** Two connections lead to one database exactly when its server started at the same microsecond. */
const DATABASE_SQL = `
select pg_postmaster_start_time()::text || ' ' || current_setting('port') || ' ' ||
       (select oid from pg_database where datname = current_database()) as key`;

export interface FitnessQuestion {
  readonly leader: string;
  /** The leader among them; those that do not answer are left out. */
  readonly nodes: readonly string[];
  readonly tables: readonly TableName[];
  /** A table that will be made where it is missing. */
  readonly willMake?: TableName | undefined;
}

/** Findings that would make the operation fail halfway: `same-database`, `table-missing`, `schema-drift` and others. */
export async function unfit(fleet: Fleet, question: FitnessQuestion): Promise<readonly Finding[]> {
  const { leader, tables, willMake } = question;
  const answers = await Promise.all(
    question.nodes.map(async (name) => {
      const session = await fleet.session(name).catch(() => undefined);
      if (session === undefined) return [];
      const facts = await session.query<TableFacts>(FACTS_SQL, [tables.map(qualified)]);
      const [database] = await session.query<{ key: string }>(DATABASE_SQL);
      return [
        { name, facts: new Map(facts.map((table) => [tableKey(table), table])), key: database?.key ?? name },
      ];
    }),
  );
  const nodes = answers.flat();
  const same = nodes.flatMap((node, index): Finding[] => {
    const twin = nodes.slice(0, index).find((other) => other.key === node.key);
    if (twin === undefined) return [];
    return [
      {
        code: 'same-database',
        severity: 'error',
        node: node.name,
        message: `${twin.name} and ${node.name} are one and the same database.`,
        fix: 'Two nodes must be two databases: check the URLs in the configuration.',
      },
    ];
  });
  const making = willMake === undefined ? undefined : tableKey(willMake);
  const drift = tables.flatMap((table) => {
    const key = tableKey(table);
    const have = nodes.map(({ name, facts }) => ({ name, table: facts.get(key) }));
    return tableFindings(
      table,
      leader,
      key === making ? have.filter((node) => node.table !== undefined) : have,
    );
  });
  return [...same, ...drift];
}

/** Which of the tables hold rows on a node that can be reached; those that are missing do not. */
export async function tablesWithRows(
  fleet: Fleet,
  node: string,
  tables: readonly TableName[],
): Promise<readonly TableName[]> {
  const session = await fleet.session(node);
  const found = await session.query<TableName>(
    `select n.nspname as schema, c.relname as name from unnest($1::text[]) t
       join pg_class c on c.oid = to_regclass(t) join pg_namespace n on n.oid = c.relnamespace`,
    [tables.map(qualified)],
  );
  const holding: TableName[] = [];
  for (const table of found) {
    const [row] = await session.query<{ rows: boolean }>(
      `select exists (select from ${qualified(table)}) as rows`,
    );
    if (row?.rows === true) holding.push(table);
  }
  return holding;
}
