/** What was typed → what is to be written. */
import { randomUUID } from 'node:crypto';
import { RepctlError } from '../errors.js';
import type { Values } from './statements.js';
import { type ProductColumn, type ProductTable, columnOf } from './table.js';

export interface TypedValues {
  /** Flags that are named like a column. */
  readonly named: Readonly<Record<string, string | undefined>>;
  /** `column=value`; the column is the longest known name that fits, so names may hold `=`. */
  readonly set: readonly string[];
  /** Columns to make null. */
  readonly unset?: readonly string[] | undefined;
}

/** Throws RepctlError `usage` or `unknown-column` (exit 2). */
export function valuesOf(table: ProductTable, typed: TypedValues): Values {
  const values = new Map<string, string | null>();
  const put = (name: string, value: string | null): void => {
    if (values.has(name)) throw new RepctlError('usage', `${name} is given twice.`);
    values.set(columnOf(table, name).name, value);
  };
  for (const [name, value] of Object.entries(typed.named)) if (value !== undefined) put(name, value);
  for (const text of typed.set) {
    const column = table.columns
      .filter(({ name }) => text.startsWith(`${name}=`))
      .reduce<ProductColumn | undefined>(
        (best, one) => (best === undefined || one.name.length > best.name.length ? one : best),
        undefined,
      );
    if (column) {
      put(column.name, text.slice(column.name.length + 1));
      continue;
    }
    const [name = ''] = text.split('=', 1);
    columnOf(table, name);
    throw new RepctlError('usage', `--set takes column=value, not ${JSON.stringify(text)}.`);
  }
  for (const name of typed.unset ?? []) put(name, null);
  return values;
}

const UUID = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/i;

/** The id given, or a new one. Throws `usage` (exit 2). */
export function requestIdOf(text: string | undefined): string {
  if (text === undefined) return randomUUID();
  if (UUID.test(text)) return text.toLowerCase();
  throw new RepctlError('usage', `--request-id takes a UUID, not ${JSON.stringify(text)}.`);
}

/** `+5` or `-3`. Throws `usage` (exit 2) for anything else, and for 0. */
export function parseDelta(text: string): number {
  const delta = /^[+-]?\d{1,10}$/.test(text.trim()) ? Number(text) : Number.NaN;
  if (!Number.isInteger(delta) || delta === 0 || Math.abs(delta) > 2_147_483_647)
    throw new RepctlError(
      'usage',
      `The change of stock is a whole number such as +5 or -3, not ${JSON.stringify(text.trim())}.`,
    );
  return delta;
}

/** A version, from 0. Throws `usage` (exit 2). */
export function parseVersion(text: string): number {
  if (!/^\d{1,15}$/.test(text))
    throw new RepctlError('usage', `--if-version takes a whole number, not ${JSON.stringify(text)}.`);
  return Number(text);
}
