/**
 * What libpq adds to a connection string: service file, PG* variables, defaults, password file, in that order
 * (each fills only what is still missing), so that a URL means here what it means to psql.
 */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { homedir, userInfo } from 'node:os';
import path from 'node:path';
import { RepctlError, messageOf } from '../errors.js';
import { type ConnParams, parseConninfo } from './conninfo.js';

export type Env = Readonly<Record<string, string | undefined>>;

export interface Resolved {
  /** Always with host, port, user and dbname. */
  readonly params: ConnParams;
  /** The parameters that the string itself gave, without service, environment and defaults. */
  readonly given: ConnParams;
  /** What psql would warn of, such as a password file that others can read. */
  readonly warnings: readonly string[];
}

/** The PG* variables that take part, as libpq maps them. */
const VARIABLES: Readonly<Record<string, string>> = {
  host: 'PGHOST',
  hostaddr: 'PGHOSTADDR',
  port: 'PGPORT',
  dbname: 'PGDATABASE',
  user: 'PGUSER',
  password: 'PGPASSWORD',
  passfile: 'PGPASSFILE',
  options: 'PGOPTIONS',
  connect_timeout: 'PGCONNECT_TIMEOUT',
  channel_binding: 'PGCHANNELBINDING',
  sslmode: 'PGSSLMODE',
  sslnegotiation: 'PGSSLNEGOTIATION',
  sslcert: 'PGSSLCERT',
  sslkey: 'PGSSLKEY',
  sslrootcert: 'PGSSLROOTCERT',
};

/** Throws RepctlError (exit 2): `url-invalid`, `service-unknown`. */
export function resolveConnection(url: string, env: Env = process.env): Resolved {
  const given = parseConninfo(url);
  const merged: Record<string, string> = { ...readService(given, env), ...given };
  for (const [key, variable] of Object.entries(VARIABLES)) {
    const value = env[variable];
    if (merged[key] === undefined && value !== undefined && value !== '') merged[key] = value;
  }
  if (merged['host'] === undefined && merged['hostaddr'] === undefined) {
    throw new RepctlError('url-invalid', 'The URL names no host.', {
      hint: 'Write it as postgres://user@host:5432/database; a socket directory as ?host=/var/run/postgresql.',
    });
  }
  merged['host'] ??= merged['hostaddr'] ?? '';
  merged['port'] ??= '5432';
  merged['user'] ??= operatingSystemUser(env);
  merged['dbname'] ??= merged['user'];
  const warnings: string[] = [];
  if (merged['password'] === undefined) {
    const { password, warning } = readPassfile(merged, env);
    if (password !== undefined) merged['password'] = password;
    if (warning !== undefined) warnings.push(warning);
  }
  return { params: merged, given, warnings };
}

function operatingSystemUser(env: Env): string {
  try {
    return userInfo().username;
  } catch {
    // An account without an entry in passwd, as containers have.
    return env['USER'] ?? 'postgres';
  }
}

const home = (env: Env): string => env['HOME'] ?? homedir();

// ---- service file --------------------------------------------------------------------------------------

/** The section [service] of the user's service file, else of the system's. */
function readService(given: ConnParams, env: Env): ConnParams {
  const service = given['service'] ?? env['PGSERVICE'];
  if (service === undefined || service === '') return {};
  const own = given['servicefile'] ?? env['PGSERVICEFILE'] ?? path.join(home(env), '.pg_service.conf');
  const files = [own, path.join(env['PGSYSCONFDIR'] ?? '/etc/postgresql-common', 'pg_service.conf')];
  for (const file of files) {
    if (!existsSync(file)) continue;
    const found = parseServiceFile(readFileSync(file, 'utf8')).get(service);
    if (found) return found;
  }
  throw new RepctlError(
    'service-unknown',
    `The connection service ${JSON.stringify(service)} is not defined.`,
    {
      hint: `Looked in ${files.join(' and ')} for a section [${service}].`,
      details: { service, files },
    },
  );
}

/** Sections of `key=value` lines; `#` starts a comment line. */
export function parseServiceFile(text: string): ReadonlyMap<string, ConnParams> {
  const sections = new Map<string, Record<string, string>>();
  let current: Record<string, string> | undefined;
  for (const line of text.split(/\r?\n/u).map((raw) => raw.trim())) {
    if (line === '' || line.startsWith('#')) continue;
    const head = /^\[(.*)\]$/u.exec(line);
    if (head) {
      // As libpq: the first section of a name counts.
      current = {};
      const name = head[1] ?? '';
      if (!sections.has(name)) sections.set(name, current);
      continue;
    }
    const equals = line.indexOf('=');
    if (equals > 0 && current) current[line.slice(0, equals).trim()] = line.slice(equals + 1).trim();
  }
  return sections;
}

// ---- password file -------------------------------------------------------------------------------------

function readPassfile(params: ConnParams, env: Env): { password?: string; warning?: string } {
  const file = params['passfile'] ?? path.join(home(env), '.pgpass');
  try {
    const stat = statSync(file);
    if (!stat.isFile()) return { warning: `The password file ${file} is not a plain file; it is ignored.` };
    // The check of libpq, which ignores a password file that group or others can read.
    if (process.platform !== 'win32' && (stat.mode & 0o077) !== 0)
      return { warning: `The password file ${file} can be read by others and is ignored: chmod 600 ${file}` };
    const password = matchPassfile(readFileSync(file, 'utf8'), params);
    return password === undefined ? {} : { password };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {};
    return { warning: `The password file ${file} cannot be read: ${messageOf(error)}` };
  }
}

/** The password of the first line `host:port:database:user:password` that matches; `*` matches all. */
export function matchPassfile(text: string, params: ConnParams): string | undefined {
  // libpq looks a socket connection up under "localhost" when the directory is the built-in one.
  const host = params['host'] ?? '';
  const hosts = host.startsWith('/') ? [host, 'localhost'] : [host];
  for (const line of text.split(/\r?\n/u)) {
    if (line.startsWith('#')) continue;
    const fields = splitEntry(line);
    if (fields.length < 5) continue;
    const [entryHost = '', port = '', database = '', user = ''] = fields;
    const matches =
      (entryHost === '*' || hosts.includes(entryHost)) &&
      (port === '*' || port === params['port']) &&
      (database === '*' || database === params['dbname']) &&
      (user === '*' || user === params['user']);
    if (matches) return fields[4];
  }
  return undefined;
}

/** Fields between colons, at most five; a backslash keeps the next character. */
function splitEntry(line: string): string[] {
  const fields: string[] = [];
  let field = '';
  for (let i = 0; i < line.length; i += 1) {
    if (line[i] === '\\' && i + 1 < line.length) {
      i += 1;
      field += line.charAt(i);
    } else if (line[i] === ':' && fields.length < 4) {
      fields.push(field);
      field = '';
    } else field += line.charAt(i);
  }
  return [...fields, field];
}
