/** What the demo asks the databases themselves, so that no figure rests on repctl's own word. */
import { writeFile } from 'node:fs/promises';
import pg from 'pg';
import { seedProducts } from '../products/seed.js';
import { skuOf } from './ledger.js';

/** URLs of the nodes, by name. */
export type Urls = Readonly<Record<string, string>>;

async function withClient<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({
    connectionString: url,
    application_name: 'demo',
    connectionTimeoutMillis: 3000,
    query_timeout: 10_000,
  });
  client.on('error', () => undefined);
  try {
    await client.connect();
    return await work(client);
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** How many of the writer's rows with these numbers are on the node. */
export const countKept = (url: string, numbers: readonly number[]): Promise<number> =>
  withClient(url, async (client) => {
    const { rows } = await client.query<{ kept: number }>(
      'select count(*)::int as kept from public.products where sku = any($1)',
      [numbers.map(skuOf)],
    );
    return rows[0]?.kept ?? 0;
  });

/**
 * Rows that the node's present subscription brought by an initial copy. A table attached without a copy becomes
 * ready with srsublsn null; a table synchronisation worker leaves the position at which it ended there.
 */
export const countCopied = (url: string): Promise<number> =>
  withClient(url, async (client) => {
    const { rows } = await client.query<{ name: string }>(
      'select srrelid::regclass::text as name from pg_subscription_rel where srsublsn is not null',
    );
    let copied = 0;
    for (const { name } of rows) {
      const counted = await client.query<{ count: number }>(`select count(*)::int as count from ${name}`);
      copied += counted.rows[0]?.count ?? 0;
    }
    return copied;
  });

/** A client that has not heard of the new leader changes the stock of the first rows where it always did. */
export const writeAstray = (url: string, rows: number): Promise<number> =>
  withClient(url, async (client) => {
    const { rowCount } = await client.query(
      'update public.products set stock = stock + 1000 where id in (select id from public.products order by id limit $1)',
      [rows],
    );
    return rowCount ?? 0;
  });

const field = (value: string | number | null): string =>
  value === null ? '' : `"${String(value).replaceAll('"', '""')}"`;

/** Writes `count` products as a CSV file, as a shop would export them. */
export async function writeCsv(file: string, count: number): Promise<void> {
  const lines = ['sku,name,description,price,currency,stock,attributes'];
  for (const product of seedProducts(count)) {
    const { sku, name, description, price, currency, stock, attributes } = product;
    lines.push(
      [sku, name, description, price, currency, stock, JSON.stringify(attributes)].map(field).join(','),
    );
  }
  await writeFile(file, `${lines.join('\n')}\n`);
}
