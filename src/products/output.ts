/** How product rows leave the database: the same text for tables, JSON, CSV and NDJSON. */
import { ident } from '../postgres/quote.js';
import type { ProductColumn } from './table.js';

/** A product as read: column name → value. bigint, numeric and timestamps are strings, the latter RFC 3339. */
export type Product = Readonly<Record<string, unknown>>;

/** infinity has no date parts: it stays the server's word. */
const timestamp = (name: string): string =>
  `case when isfinite(${name}) then to_char(${name} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') else ${name}::text end`;

/** An expression of the column's output form. */
export function outputExpression(column: ProductColumn, alias?: string): string {
  const name = `${alias === undefined ? '' : `${ident(alias)}.`}${ident(column.name)}`;
  return column.kind === 'timestamptz' ? timestamp(name) : name;
}

/** A select list: every column in output form, under its own name. */
export const outputList = (columns: readonly ProductColumn[], alias?: string): string =>
  columns.map((column) => `${outputExpression(column, alias)} as ${ident(column.name)}`).join(', ');

/** For export, where the server makes the JSON: bigint and numeric as strings there, too. */
export const exportList = (columns: readonly ProductColumn[]): string =>
  columns
    .map((column) => {
      const textual = column.kind === 'numeric' || column.type === 'bigint';
      return `${outputExpression(column)}${textual ? '::text' : ''} as ${ident(column.name)}`;
    })
    .join(', ');
