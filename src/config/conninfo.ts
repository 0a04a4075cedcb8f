/**
 * Connection strings as libpq reads them: postgres:// URLs and `key=value` pairs. Not the WHATWG URL class:
 * it takes `#` for a fragment and rewrites what it does not like, where libpq has neither.
 */
import { RepctlError } from '../errors.js';
import { nearest } from './nearest.js';

/** Connection parameters by libpq's names (`host`, `port`, `user`, `password`, `dbname`, `sslmode`, …). */
export type ConnParams = Readonly<Record<string, string>>;

/** Every keyword of PQconninfoOptions, 15 to 18. */
const KEYWORDS: readonly string[] = [
  ...['host', 'hostaddr', 'port', 'user', 'password', 'passfile', 'dbname', 'service', 'servicefile'],
  ...['connect_timeout', 'client_encoding', 'options', 'application_name', 'fallback_application_name'],
  ...['keepalives', 'keepalives_idle', 'keepalives_interval', 'keepalives_count', 'tcp_user_timeout'],
  ...['sslmode', 'sslnegotiation', 'sslcompression', 'sslcert', 'sslkey', 'sslcertmode', 'sslpassword'],
  ...['sslrootcert', 'sslcrl', 'sslcrldir', 'sslsni', 'ssl_min_protocol_version', 'ssl_max_protocol_version'],
  ...[
    'channel_binding',
    'require_auth',
    'requirepeer',
    'gssencmode',
    'krbsrvname',
    'gsslib',
    'gssdelegation',
  ],
  ...['min_protocol_version', 'max_protocol_version', 'replication', 'target_session_attrs'],
  ...['load_balance_hosts', 'scram_client_key', 'scram_server_key', 'sslkeylogfile'],
];

const EXAMPLE = 'postgres://user@host:5432/database';

/** Never quotes the text: what cannot be read may be, or hold, a password. */
function invalid(message: string, hint = `Write it as ${EXAMPLE}.`): RepctlError {
  return new RepctlError('url-invalid', message, { hint });
}

/** A URL or key=value string → its parameters. Throws RepctlError `url-invalid` (exit 2). */
export function parseConninfo(text: string): ConnParams {
  const trimmed = text.trim();
  const url = /^postgres(?:ql)?:\/\/(.*)$/su.exec(trimmed);
  const params = url ? parseUrl(url[1] ?? '') : parsePairs(trimmed);
  for (const key of Object.keys(params)) checkKeyword(key);
  const { port } = params;
  if (
    port !== undefined &&
    port !== '' &&
    !(/^\d{1,5}$/.test(port) && Number(port) >= 1 && Number(port) < 65536)
  )
    throw invalid('The port must be a number from 1 to 65535.');
  if ([params['host'], params['hostaddr'], port].some((value) => value?.includes(','))) {
    throw invalid(
      'Several hosts in one URL: a node is one server.',
      'Write each server as a node of its own.',
    );
  }
  return params;
}

function checkKeyword(key: string): void {
  if (KEYWORDS.includes(key)) return;
  const near = nearest(key, KEYWORDS);
  throw invalid(
    `A connection has no parameter ${JSON.stringify(key)}.`,
    near === undefined ? 'See the parameter key words of libpq.' : `Did you mean ${near}?`,
  );
}

function parseUrl(rest: string): ConnParams {
  const authority = /^[^/?]*/u.exec(rest)?.[0] ?? '';
  const tail = rest.slice(authority.length);
  const at = authority.indexOf('@');
  const credentials = at === -1 ? '' : authority.slice(0, at);
  const where = at === -1 ? authority : authority.slice(at + 1);
  if (where.includes('@')) throw unencoded('@');
  const query = tail.indexOf('?');
  const path = query === -1 ? tail : tail.slice(0, query);
  const search = query === -1 ? '' : tail.slice(query + 1);
  // postgres://u:pa/ss@host/db: the slash ended the host, and the real host shows up behind it.
  if (at === -1 && authority.includes(':') && path.includes('@')) throw unencoded('/');
  if (at === -1 && /^[^=&]*@/u.test(search)) throw unencoded('?');

  const params: Record<string, string> = {};
  if (at !== -1) {
    const colon = credentials.indexOf(':');
    params['user'] = decode(colon === -1 ? credentials : credentials.slice(0, colon), 'user');
    if (colon !== -1) params['password'] = decode(credentials.slice(colon + 1), 'password');
  }
  const host = /^(\[[^\]]*\]|[^:]*)(?::(.*))?$/u.exec(where);
  if (!host) throw invalid('The host and port could not be read.');
  params['host'] = decode((host[1] ?? '').replace(/^\[(.*)\]$/u, '$1'), 'host');
  if (host[2] !== undefined) params['port'] = host[2];
  if (path.length > 1) params['dbname'] = decode(path.slice(1), 'database');
  for (const pair of search === '' ? [] : search.split('&')) {
    const equals = pair.indexOf('=');
    if (equals === -1) throw invalid('A parameter after the ? has no value (name=value, joined with &).');
    const key = decode(pair.slice(0, equals), 'parameter');
    const value = decode(pair.slice(equals + 1), key);
    // JDBC's way to ask for TLS; libpq takes it too.
    if (key === 'ssl' && value === 'true') params['sslmode'] = 'require';
    else params[key] = value;
  }
  return Object.fromEntries(Object.entries(params).filter(([, value]) => value !== ''));
}

function unencoded(character: string): RepctlError {
  const code = `%${character.charCodeAt(0).toString(16).toUpperCase()}`;
  return invalid(
    `The URL has a ${character} where none belongs; in a user name or password it must be written ${code}.`,
    `Encode special characters (@ %40, : %3A, / %2F, ? %3F, % %25), or keep the password out of the URL: \${VAR}, PGPASSWORD or .pgpass.`,
  );
}

function decode(text: string, what: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw invalid(
      `The ${what} has a % that starts no encoded character; a plain % is written %25.`,
      'Encode special characters (@ %40, : %3A, / %2F, % %25), or use ${VAR}, which needs no encoding.',
    );
  }
}

/** `host=h user='a b'`: values bare or in single quotes, backslash escapes the next character. */
function parsePairs(text: string): ConnParams {
  const pair = /\s*([a-z_]+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|((?:[^\s'\\]|\\.)*))(?=\s|$)/suy;
  const params: Record<string, string> = {};
  while (pair.lastIndex < text.length) {
    const match = pair.exec(text);
    if (!match) throw invalid('Neither a postgres:// URL nor key=value pairs.');
    const value = (match[2] ?? match[3] ?? '').replaceAll(/\\(.)/gsu, '$1');
    if (match[1] !== undefined && value !== '') params[match[1]] = value;
  }
  if (Object.keys(params).length === 0) throw invalid('The connection URL is empty.');
  return params;
}
