/**
 * The digest of rows, blocks and tables: SQL that gives the same number on every server, whatever its version,
 * locale and settings, if and only if (but for odds of 2^-64) the rows are the same.
 *
 * A row is `hash_record_extended(ROW(int8send(hash_record_extended(ROW(canonical columns), 0))), 0)`:
 * - ROW keeps NULL apart from '' and one column's end from the next one's beginning.
 * - Columns go in as their `*_send` bytes or as text, not under the type's own hash: hashint8extended(1) =
 *   hashint8extended(4294967296), -0 hashes as 0, numeric 1.0 as 1.00, and json, point and bit have none. The exception
 *   is int4, whose hash mixes all 32 bits (hash_uint32_extended) and costs less than its bytes.
 * - The outer hash mixes: hash_record is linear in its columns, so sums of it would miss swapped values. Of one bytea it
 *   is the hash of its bytes (record_hash_extended in rowtypes.c), without the price of a number printed as text.
 * A block is count(*) and bit_xor of it; the sum where rows may be doubled, since xor cancels pairs.
 */
import { ident, qualified } from '../postgres/quote.js';
import type { ColumnShape, TableShape } from './shape.js';

/** `hash` is the fast one; `sha256` for servers that hash otherwise (big-endian ones) and for the mistrustful. */
export type Flavour = 'hash' | 'sha256';

/** One column of a digest: how it is put into the ROW. */
export interface DigestColumn {
  readonly name: string;
  readonly form: Form;
}

/**
 * `int4` as it is; `int8` any integer type as int8; `float` a floating point number of either width; `send:f` the bytes
 * of function f; `raw` bytea as it is; `xml` its output; `out:…` {@link ColumnShape.output}; `text` anything else.
 */
export type Form = 'int4' | 'int8' | 'float' | 'raw' | 'text' | 'xml' | `send:${string}` | `out:${string}`;

/** Enums, arrays and composites go as text: array_send and record_send carry type OIDs, which differ by server. */
const FORMS: Readonly<Record<string, Form>> = {
  int2: 'int4',
  int4: 'int4',
  int8: 'int8',
  oid: 'int8',
  bytea: 'raw',
  bool: 'send:boolsend',
  float4: 'send:float4send',
  float8: 'send:float8send',
  numeric: 'send:numeric_send',
  money: 'send:cash_send',
  date: 'send:date_send',
  time: 'send:time_send',
  timetz: 'send:timetz_send',
  timestamp: 'send:timestamp_send',
  timestamptz: 'send:timestamptz_send',
  interval: 'send:interval_send',
  uuid: 'send:uuid_send',
  // As it is sent: a stream leaves out the declaration that a cast to text shows.
  xml: 'xml',
  // Its text, for two thirds of the price of a cast.
  jsonb: 'send:jsonb_send',
  inet: 'send:inet_send',
  cidr: 'send:cidr_send',
  macaddr: 'send:macaddr_send',
  macaddr8: 'send:macaddr8_send',
};

export const formOf = ({ base, output }: Pick<ColumnShape, 'base' | 'output'>): Form =>
  FORMS[base] ?? (output === null ? 'text' : `out:${output}`);

export const isInteger = (form: Form): boolean => form === 'int4' || form === 'int8';
const isFloat = (form: Form): boolean => form === 'send:float4send' || form === 'send:float8send';

/**
 * The columns to compare: what the leader publishes, sorted by name (the physical order may differ). A column
 * that has another form on any of the others goes as int8 everywhere if all are integers, as float8 if all are floating
 * point numbers (a stream carries them as text, so that 1.1 is 1.1 in either width), else as text. Throws
 * nothing; a column that one of `others` lacks is left in, so that the caller must have looked (see schema.ts).
 */
export function digestColumns(leader: TableShape, others: readonly TableShape[] = []): DigestColumn[] {
  const common = (name: string, form: Form): Form => {
    const theirs = others.flatMap(({ columns }) =>
      columns.filter((column) => column.name === name).map(formOf),
    );
    if (theirs.every((other) => other === form)) return form;
    const all = [form, ...theirs];
    if (all.every(isInteger)) return 'int8';
    return all.every(isFloat) ? 'float' : 'text';
  };
  return leader.columns
    .filter((column) => column.published)
    .map((column) => ({ name: column.name, form: common(column.name, formOf(column)) }))
    .toSorted((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
}

/**
 * A column as text, by its type's own output function: a cast to text may be the user's function, and say less than
 * there is.
 */
export function textOf({ name, form }: DigestColumn, alias = 't'): string {
  const column = `${alias}.${ident(name)}`;
  return form.startsWith('out:') ? form.slice('out:'.length).replace('%s', () => column) : `${column}::text`;
}

/** One column's canonical expression. */
export function canonical(given: DigestColumn): string {
  const { name, form } = given;
  const column = `t.${ident(name)}`;
  if (form === 'int4') return `${column}::int4`;
  if (form === 'int8') return `int8send(${column}::int8)`;
  if (form === 'raw') return column;
  if (form === 'text') return `(${column}::text) collate "C"`;
  if (form.startsWith('out:')) return `${textOf(given)} collate "C"`;
  if (form === 'float') return `float8send(${column}::text::float8)`;
  if (form === 'xml') return `ltrim(textin(xml_out(${column})), E'\\n') collate "C"`;
  // NaN has many bit patterns, and a stream carries it as text.
  if (isFloat(form))
    return `${form.slice('send:'.length)}(case when ${column} = 'NaN' then 'NaN' else ${column} end)`;
  return `${form.slice('send:'.length)}(${column})`;
}

/** The digest of a ROW of these expressions, an int8. */
export function hashOf(expressions: readonly string[], flavour: Flavour): string {
  const row = `row(${expressions.join(', ')})`;
  if (flavour === 'hash') return `hash_record_extended(row(int8send(hash_record_extended(${row}, 0))), 0)`;
  // A row's text quotes '' and leaves NULL empty, so it is as unambiguous as the row itself.
  return `('x' || left(encode(sha256(convert_to(${row}::text, 'UTF8')), 'hex'), 16))::bit(64)::int8`;
}

export const rowHash = (columns: readonly DigestColumn[], flavour: Flavour = 'hash'): string =>
  hashOf(columns.map(canonical), flavour);

/** Count and digest of all rows that are read, as text. Sums may leave int8: they are numeric. */
export const aggregate = (hash: string, keyed: boolean): string =>
  `count(*)::text as rows, ${keyed ? `coalesce(bit_xor(${hash}), 0)` : `coalesce(sum(${hash}), 0)`}::text as digest`;

/** Children that inherit from an ordinary table are published as tables of their own. */
export const relation = (table: { schema: string; name: string; kind: string }): string =>
  `${table.kind === 'p' ? '' : 'only '}${qualified(table)}`;

/** `from` with the alias t. */
export const fromTable = (table: { schema: string; name: string; kind: string }): string =>
  `from ${relation(table)} t`;

/** `where` and all conditions that there are. */
export const where = (...conditions: (string | null | undefined)[]): string => {
  const given = conditions.filter((condition) => condition !== null && condition !== undefined);
  return given.length === 0 ? '' : ` where ${given.map((condition) => `(${condition})`).join(' and ')}`;
};

/** Whole table: one row with `rows` and `digest`. `filter` is the leader's row filter, for the leader alone. */
export function tableDigestSql(
  shape: TableShape,
  columns: readonly DigestColumn[],
  options: { flavour?: Flavour; keyed?: boolean; filter?: string | null } = {},
): string {
  const hash = rowHash(columns, options.flavour ?? 'hash');
  return `select ${aggregate(hash, options.keyed ?? shape.key.length > 0)} ${fromTable(shape)}${where(options.filter)}`;
}

/**
 * What must be alike on every session that computes digests, beyond what openSession pins. row_security=off makes
 * the server refuse rather than hide rows. quote_all_identifiers prints regclass and definitions otherwise; array_nulls
 * makes '{NULL}' that a repair copies a string. Sorting off: groups are hashed, which is what fits in memory here.
 */
export const DIGEST_SETTINGS: Readonly<Record<string, string>> = {
  search_path: 'pg_catalog',
  client_encoding: 'UTF8',
  TimeZone: 'UTC',
  DateStyle: 'ISO, YMD',
  IntervalStyle: 'postgres',
  extra_float_digits: '3',
  bytea_output: 'hex',
  lc_monetary: 'C',
  xmloption: 'content',
  quote_all_identifiers: 'off',
  array_nulls: 'on',
  row_security: 'off',
  jit: 'off',
  enable_sort: 'off',
  work_mem: '64MB',
};

/** $1 and $2: names and values. One round trip. */
export const setSettingsSql =
  'select pg_catalog.set_config(s.name, s.value, false) from unnest($1::text[], $2::text[]) s(name, value)';
export const readSettingsSql =
  'select s.name, pg_catalog.current_setting(s.name) as value from unnest($1::text[]) s(name)';

/**
 * Constants whose digest is known: a server that gives another number hashes in another way, or the database keeps its
 * texts in another encoding.
 */
export const SELF_TEST_SQL = `select ${hashOf(
  [
    '1::int4',
    'int8send(1)',
    `'é'::text collate "C"`,
    'null::text',
    `''::text`,
    'numeric_send(1.00)',
    `timestamptz_send('2026-01-01 00:00:00+00')`,
  ],
  'hash',
)}::text as hash`;
export const SELF_TEST_HASH = '-395828063127697563';
