/** Passwords never reach a table, JSON, error, log or trace: everything printed passes through here. */

/** `postgres://u:secret@h/db` → `postgres://u:***@h/db`; `password=…` in a connection string → `password=***`. */
export function redact(text: string): string {
  return text
    .replace(/([a-z][a-z0-9+.-]*:\/\/[^:@/\s'"]*):[^\s'"]*@/gi, '$1:***@')
    .replace(/\b(password|sslpassword)(\s*=\s*)('(?:[^'\\]|\\.|'')*'|[^\s'"]+)/gi, '$1$2***');
}
