/** Rows by their keys, as the very text that decoding prints: what is compared with and written to a stranded file. */
import { createHash } from 'node:crypto';
import type pg from 'pg';
import type { TableName } from '../../cluster/model.js';
import type { TableShape } from '../../consistency/shape.js';
import { ident, qualified } from '../../postgres/quote.js';
import type { Session } from '../../postgres/session.js';
import { translateError } from '../../postgres/sqlstate.js';
import type { Values } from './model.js';

/** The server's output text of every type: a cast to text prints booleans and char(n) otherwise than decoding does. */
const AS_IS = { getTypeParser: () => (value: unknown) => value } as unknown as pg.CustomTypesConfig;

async function textRows(session: Session, text: string, values: readonly unknown[]): Promise<Values[]> {
  try {
    const { rows } = await session.client.query<Record<string, string | null>>({
      text,
      values: [...values],
      types: AS_IS,
    });
    return rows;
  } catch (error) {
    throw translateError(error, { node: session.node, phase: 'query' });
  }
}

/** Columns that are sent and stored: what a decoded row consists of. */
export const sentColumns = (shape: TableShape): readonly string[] =>
  shape.columns.filter((column) => column.published && column.generated === '').map(({ name }) => name);

/** Keys asked for at once; each takes one parameter a column. */
const BATCH = 500;

/** A key as one text. */
export const keyText = (key: Values): string =>
  JSON.stringify(Object.entries(key).toSorted(([a], [b]) => (a < b ? -1 : 1)));

/** The rows of these keys in their order; undefined where there is none. All keys have the same columns. */
export async function rowsOf(
  session: Session,
  shape: TableShape,
  keys: readonly Values[],
  lock = false,
): Promise<(Values | undefined)[]> {
  const first = keys[0];
  if (first === undefined) return [];
  const names = Object.keys(first);
  const columns = sentColumns(shape);
  const found = new Map<string, Values>();
  const select = `select ${columns.map((name) => `t.${ident(name)}`).join(', ')} from ${shape.kind === 'p' ? '' : 'only '}${qualified(shape)} t`;
  const ask = async (some: readonly Values[]): Promise<Values[]> => {
    // Unknown parameters take the type of what they are compared with, so the server's own equality decides.
    const tuples = some.map(
      (_, row) => `(${names.map((_name, at) => `$${String(row * names.length + at + 1)}`).join(', ')})`,
    );
    const sql = `${select} where (${names.map((name) => `t.${ident(name)}`).join(', ')}) in (${tuples.join(', ')})${lock ? ' for update of t' : ''}`;
    return textRows(
      session,
      sql,
      some.flatMap((key) => names.map((name) => key[name] ?? null)),
    );
  };
  const textOf = (row: Values) => keyText(Object.fromEntries(names.map((name) => [name, row[name] ?? null])));
  const wanted = new Set(keys.map(keyText));
  let strays = false;
  for (let from = 0; from < keys.length; from += BATCH) {
    for (const row of await ask(keys.slice(from, from + BATCH))) {
      found.set(textOf(row), row);
      strays ||= !wanted.has(textOf(row));
    }
  }
  const rows = keys.map((key) => found.get(keyText(key)));
  if (!strays) return rows;
  // Equal to the server, but another text: 1.0 and 1.00, or letters where case does not count.
  for (const [index, key] of keys.entries()) rows[index] ??= (await ask([key]))[0];
  return rows;
}

/** More rows than a transaction's lines can name say no more than these. */
const MOST_REFERRING = 10_000;

/** Primary keys (`key` are their columns) of rows that have these values; with no key an empty one for each. */
export const referringKeys = (
  session: Session,
  table: TableName,
  key: readonly string[],
  values: Values,
): Promise<Values[]> =>
  textRows(
    session,
    `select ${key.map((name) => `t.${ident(name)}`).join(', ')} from ${qualified(table)} t where ${Object.keys(
      values,
    )
      .map((name, place) => `t.${ident(name)} = $${String(place + 1)}`)
      .join(' and ')} limit ${String(MOST_REFERRING)}`,
    Object.values(values),
  );

/** A digest of some columns of a row; `absent` for no row. */
export function rowDigest(row: Values | undefined, columns?: readonly string[]): string {
  if (row === undefined) return 'absent';
  const names = (columns ?? Object.keys(row)).toSorted();
  const text = JSON.stringify(names.map((name) => [name, row[name] ?? null]));
  return createHash('sha256').update(text).digest('hex').slice(0, 32);
}
