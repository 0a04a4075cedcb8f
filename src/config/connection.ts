/** A node's URL as the client library wants it, and as other servers want it (a subscription's connection). */
import { homedir } from 'node:os';
import type pg from 'pg';
import { EXIT, RepctlError } from '../errors.js';
import { conninfoPair } from '../postgres/quote.js';
import { type Env, resolveConnection } from './resolve.js';
import { isLoopback, sslModeOf, sslOf } from './tls.js';

/**
 * Accepts postgres:// URLs and key=value strings, and what libpq adds to them (PG* variables, service file,
 * .pgpass). Throws RepctlError (exit 2): `url-invalid`, `service-unknown`, `tls-file-unreadable`.
 */
export function connectionOf(url: string, env: Env = process.env): pg.ClientConfig {
  const { params } = resolveConnection(url, env);
  const { host = '', hostaddr, port, user = '', dbname = '', password } = params;
  const seconds = Number(params['connect_timeout'] ?? 0);
  return {
    host: hostaddr ?? host,
    port: Number(port),
    user,
    database: dbname,
    // A function is asked only when the server wants a password, and keeps the library from looking for one.
    password: password ?? (() => noPassword(user, host)),
    ssl: sslOf(params, env['HOME'] ?? homedir()),
    ...(params['sslnegotiation'] === 'direct' ? { sslnegotiation: 'direct' } : {}),
    ...(params['channel_binding'] === 'require' ? { enableChannelBinding: true } : {}),
    ...(params['options'] === undefined ? {} : { options: params['options'] }),
    // libpq: zero or negative means to wait for ever, and less than two seconds means two.
    ...(seconds > 0 ? { connectionTimeoutMillis: Math.max(2, seconds) * 1000 } : {}),
  };
}

function noPassword(user: string, host: string): never {
  throw new RepctlError('password-missing', `${host} asks for the password of ${user}, and there is none.`, {
    exit: EXIT.unreachable,
    hint: 'Put ${VAR} into the URL, set PGPASSWORD, or add a line to ~/.pgpass.',
  });
}

/** Not for the other servers: they concern this process or this machine. */
const LOCAL_ONLY = new Set([
  ...['service', 'servicefile', 'passfile', 'application_name', 'fallback_application_name'],
  ...['client_encoding', 'options', 'replication', 'target_session_attrs', 'load_balance_hosts'],
]);

/**
 * The connection string of a subscription: libpq's key=value form, every value quoted, with user, database and
 * password spelled out, because the server that uses it has another environment (and without superuser the
 * password must be in the string). Between machines the connection is encrypted (`sslmode=require`) unless the
 * URL says otherwise: whether certificates can be verified depends on files of that server.
 */
export function conninfoOf(
  url: string,
  extra: { readonly application_name: string },
  env: Env = process.env,
): string {
  const { params, given } = resolveConnection(url, env);
  const { host = '', port = '', user = '', dbname = '', password, sslmode } = params;
  const wanted: Record<string, string> = { host, port, user, dbname };
  if (password !== undefined) wanted['password'] = password;
  if (sslmode !== undefined) wanted['sslmode'] = sslModeOf(params);
  else if (!isLoopback(host)) wanted['sslmode'] = 'require';
  for (const [key, value] of Object.entries(given)) {
    if (!LOCAL_ONLY.has(key)) wanted[key] ??= value;
  }
  wanted['application_name'] = extra.application_name;
  return Object.entries(wanted)
    .map(([key, value]) => conninfoPair(key, value))
    .join(' ');
}

/** Neon and others mark a pooled (PgBouncer) endpoint by `-pooler` in the first label of the host name. */
export function isPooledHost(url: string, env: Env = process.env): boolean {
  const host = resolveConnection(url, env).params['host'] ?? '';
  return /^[^.]*-pooler(?:\.|$)/u.test(host);
}

/**
 * Refuses a pooled host for all but plain reads and writes: sessions do not last there, so advisory locks,
 * replication and `set` do not hold. Throws RepctlError `pooled-host` (exit 6).
 */
export function assertDirectHost(node: { readonly name: string; readonly url: string }): void {
  if (!isPooledHost(node.url)) return;
  throw new RepctlError('pooled-host', `${node.name} is reached through a connection pooler.`, {
    exit: EXIT.refused,
    hint: 'Use the direct host: the same name without -pooler.',
    details: { node: node.name },
  });
}
