/** Finds and reads the configuration: flag, REPCTL_CONFIG, ./repctl.yaml, XDG, then a sandbox that is up. */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { parse } from 'yaml';
import { RepctlError, messageOf } from '../errors.js';
import { configDir, stateDir } from './paths.js';
import { type ClusterConfig, configSchema } from './schema.js';

type Env = Readonly<Record<string, string | undefined>>;

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

/** Throws RepctlError (exit 2): `config-missing`, `config-unreadable`, `config-invalid`. */
export function loadConfig(request: LoadRequest = {}): ClusterConfig {
  const env = request.env ?? process.env;
  const file = locate(request.file ?? env['REPCTL_CONFIG'], env, request.cwd ?? process.cwd());
  let raw: unknown;
  try {
    raw = parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new RepctlError('config-unreadable', `${file}: ${messageOf(error)}`);
  }
  const result = configSchema.safeParse(raw);
  if (!result.success) {
    const issues = result.error.issues.map((issue) => `${issue.path.join('.') || '(top)'}: ${issue.message}`);
    throw new RepctlError('config-invalid', `${file}: ${issues.join('; ')}`, { details: { file, issues } });
  }
  const { nodes, connectTimeout, statementTimeout, drainTimeout, ...rest } = result.data;
  return {
    ...rest,
    connectTimeoutMs: connectTimeout * 1000,
    statementTimeoutMs: statementTimeout * 1000,
    drainTimeoutMs: drainTimeout * 1000,
    nodes: Object.entries(nodes).map(([name, { replicationUrl, ...node }]) => ({
      name,
      ...node,
      ...(replicationUrl === undefined ? {} : { replicationUrl }),
    })),
    source: file,
  };
}

function locate(explicit: string | undefined, env: Env, cwd: string): string {
  if (explicit !== undefined) return path.resolve(cwd, explicit);
  const candidates = [
    path.join(cwd, 'repctl.yaml'),
    path.join(configDir(env), 'config.yaml'),
    sandboxConfigPath(env),
  ];
  const found = candidates.find((candidate) => existsSync(candidate));
  if (found !== undefined) return found;
  throw new RepctlError('config-missing', 'No configuration was found.', {
    hint: 'repctl init writes one; repctl sandbox up starts a cluster on this machine.',
    details: { searched: candidates },
  });
}
