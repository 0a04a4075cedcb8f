/** Identifiers and literals: the one place where text becomes part of an SQL statement. */

/** An identifier, always quoted: `a"b` → `"a""b"`. Throws on NUL, which PostgreSQL cannot hold. */
export function ident(name: string): string {
  if (name.includes('\0')) throw new RangeError('an identifier cannot contain NUL');
  return `"${name.replaceAll('"', '""')}"`;
}

/** A schema-qualified name: `"public"."products"`. */
export function qualified(table: { schema: string; name: string }): string {
  return `${ident(table.schema)}.${ident(table.name)}`;
}

/** A string literal that is safe whatever standard_conforming_strings says. */
export function literal(text: string): string {
  if (text.includes('\0')) throw new RangeError('a literal cannot contain NUL');
  const quoted = text.replaceAll("'", "''");
  return text.includes('\\') ? `E'${quoted.replaceAll('\\', '\\\\')}'` : `'${quoted}'`;
}

/** One `key=value` of a libpq connection string; the value is always quoted. */
export function conninfoPair(key: string, value: string): string {
  return `${key}='${value.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
