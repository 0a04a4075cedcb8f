/** Which nodes a configuration has, and where that is written down. */
import { EXIT, RepctlError } from '../errors.js';
import { sandboxConfigPath } from './load.js';
import { redact } from './redact.js';
import { type ClusterConfig, NODE_NAME, type NodeConfig } from './schema.js';
import { interpolate } from './variables.js';

/** The file that holds the nodes. Throws `config-not-a-file` (exit 2) when they come from the environment. */
export function configFile(config: ClusterConfig): string {
  if (config.source === 'sandbox') return sandboxConfigPath();
  if (config.source !== 'environment') return config.source;
  throw new RepctlError(
    'config-not-a-file',
    'The nodes come from REPCTL_URL_* variables, so there is no file to change.',
    {
      hint: 'repctl init writes a configuration file.',
    },
  );
}

export interface NewNode {
  readonly name: string;
  /** As typed: may hold ${VAR}, must not hold a password. */
  readonly url: string | undefined;
  readonly priority: number | undefined;
}

/**
 * The configuration with one node more. `entry` is what belongs into the file; undefined when the node is there
 * already (an interrupted `node add` goes on). Throws (exit 2) `node-exists`, `node-name-invalid`, `url-missing`,
 * `password-in-argument`.
 */
export function withNode(
  config: ClusterConfig,
  { name, url, priority }: NewNode,
): { config: ClusterConfig; entry: Readonly<Record<string, unknown>> | undefined } {
  const usage = (code: string, message: string, hint: string) =>
    new RepctlError(code, message, { exit: EXIT.usage, hint });
  const existing = config.nodes.some((node) => node.name === name);
  if (existing && url === undefined) return { config, entry: undefined };
  if (existing)
    throw usage(
      'node-exists',
      `Node ${name} is in the configuration already.`,
      `repctl node add ${name} goes on with it.`,
    );
  if (!NODE_NAME.test(name))
    throw usage(
      'node-name-invalid',
      `${JSON.stringify(name)} cannot be a node's name.`,
      'Use a-z, 0-9 and _, at most 30, a letter first.',
    );
  if (url === undefined)
    throw usage(
      'url-missing',
      `Node ${name} is not in the configuration, so its URL is needed.`,
      `repctl node add ${name} URL`,
    );
  if (redact(url) !== url && !/:\$\{\w+\}@/.test(url))
    throw usage(
      'password-in-argument',
      'A password on the command line is seen by everybody on this machine.',
      `Write \${VAR} in its place (in single quotes), or use PGPASSWORD or .pgpass.`,
    );
  const node: NodeConfig = { name, url: interpolate(url, process.env, 'URL'), priority: priority ?? 100 };
  return {
    config: { ...config, nodes: [...config.nodes, node] },
    entry: { url, ...(priority === undefined ? {} : { priority }) },
  };
}
