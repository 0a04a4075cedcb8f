/** A node's URL as the client library wants it. */
import type pg from 'pg';
import { RepctlError } from '../errors.js';

/** Throws RepctlError `url-invalid` (exit 2) when the text is no postgres:// URL with a host. */
export function connectionOf(url: string): pg.ClientConfig {
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch {
    throw new RepctlError('url-invalid', 'A node URL could not be read.', {
      hint: 'Write it as postgres://user:password@host:5432/database; encode special characters (@ is %40).',
    });
  }
  return {
    host: parsed.hostname,
    port: parsed.port === '' ? 5432 : Number(parsed.port),
    user: decodeURIComponent(parsed.username),
    password: decodeURIComponent(parsed.password),
    database: decodeURIComponent(parsed.pathname.slice(1)),
  };
}
