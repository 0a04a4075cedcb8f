/**
 * Passwords never reach a table, JSON, error, log or trace: everything printed passes through here. In doubt
 * it hides too much: what follows `user:` in a postgres:// URL is a password unless it is a port.
 */

const URL_HEAD = String.raw`postgres(?:ql)?:\/\/[^:@/\s'"?]*`;
/** A reference to a variable is no secret. */
const NOT_REFERENCE = String.raw`(?!\$\{\w+(?::-)?\}@)`;
const NOT_PORT = String.raw`(?!\*\*\*|\d{1,5}(?![^/?\s'",;)\]]))`;

const RULES: readonly (readonly [RegExp, string])[] = [
  // postgres://u:secret@h, up to the last @ of the word
  [new RegExp(`(${URL_HEAD}):${NOT_REFERENCE}[^\\s'"]*@`, 'giu'), '$1:***@'],
  // the same with blanks or quotes in the password, as somebody may have typed it
  [new RegExp(`(${URL_HEAD}):${NOT_REFERENCE}${NOT_PORT}[^\\n]*@`, 'giu'), '$1:***@'],
  // cut off before the @
  [new RegExp(`(${URL_HEAD}):${NOT_REFERENCE}${NOT_PORT}[^\\s'"/?]+`, 'giu'), '$1:***'],
  // ?password=secret&…
  [/([?&]\w*password=)[^&\s'"]*/giu, '$1***'],
  // password=''secret'': a connection string within an SQL literal, quotes doubled (and backslashes, in E'')
  [/\b(\w*password\s*=\s*)''(?!')(?:[^'\\]|\\\\(?:\\\\|'')|\\''|\\\\)*''/giu, '$1***'],
  // password='secret', password=secret
  [/\b(\w*password\s*=\s*)(?!\*\*\*)(?:'(?:[^'\\]|\\.|'')*'?|(?:\\.|[^\s'"\\])+)/giu, '$1***'],
  // alter role x password 'secret'
  [/\b(password\s+)e?'(?:[^'\\]|\\.|'')*'?/giu, '$1***'],
  // "password": "secret"
  [/("\w*password"\s*:\s*)"(?:[^"\\]|\\.)*"?/giu, '$1"***"'],
];

/** `postgres://u:secret@h/db` → `postgres://u:***@h/db`; `password=…` in a connection string → `password=***`. */
export function redact(text: string): string {
  // Most lines have neither: two searches instead of eight.
  if (!/password|postgres(?:ql)?:\/\//iu.test(text)) return text;
  return RULES.reduce((result, [pattern, replacement]) => result.replace(pattern, replacement), text);
}

/** Every string within a value of JSON, redacted; keys stay. */
export function redactDeep<T>(value: T): T {
  if (typeof value === 'string') return redact(value) as T;
  if (Array.isArray(value)) return value.map((item: unknown) => redactDeep(item)) as T;
  if (typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype) {
    return Object.fromEntries(
      Object.entries(value).map(([key, item]: [string, unknown]) => [
        key,
        /^password$/iu.test(key) && typeof item === 'string' ? '***' : redactDeep(item),
      ]),
    ) as T;
  }
  return value;
}
