/** The rows of the workload in the products table: whose they are by their SKU, and the SQL that reads them. Pure. */
import type { TableName } from '../../cluster/model.js';
import { qualified } from '../../postgres/quote.js';
import type { Seen } from '../history.js';

const DIGITS = 7;
/** Products whose stock is changed by one at a time. */
export const ADJUSTED = 4;
/** Pairs of products between which stock is moved. */
export const PAIRS = 4;
export const STOCK = 1000;

/** The nth row of a client. */
export const rowSku = (client: string, n: number): string => `D-${client}-${String(n).padStart(DIGITS, '0')}`;
export const adjustedSku = (index: number): string => `S-${String(index % ADJUSTED)}`;
export const pairSkus = (index: number): readonly [string, string] => [
  `T-${String(index % PAIRS)}-a`,
  `T-${String(index % PAIRS)}-b`,
];

export const totalOfTransfers = PAIRS * 2 * STOCK;

/** What must be there before the workload begins. */
export const firstRows: readonly string[] = [
  ...Array.from({ length: ADJUSTED }, (_, index) => adjustedSku(index)),
  ...Array.from({ length: PAIRS }, (_, index) => pairSkus(index)).flat(),
];

/** $1: skus, $2: their stock. */
export const firstRowsSql = (table: TableName): string =>
  `insert into ${qualified(table)} (sku, name, price, stock) select sku, 'Drill', 1, $2 from unnest($1::text[]) sku
   on conflict (sku) do update set stock = excluded.stock`;

/**
 * $1: clients. One snapshot: for each the highest number and the count, and the total of transfers. `:` comes after
 * the digits, in the order of bytes.
 */
export const seenSql = (table: TableName): string => `
select (select coalesce(json_object_agg(c.client, json_build_array(coalesce(right(r.top, ${String(DIGITS)})::int, 0), r.rows)), '{}')
    from unnest($1::text[]) c(client) cross join lateral (
      select max(p.sku collate "C") as top, count(*)::int as rows from ${qualified(table)} p
      where p.sku collate "C" > 'D-' || c.client || '-' and p.sku collate "C" < 'D-' || c.client || '-:') r) as seen,
  (select sum(stock)::int from ${qualified(table)} p where p.sku collate "C" > 'T-' and p.sku collate "C" < 'T-:') as total`;

export interface SeenRow {
  readonly seen: Seen;
  readonly total: number | string | null;
}

/** Every row of every client with how often it is there; `client`, `n`, `times`. */
export const presentSql = (table: TableName): string =>
  `select split_part(sku, '-', 2) as client, split_part(sku, '-', 3)::int as n, count(*)::int as times
   from ${qualified(table)} where sku like 'D-%' group by 1, 2 order by 1, 2`;

export const stocksSql = (table: TableName): string =>
  `select coalesce(sum(stock) filter (where sku like 'S-%'), 0)::int - ${String(ADJUSTED * STOCK)} as adjusted,
     coalesce(sum(stock) filter (where sku like 'T-%'), 0)::int as total,
     md5(coalesce(string_agg(p::text, E'\\n' order by id), '')) as digest
   from ${qualified(table)} p`;

/** Consecutive numbers as [from, to]. */
export function rangesOf(ascending: readonly number[]): [number, number][] {
  const ranges: [number, number][] = [];
  for (const n of ascending) {
    const last = ranges.at(-1);
    if (last?.[1] === n - 1) last[1] = n;
    else ranges.push([n, n]);
  }
  return ranges;
}
