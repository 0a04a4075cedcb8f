/**
 * Where blocks begin, without reading the index for it: the server's statistics hold the bounds of about a hundred
 * parts of the key's values with as many rows each (pg_stats.histogram_bounds, from ANALYZE). They need not be right:
 * whatever the bounds, each row falls into one block; only how many rows a block has is an estimate.
 */
import type { Session } from '../../postgres/session.js';
import { partStarts } from '../blocks.js';
import type { TableShape } from '../shape.js';

/** $1 schema, $2 table, $3 column, $4 whether those below a partitioned table count. pg_stats hides what we may not read. */
const boundsSql = `
select b.bound::text as bound from pg_catalog.pg_stats s
cross join lateral unnest(s.histogram_bounds::text::int8[]) with ordinality b(bound, place)
where s.schemaname = $1 and s.tablename = $2 and s.attname = $3 and s.inherited = $4 order by b.place`;

/** First keys of all blocks but the first, as far as the statistics tell; none where they tell nothing. */
export async function readCuts(leader: Session, shape: TableShape, blockRows: number): Promise<bigint[]> {
  const rows = await leader.query<{ bound: string }>(boundsSql, [
    shape.schema,
    shape.name,
    shape.key[0] ?? '',
    shape.kind === 'p',
  ]);
  return cuts(
    rows.map((row) => BigInt(row.bound)),
    shape.estimatedRows,
    blockRows,
  );
}

/**
 * First keys of blocks of about `blockRows` rows, ascending; pure. Parts smaller than a block go together, bigger ones
 * are divided evenly. What follows the last one is newer than the statistics, and of unknown size.
 */
export function cuts(bounds: readonly bigint[], rows: number, blockRows: number): bigint[] {
  const parts = bounds.length - 1;
  if (parts < 1 || rows <= 0) return [];
  const together = Math.max(1, Math.round((blockRows * parts) / rows));
  const pieces = Math.max(1, Math.round(rows / parts / blockRows));
  const found: bigint[] = [];
  for (let at = 0; at + together <= parts; at += together) {
    const [first = 0n, last = 0n] = [bounds[at], bounds[at + together]];
    if (at > 0) found.push(first);
    if (last > first) found.push(...partStarts({ first, last: last - 1n }, pieces));
  }
  // Equal bounds (a replica identity index is unique, statistics are not) would make blocks without keys.
  return found.filter((key, index) => index === 0 || key > (found[index - 1] ?? key));
}
