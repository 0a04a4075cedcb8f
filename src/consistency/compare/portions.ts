/** A whole table in one scan, or in portions where the rate is bounded. */
import type { Session } from '../../postgres/session.js';
import type { PartDigest, Side } from '../blocks.js';
import type { Run } from './run.js';

const PAGES_SQL = `select (pg_relation_size($1::oid) / current_setting('block_size')::int)::int as pages`;
const OID_SQL = `
  select c.oid from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  where n.nspname = $1 and c.relname = $2`;

/**
 * Calls `read` with the table, or with portions of its pages one after the other in one snapshot, so that a row that
 * moves meanwhile is seen once. `read` returns how many rows it read, and is told how many a portion has by estimate.
 */
export async function inPortions(
  run: Run,
  session: Session,
  side: Side,
  read: (side: Side, estimated: number) => Promise<number>,
): Promise<void> {
  const { pace } = run;
  const rows = Math.max(1, side.shape.estimatedRows);
  if (pace === undefined || side.shape.kind === 'p') {
    await read(side, rows);
    return;
  }
  const portions = async () => {
    const [table] = await session.query<{ oid: number }>(OID_SQL, [side.shape.schema, side.shape.name]);
    const [size] = await session.query<{ pages: number }>(PAGES_SQL, [table?.oid ?? 0]);
    const pages = size?.pages ?? 0;
    const step = Math.max(1, Math.ceil((pages * pace.portion) / rows));
    for (let page = 0; page < pages; page += step) {
      await pace.ready(session.node);
      run.signal?.throwIfAborted();
      const first = `t.ctid >= '(${String(page)},0)'::tid`;
      // The last one is open: what is appended meanwhile is not in the snapshot anyway.
      const last = page + step < pages ? ` and t.ctid < '(${String(page + step)},0)'::tid` : '';
      const scope = side.scope == null ? `${first}${last}` : `(${side.scope}) and ${first}${last}`;
      pace.read(session.node, await read({ ...side, scope }, (rows * step) / pages));
    }
  };
  if (run.still === true) await portions();
  else await session.transaction(portions, 'isolation level repeatable read read only');
}

/** Adds the digests of more rows of the same parts; returns how many rows they are. */
export function mergeDigests(
  into: Map<number, PartDigest>,
  more: readonly PartDigest[],
  keyed: boolean,
): number {
  let count = 0;
  for (const row of more) {
    const before = into.get(row.part);
    count += Number(row.rows);
    if (before === undefined) {
      into.set(row.part, row);
      continue;
    }
    const [a, b] = [BigInt(before.digest), BigInt(row.digest)];
    into.set(row.part, {
      part: row.part,
      rows: String(BigInt(before.rows) + BigInt(row.rows)),
      digest: String(keyed ? BigInt.asIntN(64, a ^ b) : a + b),
    });
  }
  return count;
}
