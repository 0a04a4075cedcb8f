/** What `create` and `node add` must know of tables before they plan: which ones, and where rows are already. */
import type { Fleet } from '../cluster/fleet.js';
import type { TableName } from '../cluster/model.js';
import { PRODUCTS } from '../products/schema.js';
import { sqlStateOf } from '../postgres/sqlstate.js';
import { qualified } from '../postgres/quote.js';
import {
  CATALOG_TABLES_SQL,
  type CatalogTable,
  resolveTables,
  tableMatcher,
} from '../replication/publications.js';

/** The configured patterns as explicit tables of the leader; `products` counts as there when it will be made. */
export async function tablesToPublish(
  fleet: Fleet,
  leader: string,
  withProducts: boolean,
): Promise<readonly TableName[]> {
  const session = await fleet.session(leader);
  const catalog = await session.query<CatalogTable>(CATALOG_TABLES_SQL);
  const missing =
    withProducts && !catalog.some((table) => table.schema === 'public' && table.name === 'products');
  const all = missing ? [...catalog, { ...PRODUCTS, kind: 'r' as const, ancestors: [] }] : catalog;
  const { tables } = resolveTables(fleet.config.tables, all);
  // Asked for by flag: published even where no pattern of the configuration names it.
  const named = fleet.config.tables.some((pattern) => tableMatcher(pattern)(PRODUCTS));
  return withProducts && !named ? [...tables, PRODUCTS] : tables;
}

/** Those of `nodes` on which one of the tables holds a row. Nodes that do not answer are left out. */
export async function nodesWithRows(
  fleet: Fleet,
  nodes: readonly string[],
  tables: readonly TableName[],
): Promise<readonly string[]> {
  const answers = await Promise.all(
    nodes.map(async (name) => {
      const session = await fleet.session(name).catch(() => undefined);
      if (session === undefined) return undefined;
      for (const table of tables) {
        const [there] = await session.query<{ there: boolean }>(
          'select to_regclass($1) is not null as there',
          [qualified(table)],
        );
        if (there?.there !== true) continue;
        // What may not be read is refused with its reason by those who look at privileges.
        const rows = await session
          .query(`select 1 from ${qualified(table)} limit 1`)
          .catch((error: unknown) => {
            if (sqlStateOf(error) === '42501') return [];
            throw error;
          });
        if (rows.length > 0) return name;
      }
      return undefined;
    }),
  );
  return answers.filter((name) => name !== undefined);
}
