/** sslmode as libpq means it, and verified TLS where nobody said anything and the host is another machine. */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { ConnectionOptions } from 'node:tls';
import { RepctlError, messageOf } from '../errors.js';
import type { ConnParams } from './conninfo.js';

const SSL_MODES = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'] as const;
export type SslMode = (typeof SSL_MODES)[number];

/** Connections that do not leave this machine. */
export function isLoopback(host: string): boolean {
  return host.startsWith('/') || host === 'localhost' || host === '::1' || /^127(?:\.\d{1,3}){3}$/.test(host);
}

/**
 * The mode in force: as given, else `disable` for this machine and `verify-full` for any other. (libpq's own
 * default, `prefer`, falls back to plain text for whoever stands in the middle.)
 */
export function sslModeOf(params: ConnParams): SslMode {
  const mode = params['sslmode'] ?? (isLoopback(params['host'] ?? '') ? 'disable' : 'verify-full');
  const known = SSL_MODES.find((candidate) => candidate === mode);
  if (known) return known;
  throw new RepctlError('url-invalid', `There is no sslmode ${JSON.stringify(mode)}.`, {
    hint: `Known modes: ${SSL_MODES.join(', ')}.`,
  });
}

/**
 * What node-postgres wants as `ssl`. `require` encrypts without checking the certificate, unless a root
 * certificate is named, as in libpq; `verify-ca` checks the chain, `verify-full` the host name too.
 */
export function sslOf(params: ConnParams, home: string): false | ConnectionOptions {
  const mode = sslModeOf(params);
  if (mode === 'disable' || mode === 'allow') return false;
  const own = (name: string): string | undefined => {
    const file = path.join(home, '.postgresql', name);
    return existsSync(file) ? file : undefined;
  };
  const root = params['sslrootcert'] ?? own('root.crt');
  const cert = params['sslcert'] ?? own('postgresql.crt');
  const key = params['sslkey'] ?? own('postgresql.key');
  const verify = mode === 'verify-full' || mode === 'verify-ca' || (mode === 'require' && root !== undefined);
  return {
    rejectUnauthorized: verify,
    // Where the address was given apart from the name (hostaddr), the certificate carries the name.
    ...(params['hostaddr'] === undefined ? {} : { servername: params['host'] ?? '' }),
    ...(mode === 'verify-full' ? {} : { checkServerIdentity: () => undefined }),
    // `system`: the certificate authorities that Node knows.
    ...(verify && root !== undefined && root !== 'system' ? { ca: read(root, 'sslrootcert') } : {}),
    ...(cert !== undefined && key !== undefined
      ? { cert: read(cert, 'sslcert'), key: read(key, 'sslkey') }
      : {}),
    ...(params['sslpassword'] === undefined ? {} : { passphrase: params['sslpassword'] }),
  };
}

function read(file: string, parameter: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new RepctlError('tls-file-unreadable', `${parameter}: ${messageOf(error)}`);
  }
}
