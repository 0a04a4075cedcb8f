/** Records → rows of the products table: which columns they carry, and whether every value fits. */
import { RepctlError } from '../errors.js';
import type { InputFormat, RawRecord } from './records.js';
import { type ProductColumn, type ProductTable, columnOf, hasColumn } from './table.js';
import { problemWith } from './values.js';

export type Row =
  | { readonly line: number; readonly values: readonly (string | null)[] }
  | { readonly line: number; readonly problem: string };

export interface RowReader {
  /** The columns that rows carry; known after the first record. */
  readonly columns: readonly ProductColumn[];
  /** Columns of the input that are left to the server. */
  readonly ignored: readonly string[];
  read(record: RawRecord): Row;
}

/** What the server or every change sets by itself: an export holds them, an import leaves them alone. */
const KEPT_BY_SERVER = new Set(['version', 'created_at', 'updated_at']);

const isIgnored = (table: ProductTable, column: ProductColumn): boolean =>
  column.name !== table.key.name &&
  (column.managed || (KEPT_BY_SERVER.has(column.name) && column.default !== null));

const invalid = (line: number, message: string, hint?: string): RepctlError =>
  new RepctlError('import-invalid', `Line ${String(line)}: ${message}.`, {
    details: { line },
    ...(hint === undefined ? {} : { hint }),
  });

/**
 * Learns the columns from the first record: CSV's header, or the keys of the first NDJSON object (which is a row,
 * too). Throws RepctlError (exit 2): `import-invalid`, `unknown-column`.
 */
export function rowReader(table: ProductTable, format: InputFormat, first: RawRecord): RowReader {
  const names = headerOf(first, format, table);
  const duplicate = names.find((name, index) => names.indexOf(name) !== index);
  if (duplicate !== undefined)
    throw invalid(first.line, `column ${JSON.stringify(duplicate)} stands there twice`);
  const all = names.map((name) => columnOf(table, name));
  const positions = all
    .map((column, index) => ({ column, index }))
    .filter(({ column }) => !isIgnored(table, column));
  const columns = positions.map(({ column }) => column);
  const check = (line: number, values: (string | null)[]): Row => {
    for (const [index, column] of columns.entries()) {
      const value = values[index] ?? null;
      const isKey = column.name === table.key.name;
      const problem =
        value !== null
          ? problemWith(column, value, isKey)
          : isKey || (column.notNull && column.default === null)
            ? `${column.name} is empty`
            : undefined;
      if (problem !== undefined) return { line, problem };
    }
    return { line, values };
  };
  const known = new Set(names);
  return {
    columns,
    ignored: all.filter((column) => isIgnored(table, column)).map((column) => column.name),
    read(record) {
      const { line } = record;
      if ('problem' in record) return record;
      if ('fields' in record) {
        const { fields } = record;
        if (fields.length !== names.length)
          return {
            line,
            problem: `it has ${String(fields.length)} fields, the header has ${String(names.length)}`,
          };
        return check(
          line,
          positions.map(({ index }) => fields[index] ?? null),
        );
      }
      const object = parseObject(record.text);
      if (typeof object === 'string') return { line, problem: object };
      const missing = names.find((name) => !Object.hasOwn(object, name));
      if (missing !== undefined) return { line, problem: `${missing} is missing; the first line has it` };
      const extra = Object.keys(object).find((name) => !known.has(name));
      if (extra !== undefined) return { line, problem: `${extra} is not among the keys of the first line` };
      const values: (string | null)[] = [];
      for (const column of columns) {
        const value = textOf(column, object[column.name]);
        if (value !== null && typeof value === 'object') return { line, problem: value.problem };
        values.push(value);
      }
      return check(line, values);
    },
  };
}

function headerOf(first: RawRecord, format: InputFormat, table: ProductTable): string[] {
  if ('problem' in first) throw invalid(first.line, first.problem);
  let names: string[];
  if ('fields' in first) {
    names = first.fields.map((field) => (field ?? '').trim());
  } else {
    const object = parseObject(first.text);
    if (typeof object === 'string')
      throw invalid(first.line, object, format === 'ndjson' ? undefined : 'See --format.');
    names = Object.keys(object);
  }
  const unknown = names.filter((name) => !hasColumn(table, name));
  const known = `Columns: ${table.columns.map((column) => column.name).join(', ')}`;
  if (unknown.length > 0) {
    const guess =
      format === 'csv' && names.length === 1 && /[;\t]/.test(names[0] ?? '')
        ? 'Fields must be separated by commas.'
        : 'The first line of a CSV file must name its columns.';
    throw new RepctlError(
      'unknown-column',
      `Line ${String(first.line)}: there is no column ${unknown
        .slice(0, 5)
        .map((name) => JSON.stringify(name.slice(0, 60)))
        .join(', ')} in ${table.name}.`,
      { hint: format === 'csv' ? `${guess}\n${known}` : known, details: { line: first.line } },
    );
  }
  if (!names.includes(table.key.name))
    throw invalid(
      first.line,
      `column ${table.key.name} is missing: it says which product a line means`,
      known,
    );
  return names;
}

function parseObject(text: string): Record<string, unknown> | string {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return 'it is no valid JSON';
  }
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : 'it is no JSON object';
}

function textOf(column: ProductColumn, value: unknown): string | null | { problem: string } {
  if (value === null || value === undefined) return null;
  if (column.kind === 'json') return JSON.stringify(value);
  switch (typeof value) {
    case 'string':
      return value;
    case 'boolean':
      return String(value);
    case 'number':
      if (!Number.isFinite(value) || (Number.isInteger(value) && !Number.isSafeInteger(value)))
        return { problem: `${column.name} is a number that JSON cannot carry exactly; write it as a string` };
      return String(value);
    default:
      if (Array.isArray(value) && column.type.endsWith('[]')) return arrayText(value);
      return { problem: `${column.name} must be a single value` };
  }
}

/** A JSON array as PostgreSQL writes one: `{1,"a b",NULL}`. */
function arrayText(values: readonly unknown[]): string {
  const elements = values.map((value) => {
    if (value === null) return 'NULL';
    if (Array.isArray(value)) return arrayText(value);
    const text = typeof value === 'string' ? value : JSON.stringify(value);
    return `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
  });
  return `{${elements.join(',')}}`;
}
