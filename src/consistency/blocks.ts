/**
 * The statements that narrow a difference down to rows: blocks, their parts, lists of (key, hash), rows by key.
 * Three methods, by the table's key:
 * - `ranges`: one integer column. Blocks are ranges of it, ends open, so that rows before the first and behind
 *   the last key of the leader are found too.
 * - `buckets`: any other key. Collations order text differently on different servers, and ranges of random
 *   uuids cost several scans, so rows fall into buckets by the hash of their key, all in one scan.
 * - `multiset`: no key. The row's own hash is its key, and how often it is there is its value.
 */
import type { ColumnShape, TableShape } from './shape.js';
import {
  type DigestColumn,
  type Flavour,
  aggregate,
  canonical,
  fromTable,
  hashOf,
  rowHash,
  textOf,
  where,
} from './digest.js';
import { ident } from '../postgres/quote.js';

export type Method = 'ranges' | 'buckets' | 'multiset';

/** How a table is compared, alike on all nodes. */
export interface TablePlan {
  readonly method: Method;
  readonly columns: readonly DigestColumn[];
  readonly key: readonly DigestColumn[];
  readonly flavour: Flavour;
}

/** The table on one node; the row filter of the publication holds on the leader alone. */
export interface Side {
  readonly shape: TableShape;
  readonly filter: string | null;
  /**
   * Narrows what the scans look at, an SQL condition. Rows are judged by their key without it, so that one that is
   * inside on one node only (another collation, another time of change) is seen on both.
   */
  readonly scope?: string | null;
}

const scan = (side: Side, condition?: string): string => where(side.filter, side.scope, condition);

/** Both ends belong to it; the first block begins at MIN_KEY and the last one ends at MAX_KEY. */
export interface Range {
  readonly first: bigint;
  readonly last: bigint;
}

export const MIN_KEY = -(2n ** 63n);
export const MAX_KEY = 2n ** 63n - 1n;

/** One part of a block: `part` counts from 0. */
export interface PartDigest {
  readonly part: number;
  readonly rows: string;
  readonly digest: string;
}

/** A row, or with `multiset` all rows that are alike. */
export interface KeyHash {
  /** The integer as text, or the key's columns as a JSON array of texts. */
  readonly key: string;
  readonly hash: string;
}

/** A row as a sandwich reads it. `version` changes whenever the row is written, even with the same values. */
export interface RowReading extends KeyHash {
  readonly version: string;
  /** In the order of the plan's columns; only when asked for. */
  readonly values?: readonly (string | null)[] | null;
}

export function methodOf(shape: TableShape): Method {
  if (shape.key.length === 0) return 'multiset';
  const [only, ...more] = shape.key.map((name) => shape.columns.find((column) => column.name === name)?.base);
  return more.length === 0 && (only === 'int2' || only === 'int4' || only === 'int8') ? 'ranges' : 'buckets';
}

const keyColumn = (plan: TablePlan): string => `t.${ident(plan.key[0]?.name ?? '')}`;

/** The key as text; see {@link KeyHash}. */
export function keyText(plan: TablePlan): string {
  if (plan.method === 'ranges') return `${keyColumn(plan)}::text`;
  return `json_build_array(${plan.key.map((column) => textOf(column)).join(', ')})::text`;
}

const inRange = (plan: TablePlan): string =>
  `${keyColumn(plan)} >= $1::int8 and ${keyColumn(plan)} <= $2::int8`;

/** $1: the first key of a block, $2: how many rows it has; the first key of the next one, no row at the end. */
export const nextBlockSql = (plan: TablePlan, side: Side): string =>
  `select ${keyColumn(plan)}::text as key ${fromTable(side.shape)}` +
  `${scan(side, `${keyColumn(plan)} >= $1::int8`)} order by ${keyColumn(plan)} offset $2::int8 limit 1`;

/** $1, $2: a range. The lowest and the highest key in it, null when there is none. */
export const rangeEndsSql = (plan: TablePlan, side: Side): string =>
  `select min(${keyColumn(plan)})::text as first, max(${keyColumn(plan)})::text as last ` +
  `${fromTable(side.shape)}${scan(side, inRange(plan))}`;

/** $1, $2: a range. */
export const rangeDigestSql = (plan: TablePlan, side: Side): string =>
  `select ${aggregate(rowHash(plan.columns, plan.flavour), true)} ` +
  `${fromTable(side.shape)}${scan(side, inRange(plan))}`;

/** $1, $2: a range; $3: the first keys of its parts but the first one. Parts without rows do not appear. */
export const rangePartsSql = (plan: TablePlan, side: Side): string =>
  `select width_bucket(${keyColumn(plan)}::int8, $3::int8[]) as part, ` +
  `${aggregate(rowHash(plan.columns, plan.flavour), true)} ` +
  `${fromTable(side.shape)}${scan(side, inRange(plan))} group by 1`;

/** $1, $2: first and last keys of ranges. Their names must not be those of columns in a scope. */
export const rangeListSql = (plan: TablePlan, side: Side): string =>
  `select ${keyText(plan)} as key, ${rowHash(plan.columns, plan.flavour)}::text as hash ` +
  `from unnest($1::int8[], $2::int8[]) r(repctl_first, repctl_last) join ${fromTable(side.shape).slice('from '.length)} ` +
  `on ${keyColumn(plan)} >= r.repctl_first and ${keyColumn(plan)} <= r.repctl_last${scan(side)}`;

/** Every row with `h`, its hash, `b`, its bucket, and what else is asked for. $1: buckets - 1 (a power of two). */
function bucketed(plan: TablePlan, side: Side, more = ''): string {
  const hash = rowHash(plan.columns, plan.flavour);
  const bucketHash = plan.method === 'multiset' ? hash : hashOf(plan.key.map(canonical), plan.flavour);
  // OFFSET 0 keeps the planner from computing the hash once for each time that it is named.
  return `(select ${hash} as h, (${bucketHash} & $1::int8)::int4 as b${more} ${fromTable(side.shape)}${scan(side)} offset 0) x`;
}

/** $1: buckets - 1. */
export const bucketPartsSql = (plan: TablePlan, side: Side): string =>
  `select b as part, ${aggregate('h', plan.method === 'buckets')} from ${bucketed(plan, side)} group by b`;

/** $1: buckets - 1, $2: the buckets. */
export function bucketListSql(plan: TablePlan, side: Side): string {
  if (plan.method === 'multiset')
    return `select h::text as key, count(*)::text as hash from ${bucketed(plan, side)} where b = any($2::int4[]) group by h`;
  const bucket = `(${hashOf(plan.key.map(canonical), plan.flavour)} & $1::int8)::int4`;
  return (
    `select ${keyText(plan)} as key, ${rowHash(plan.columns, plan.flavour)}::text as hash ` +
    `${fromTable(side.shape)}${scan(side, `${bucket} = any($2::int4[])`)}`
  );
}

/**
 * The row's columns as an array of texts. It is to be sent as JSON: pg takes an array's own text apart a character at a
 * time, a quarter of a second for a megabyte.
 */
export const valuesText = ({ columns }: TablePlan): string =>
  `array[${columns.map((column) => textOf(column)).join(', ')}]::text[]`;

/** Rows by key, for {@link rowsParams}; with their values when `values`. */
export function rowsSql(plan: TablePlan, side: Side, values: boolean): string {
  const texts = valuesText(plan);
  const hash = rowHash(plan.columns, plan.flavour);
  if (plan.method === 'multiset') {
    return (
      `select h::text as key, count(*)::text as hash, sum(hashtextextended(x, 0))::text as version${values ? ', to_json(min(v)) as values' : ''} from ` +
      `(select ${hash} as h, t.xmin::text as x${values ? `, ${texts} as v` : ''} ${fromTable(side.shape)}${where(side.filter)} offset 0) x ` +
      `where h = any($1::int8[]) group by h`
    );
  }
  const more = values ? `, to_json(${texts}) as values` : '';
  return `select ${keyText(plan)} as key, ${hash}::text as hash, t.xmin::text as version${more} ${fromKeys(plan, side)}`;
}

const columnOf = (shape: TableShape, name: string): ColumnShape | undefined =>
  shape.columns.find((column) => column.name === name);

/** That the key's columns of `left` and `right` are the same to the table's own index; '' without a key. */
export const sameKey = (plan: TablePlan, { shape }: Side, left: string, right: string): string =>
  plan.key
    .map(
      ({ name }) => `${left}.${ident(name)} ${columnOf(shape, name)?.equals ?? '='} ${right}.${ident(name)}`,
    )
    .join(' and ');

/**
 * `from …` with the rows of a table that has a key, as t, for {@link rowsParams}. COPY takes no parameters: it is
 * given `arrays`, one SQL expression of a text array per column of the key.
 */
export function fromKeys(
  plan: TablePlan,
  side: Side,
  arrays: readonly string[] = plan.key.map((_, index) => `$${String(index + 1)}`),
): string {
  if (plan.method === 'ranges')
    return `${fromTable(side.shape)}${where(side.filter, `${keyColumn(plan)} = any(${arrays[0] ?? ''}::int8[])`)}`;
  // A row filter names its columns without a table: no name here may be one of them.
  const names = plan.key.map((_, index) => ident(`repctl key ${String(index)}`));
  const matches = plan.key.map((key, index) => {
    const column = columnOf(side.shape, key.name);
    const given = `k.${names[index] ?? ''}`;
    // Two implicit collations that differ would be an error, so the key is given the column's own.
    const collation = column?.collation == null ? '' : ` collate ${column.collation}`;
    // By the index, and then by the text too: to numeric and others 1.0 and 1.00 are one key, which stand for two rows here.
    return `t.${ident(key.name)} ${column?.equals ?? '='} ${given}::${column?.type ?? 'text'}${collation} and (${textOf(key)}) collate "C" = ${given}`;
  });
  return (
    `from unnest(${arrays.map((array) => `${array}::text[]`).join(', ')}) k(${names.join(', ')}) ` +
    `join ${fromTable(side.shape).slice('from '.length)} on ${matches.join(' and ')}${where(side.filter)}`
  );
}

/** The texts of a key's columns; null only with `multiset`, which has none. */
export function keyParts(plan: TablePlan, key: string): readonly string[] {
  if (plan.method === 'ranges') return [key];
  return plan.method === 'multiset' ? [] : (JSON.parse(key) as string[]);
}

/** The parameters of {@link rowsSql}. */
export function rowsParams(plan: TablePlan, keys: readonly string[]): unknown[] {
  if (plan.method !== 'buckets') return [keys];
  const parts = keys.map((key) => keyParts(plan, key));
  return plan.key.map((_, index) => parts.map((part) => part[index]));
}

/** First keys of `count` parts of equal width, but the first part's; fewer when the range has fewer keys. */
export function partStarts(range: Range, count: number): bigint[] {
  const width = range.last - range.first + 1n;
  const parts = width < BigInt(count) ? width : BigInt(count);
  const starts: bigint[] = [];
  for (let index = 1n; index < parts; index += 1n) starts.push(range.first + (width * index) / parts);
  return starts;
}

/** The range of one part. */
export function partRange(range: Range, starts: readonly bigint[], part: number): Range {
  const next = starts[part];
  return {
    first: part === 0 ? range.first : (starts[part - 1] ?? range.first),
    last: next === undefined ? range.last : next - 1n,
  };
}

/** Buckets for a table of about so many rows: some 64 rows (or `each`) in each, at most 65,536, a power of two. */
export function bucketCount(estimatedRows: number, each = 64): number {
  const wanted = Math.max(1, Math.min(65_536, estimatedRows / each));
  return 2 ** Math.ceil(Math.log2(wanted));
}
