/** What can be done to a sandbox that is up: the entrance to this folder. */
import { configSchema, type ClusterConfig, type FileConfig } from '../config/schema.js';
import { RepctlError } from '../errors.js';
import { downSandbox } from './down.js';
import type { NodeProcessState, Sandbox, SandboxNode } from './model.js';
import { killServer, pauseServer, resumeServer, serverState, startServer, stopServer } from './server.js';

export { startSandbox, superuserSession, type Phase, type SandboxOptions } from './start.js';
export { readState } from './state.js';
export type { NodeProcessState, Sandbox, SandboxNode } from './model.js';

/** Throws RepctlError `unknown-node` (exit 2) with the known names. */
export function nodeOf(sandbox: Sandbox, name: string): SandboxNode {
  const node = sandbox.nodes.find((candidate) => candidate.name === name);
  if (node) return node;
  throw new RepctlError('unknown-node', `There is no node ${name} in this sandbox.`, {
    hint: `Known nodes: ${sandbox.nodes.map((one) => one.name).join(', ')}`,
  });
}

/** SIGKILL of the postmaster and its children; the number of processes killed, 0 when it was not running. */
export const killNode = (sandbox: Sandbox, name: string): Promise<number> =>
  killServer(nodeOf(sandbox, name));

/** A proper shutdown: sessions are ended, a checkpoint is written. */
export const stopNode = (sandbox: Sandbox, name: string): Promise<void> =>
  stopServer(nodeOf(sandbox, name), sandbox);

/** Starts a node that is stopped or was killed; returns when it accepts connections. */
export async function startNode(sandbox: Sandbox, name: string): Promise<void> {
  const node = nodeOf(sandbox, name);
  const state = await serverState(node);
  if (state === 'stopped' || state === 'crashed') await startServer(node, sandbox);
  else if (state === 'paused') await resumeServer(node);
}

/** SIGSTOP of all its processes: it hangs, its connections stay open and silent. The number of processes. */
export const pauseNode = (sandbox: Sandbox, name: string): Promise<number> =>
  pauseServer(nodeOf(sandbox, name));

/** SIGCONT of all its processes. The number of processes. */
export const resumeNode = (sandbox: Sandbox, name: string): Promise<number> =>
  resumeServer(nodeOf(sandbox, name));

export const nodeState = (sandbox: Sandbox, name: string): Promise<NodeProcessState> =>
  serverState(nodeOf(sandbox, name));

/** Leaves no process, socket or file, whatever state the sandbox is in. */
export const down = (sandbox: Sandbox): Promise<void> => downSandbox(sandbox);

/** repctl.yaml for the sandbox, passwords included. */
export function toFileConfig(sandbox: Sandbox): FileConfig {
  return configSchema.parse({
    cluster: sandbox.cluster,
    nodes: Object.fromEntries(
      sandbox.nodes.map((node) => [
        node.name,
        { url: node.url, ...(sandbox.proxy ? { replicationUrl: node.replicationUrlFrom } : {}) },
      ]),
    ),
  });
}

/** The configuration that the domain works with. */
export function toClusterConfig(sandbox: Sandbox): ClusterConfig {
  const { nodes, connectTimeout, statementTimeout, drainTimeout, ...rest } = toFileConfig(sandbox);
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
    source: 'sandbox',
  };
}
