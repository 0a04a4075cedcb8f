/**
 * Whether a text fits a column, judged before anything is sent: the same rules for flags, CSV and NDJSON.
 * What is not judged here (dates, enums, constraints of an existing table) the server judges.
 */
import { RepctlError } from '../errors.js';
import type { ProductColumn } from './table.js';

/** A product's text this long is a mistake in the input; bytes of UTF-8. */
export const MAX_TEXT_BYTES = 1_000_000;
/** A B-tree entry holds about 2,700 bytes; a key beyond that fails in the server with an obscure message. */
export const MAX_KEY_BYTES = 1000;

const INTEGER_RANGE: Readonly<Record<string, bigint>> = {
  smallint: 2n ** 15n,
  integer: 2n ** 31n,
  bigint: 2n ** 63n,
};

const quoted = (text: string): string => JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}…` : text);

/** Why `text` cannot be stored in `column`; undefined when it can. */
export function problemWith(column: ProductColumn, text: string, isKey = false): string | undefined {
  if (text.includes('\0')) return `${column.name} holds a NUL character, which PostgreSQL cannot store`;
  if (!text.isWellFormed()) return `${column.name} holds half of a surrogate pair: it is no valid Unicode`;
  if (text.length > MAX_TEXT_BYTES / 4 && Buffer.byteLength(text) >= MAX_TEXT_BYTES)
    return `${column.name} is longer than ${String(MAX_TEXT_BYTES)} bytes`;
  if (isKey && text.trim() === '') return `${column.name} is empty`;
  if (isKey && Buffer.byteLength(text) > MAX_KEY_BYTES)
    return `${column.name} is longer than ${String(MAX_KEY_BYTES)} bytes`;
  return problemOfKind(column, text);
}

function problemOfKind(column: ProductColumn, text: string): string | undefined {
  switch (column.kind) {
    case 'integer':
      return integerProblem(column, text);
    case 'numeric':
      return numericProblem(column, text);
    case 'boolean':
      return /^(?:t|f|true|false|yes|no|on|off|1|0)$/i.test(text)
        ? undefined
        : `${column.name} must be true or false, not ${quoted(text)}`;
    case 'json':
      return jsonProblem(column, text);
    case 'text':
      if (column.name === 'name' && text.trim() === '') return 'name is empty';
      if (column.name === 'currency' && !/^[A-Z]{3}$/.test(text))
        return `currency must be three capital letters such as EUR, not ${quoted(text)}`;
      return undefined;
    case 'timestamptz':
    case 'other':
      return undefined;
  }
}

function integerProblem(column: ProductColumn, text: string): string | undefined {
  if (!/^[+-]?\d{1,20}$/.test(text)) return `${column.name} must be a whole number, not ${quoted(text)}`;
  const value = BigInt(text.replace('+', ''));
  const range = INTEGER_RANGE[column.type];
  if (column.name === 'stock' && value < 0n) return `stock must not be negative: ${quoted(text)}`;
  if (range !== undefined && (value >= range || value < -range))
    return `${column.name} is out of range for ${column.type}: ${quoted(text)}`;
  return undefined;
}

function numericProblem(column: ProductColumn, text: string): string | undefined {
  const match = /^([+-]?)(\d{1,200})(?:\.(\d{1,200}))?$/.exec(text);
  if (!match) return `${column.name} must be a decimal number such as 9.99, not ${quoted(text)}`;
  if (column.name === 'price' && match[1] === '-') return `price must not be negative: ${quoted(text)}`;
  const limits = /^numeric\((\d+),(-?\d+)\)$/.exec(column.type);
  if (!limits) return undefined;
  const scale = Number(limits[2]);
  const whole = (match[2] ?? '').replace(/^0+/, '').length;
  const decimals = (match[3] ?? '').replace(/0+$/, '').length;
  if (whole > Number(limits[1]) - scale)
    return `${column.name} is too large for ${column.type}: ${quoted(text)}`;
  // The server would round in silence.
  if (decimals > Math.max(scale, 0))
    return `${column.name} has more than ${String(scale)} decimal places: ${quoted(text)}`;
  return undefined;
}

function jsonProblem(column: ProductColumn, text: string): string | undefined {
  try {
    JSON.parse(text);
  } catch {
    return `${column.name} is no valid JSON: ${quoted(text)}`;
  }
  // jsonb holds neither NUL nor half of a surrogate pair, not even escaped.
  if (/\\u(?:0000|d[89a-f])/i.test(text) && jsonHoldsBadText(JSON.parse(text)))
    return `${column.name} holds an escaped NUL or half of a surrogate pair, which jsonb cannot store`;
  return undefined;
}

function jsonHoldsBadText(value: unknown): boolean {
  if (typeof value === 'string') return value.includes('\0') || !value.isWellFormed();
  if (typeof value !== 'object' || value === null) return false;
  return Object.entries(value).some(([key, item]) => jsonHoldsBadText(key) || jsonHoldsBadText(item));
}

/** Throws RepctlError `value-invalid` (exit 2). */
export function checkValue(column: ProductColumn, text: string, isKey = false): string {
  const problem = problemWith(column, text, isKey);
  if (problem === undefined) return text;
  throw new RepctlError('value-invalid', `${problem}.`, { details: { column: column.name } });
}
