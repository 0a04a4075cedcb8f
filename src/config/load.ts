/**
 * Finds and reads the configuration. The first of these is taken, whole: --config, REPCTL_CONFIG, REPCTL_URL_*,
 * ./repctl.yaml, $XDG_CONFIG_HOME/repctl/config.yaml, a sandbox that is up.
 */
import { existsSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { RepctlError, messageOf } from '../errors.js';
import { parseConfigFile } from './file.js';
import { configDir, stateDir } from './paths.js';
import { type Env, resolveConnection } from './resolve.js';
import {
  type ClusterConfig,
  type FileConfig,
  type HooksConfig,
  type NodeConfig,
  NODE_NAME,
} from './schema.js';
import { hasReference } from './variables.js';

/** The file in which `sandbox up` leaves the configuration of the cluster that is up. */
export function sandboxConfigPath(env: Env = process.env): string {
  return path.join(stateDir(env), 'sandbox.yaml');
}

export interface LoadRequest {
  /** The value of --config, if given. */
  file?: string | undefined;
  env?: Env;
  cwd?: string;
}

/**
 * Throws RepctlError (exit 2): `config-missing`, `config-unreadable`, `config-invalid`, `variable-unset`,
 * `url-invalid`, `service-unknown`.
 */
export function loadConfig(request: LoadRequest = {}): ClusterConfig {
  const env = request.env ?? process.env;
  const cwd = request.cwd ?? process.cwd();
  const explicit = request.file ?? env['REPCTL_CONFIG'];
  // A URL made a path would be printed in a form that redaction no longer knows.
  if (explicit?.includes('://'))
    throw new RepctlError('config-unreadable', 'The configuration is a file, not a URL.', {
      hint: 'repctl init writes one; REPCTL_URL_N1=postgres://… names a node without a file.',
    });
  if (explicit !== undefined && explicit !== '') return readConfig(path.resolve(cwd, explicit), env);
  const fromEnvironment = environmentConfig(env);
  if (fromEnvironment) return fromEnvironment;
  const files = [path.join(cwd, 'repctl.yaml'), path.join(configDir(env), 'config.yaml')];
  const found = files.find((file) => existsSync(file));
  if (found !== undefined) return readConfig(found, env);
  const sandbox = sandboxConfigPath(env);
  if (existsSync(sandbox)) return { ...readConfig(sandbox, env), source: 'sandbox' };
  throw new RepctlError('config-missing', 'No configuration was found.', {
    hint: 'repctl init writes one; repctl sandbox up starts a cluster on this machine.',
    details: { searched: [...files, sandbox] },
  });
}

function readConfig(file: string, env: Env): ClusterConfig {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new RepctlError('config-unreadable', `${file}: ${reason(error)}`, {
      hint: 'repctl init writes a configuration.',
      details: { file },
    });
  }
  const config = parseConfig(text, file, env);
  const open = exposed(file, text);
  return open.length === 0 ? config : { ...config, warnings: [...open, ...(config.warnings ?? [])] };
}

/** The configuration in `text`; `file` is its name in errors and as the source. Throws as loadConfig does. */
export function parseConfig(text: string, file: string, env: Env = process.env): ClusterConfig {
  const { data, given, at } = parseConfigFile(text, file, env);
  const { nodes, connectTimeout, statementTimeout, drainTimeout, hooks, ...rest } = data;
  const list = Object.entries(nodes).map(([name, { replicationUrl, ...node }]) => ({
    name,
    ...node,
    ...(replicationUrl === undefined ? {} : { replicationUrl }),
  }));
  const warnings = checkNodes(list, env, at);
  return {
    ...rest,
    connectTimeoutMs: (given.includes('connectTimeout') ? connectTimeout : defaultConnectTimeout(env)) * 1000,
    statementTimeoutMs: statementTimeout * 1000,
    drainTimeoutMs: drainTimeout * 1000,
    nodes: list,
    ...(hooks === undefined ? {} : { hooks: hooksOf(hooks, file) }),
    source: file,
    ...(warnings.length === 0 ? {} : { warnings }),
  };
}

/** A program with a / in its name is found from where the file is, one without in PATH. */
function hooksOf({ timeout, ...hooks }: NonNullable<FileConfig['hooks']>, file: string): HooksConfig {
  const found = Object.entries(hooks).map(([hook, argv]) => {
    const [program = '', ...rest] = argv as readonly string[];
    return [hook, [program.includes('/') ? path.resolve(path.dirname(file), program) : program, ...rest]];
  });
  return { ...(Object.fromEntries(found) as Omit<HooksConfig, 'timeoutMs'>), timeoutMs: timeout * 1000 };
}

function reason(error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code;
  if (code === 'ENOENT') return 'there is no such file.';
  if (code === 'EACCES') return 'permission denied.';
  if (code === 'EISDIR') return 'this is a directory, not a file.';
  return messageOf(error);
}

/** Seconds: PGCONNECT_TIMEOUT (two at least, as libpq), else 3. */
function defaultConnectTimeout(env: Env): number {
  const seconds = Number(env['PGCONNECT_TIMEOUT'] ?? 0);
  return seconds > 0 ? Math.max(2, seconds) : 3;
}

/** A cluster of the REPCTL_URL_<NODE> variables; REPCTL_CLUSTER and REPCTL_TABLES (a,b) name the rest. */
function environmentConfig(env: Env): ClusterConfig | undefined {
  const prefix = 'REPCTL_URL_';
  const nodes = Object.keys(env)
    .filter((key) => key.startsWith(prefix) && (env[key] ?? '') !== '')
    .sort((a, b) => a.localeCompare(b, 'en', { numeric: true }))
    .map((key) => ({ name: key.slice(prefix.length).toLowerCase(), url: env[key] ?? '', priority: 100 }));
  if (nodes.length === 0) return undefined;
  const bad = nodes.find(({ name }) => !NODE_NAME.test(name));
  if (bad) {
    throw new RepctlError('config-invalid', `${prefix}${bad.name.toUpperCase()} names no node.`, {
      hint: `Write ${prefix}N1, ${prefix}N2, …: letters, digits and _.`,
    });
  }
  const warnings = checkNodes(nodes, env, (name) => `${prefix}${name.toUpperCase()}`);
  const tables = (env['REPCTL_TABLES'] ?? '')
    .split(',')
    .map((table) => table.trim())
    .filter((table) => table !== '');
  return {
    cluster: env['REPCTL_CLUSTER'] ?? 'repctl',
    ...(env['REPCTL_CLUSTER'] === undefined ? { clusterAssumed: true } : {}),
    tables: tables.length > 0 ? tables : ['public.products'],
    nodes,
    sequenceGap: 1000,
    connectTimeoutMs: defaultConnectTimeout(env) * 1000,
    statementTimeoutMs: 30_000,
    drainTimeoutMs: 10_000,
    source: 'environment',
    ...(warnings.length === 0 ? {} : { warnings }),
  };
}

/** Reads every URL now, so that a bad one is found with its place and before anything is touched. */
function checkNodes(
  nodes: readonly NodeConfig[],
  env: Env,
  at: (node: string, key: string, from?: string) => string,
): string[] {
  const warnings = new Set<string>();
  const seen = new Map<string, string>();
  for (const node of nodes) {
    const { params, warnings: some } = resolveAt(node.url, env, at(node.name, 'url'));
    for (const warning of some) warnings.add(warning);
    const target = [params['hostaddr'] ?? params['host'], params['port'], params['dbname']].join('\n');
    const other = seen.get(target);
    if (other !== undefined) {
      throw new RepctlError(
        'config-invalid',
        `${at(node.name, 'url')}: ${node.name} and ${other} are the same database.`,
        { hint: 'Each node is a database of its own; give each its own host, port or database name.' },
      );
    }
    seen.set(target, node.name);
    const { replicationUrl } = node;
    if (typeof replicationUrl === 'string') resolveAt(replicationUrl, env, at(node.name, 'replicationUrl'));
    for (const [from, url] of typeof replicationUrl === 'object' ? Object.entries(replicationUrl) : [])
      resolveAt(url, env, at(node.name, 'replicationUrl', from));
  }
  return [...warnings];
}

function resolveAt(url: string, env: Env, place: string): ReturnType<typeof resolveConnection> {
  try {
    return resolveConnection(url, env);
  } catch (error) {
    if (!(error instanceof RepctlError)) throw error;
    throw new RepctlError(error.code, `${place}: ${error.message}`, {
      ...(error.hint === undefined ? {} : { hint: error.hint }),
      details: { ...error.details, place },
      exit: error.exit,
      cause: error,
    });
  }
}

/** A password in plain text in a file that others can read. */
function exposed(file: string, text: string): string[] {
  if (process.platform === 'win32' || (statSync(file).mode & 0o077) === 0) return [];
  const plain = text
    .split('\n')
    .some((line) => /:\/\/[^/?@]*:[^@]+@|password\s*=/u.test(line) && !hasReference(line));
  return plain ? [`${file} holds a password and can be read by others: chmod 600 ${file}`] : [];
}
