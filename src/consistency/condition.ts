/**
 * `--where`: a condition on the key that narrows what is scanned. It becomes part of statements, so it is looked at
 * twice: here, that it is one expression that cannot end the statement or ask anything else, and by the server, that
 * it is a condition on the key's columns.
 */
import { RepctlError } from '../errors.js';
import { ident } from '../postgres/quote.js';
import type { Session } from '../postgres/session.js';
import { sqlStateOf } from '../postgres/sqlstate.js';
import type { TableShape } from './shape.js';

const refusal = (message: string, details: Record<string, unknown> = {}): RepctlError =>
  new RepctlError('bad-condition', `--where: ${message}`, {
    hint: `One condition on the key's columns, such as "id >= 1000 and id < 2000".`,
    details,
  });

/** A string, a quoted identifier, a word, a number, or one character. Dollar quotes have no part in a condition. */
const TOKEN =
  /\s+|[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|"(?:[^"]|"")+"|[\p{L}_][\p{L}\p{N}_]*|\d[\d.eE_]*|--|\/\*|./gsu;

/** Words that begin a query of its own, or name another schema's operator. */
const QUERIES = new Set(['select', 'table', 'values', 'with', 'from', 'into', 'operator', 'returning']);
/** Words that look like a function's name before a parenthesis. */
const KEYWORDS = new Set([
  'and',
  'or',
  'not',
  'in',
  'any',
  'all',
  'some',
  'between',
  'is',
  'then',
  'else',
  'when',
  'case',
  'array',
  'row',
  'like',
  'ilike',
  'to',
  'escape',
  'numeric',
  'varchar',
  'char',
  'bit',
  'timestamp',
  'timestamptz',
  'time',
  'interval',
]);

/** Names of functions that it calls. Throws `bad-condition` (exit 2) unless it is a single expression; pure. */
export function readCondition(text: string): readonly string[] {
  if (text.trim() === '') throw refusal('it is empty.');
  if (text.includes('\0')) throw refusal('it holds a NUL.');
  const tokens = (text.match(TOKEN) ?? []).filter((token) => token.trim() !== '');
  const functions: string[] = [];
  let depth = 0;
  for (const [index, token] of tokens.entries()) {
    const at = (what: string) => refusal(`${what} has no place in a condition.`, { token });
    if (token === ';' || token === '--' || token === '/*' || token === '$' || token === '\\') throw at(token);
    if (token === "'" || token === '"') throw refusal(`a quote (${token}) is not closed.`);
    if (token === '.') throw at('a qualified name');
    if (QUERIES.has(token.toLowerCase())) throw at(token);
    if (token === '(') {
      depth += 1;
      const name = tokens[index - 1] ?? '';
      if (/^["\p{L}_]/u.test(name) && !KEYWORDS.has(name.toLowerCase()) && !/^[eE]?'/u.test(name))
        functions.push(name.startsWith('"') ? name.slice(1, -1).replaceAll('""', '"') : name.toLowerCase());
    }
    if (token === ')') depth -= 1;
    if (depth < 0) throw refusal('a closing parenthesis has no opening one.');
  }
  if (depth > 0) throw refusal('a parenthesis is not closed.');
  return functions;
}

/** $1: names. Those that are no function of PostgreSQL's own, or one that may do something. */
const ACTING_SQL = `
  select w.name from unnest($1::text[]) w(name)
  where not exists (select from pg_catalog.pg_proc p where p.proname = w.name and p.pronamespace = 'pg_catalog'::regnamespace)
     or exists (select from pg_catalog.pg_proc p where p.proname = w.name and p.pronamespace = 'pg_catalog'::regnamespace
                and p.provolatile = 'v')`;

/**
 * Has the server parse and plan the condition on the table's key, without running anything. Session pinned for digests
 * (search_path is pg_catalog). Throws `bad-condition` (exit 2) with the server's message and its place.
 */
export async function proveCondition(session: Session, shape: TableShape, text: string): Promise<void> {
  const functions = readCondition(text);
  const table = `${shape.schema}.${shape.name}`;
  if (shape.key.length === 0) throw refusal(`${table} has no key that it could be a condition on.`);
  const acting = functions.length === 0 ? [] : await session.query<{ name: string }>(ACTING_SQL, [functions]);
  if (acting.length > 0)
    throw refusal(
      `${acting.map(({ name }) => `${name}()`).join(', ')} may not be called: only functions of PostgreSQL's own that do nothing but compute.`,
    );
  const columns = shape.key.map((name) => {
    const type = shape.columns.find((column) => column.name === name)?.type ?? 'text';
    return `null::${type} as ${ident(name)}`;
  });
  const before = `explain (costs off) select from (select ${columns.join(', ')} offset 0) t where (`;
  try {
    // Parameters, even none, make it the extended protocol: one statement, whatever the text says.
    await session.query(`${before}${text})`, []);
  } catch (error) {
    const state = sqlStateOf(error);
    if (state === undefined || /^(?:08|57|53)/u.test(state)) throw error;
    throw serverRefusal(error as RepctlError, text, before.length, `${table}: key (${shape.key.join(', ')})`);
  }
}

function serverRefusal(error: RepctlError, text: string, offset: number, key: string): RepctlError {
  const { position } = (error.cause ?? {}) as { position?: string };
  const place = position === undefined ? Number.NaN : Number(position) - offset;
  const known = place >= 1 && place <= text.length;
  return new RepctlError(
    'bad-condition',
    `--where: ${error.message}${known ? `, at character ${String(place)}` : ''}`,
    {
      hint: `${known ? `  ${text}\n  ${' '.repeat(place - 1)}^\n` : ''}It may name the key alone. ${key}`,
      details: { ...error.details, ...(known ? { position: place } : {}) },
      cause: error,
    },
  );
}
