/** What can be done to a sandbox that is up: the entrance to this folder. */
import { configSchema, type ClusterConfig, type FileConfig } from '../config/schema.js';
import { RepctlError } from '../errors.js';
import { fillDisk, freeDisk } from './disk.js';
import { downSandbox } from './down.js';
import { type Cut, routesOf } from './faults.js';
import type { NodeProcessState, Sandbox, SandboxNode } from './model.js';
import { delayRoutes, setRoutes } from './proxy-control.js';
import type { RouteStatus } from './relay.js';
import { killServer, pauseServer, resumeServer, serverState, startServer, stopServer } from './server.js';

export { startSandbox, superuserSession, type Phase, type SandboxOptions } from './start.js';
export { diskProblem } from './disk.js';
export { readState } from './state.js';
export { proxyRuns, proxyStatus, startProxy, stopProxy } from './proxy-control.js';
export type { Passage, RouteStatus } from './relay.js';
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

/** Nothing more can be written to its disk, which must be one of its own. Throws `disk-unbounded`. */
export const fillNode = (sandbox: Sandbox, name: string): Promise<void> => fillDisk(nodeOf(sandbox, name));

/** Room on its disk again; a server that the full disk has brought down is started. */
export async function freeNode(sandbox: Sandbox, name: string): Promise<void> {
  await freeDisk(nodeOf(sandbox, name));
  await startNode(sandbox, name);
}

export const nodeState = (sandbox: Sandbox, name: string): Promise<NodeProcessState> =>
  serverState(nodeOf(sandbox, name));

export interface IsolateOptions extends Omit<Cut, 'node'> {
  /** Reset connections at once instead of silence. */
  readonly reset?: boolean;
}

/**
 * Cuts a node from the others: both directions of each link; existing connections fall silent (or are reset),
 * new ones get no answer. The clients' way to the node stays open unless `clients` says otherwise.
 * Returns the state of every route. Throws `proxy-off`, `proxy-unreachable`.
 */
export function isolate(
  sandbox: Sandbox,
  name: string,
  { reset = false, ...cut }: IsolateOptions = {},
): Promise<RouteStatus[]> {
  const routes = chosenRoutes(sandbox, name, cut);
  return setRoutes(sandbox, reset ? 'reset' : 'silent', routes);
}

/** Opens what isolate() cut: everything, or what concerns one node. */
export function heal(sandbox: Sandbox, name?: string, cut: Omit<Cut, 'node'> = {}): Promise<RouteStatus[]> {
  const routes =
    name === undefined
      ? (sandbox.proxy?.routes ?? []).map(({ from, to }) => `${from}>${to}`)
      : chosenRoutes(sandbox, name, { clients: 'with', ...cut });
  return setRoutes(sandbox, 'open', routes);
}

/**
 * Makes the links between nodes slow by `ms` each way, all of them or those of one node; 0 makes them quick again.
 * Clients are as near as before. Throws as isolate() does.
 */
export function delayLinks(sandbox: Sandbox, ms: number, name?: string): Promise<RouteStatus[]> {
  const links = (sandbox.proxy?.routes ?? []).filter(({ from }) => from !== 'clients');
  const routes =
    name === undefined ? links.map(({ from, to }) => `${from}>${to}`) : chosenRoutes(sandbox, name, {});
  return delayRoutes(sandbox, ms, routes);
}

function chosenRoutes(sandbox: Sandbox, name: string, cut: Omit<Cut, 'node'>): string[] {
  for (const each of [name, ...(cut.from ?? [])]) nodeOf(sandbox, each);
  return routesOf(sandbox.proxy?.routes ?? [], { node: name, ...cut });
}

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
  const { cluster, tables, sequenceGap, nodes, connectTimeout, statementTimeout, drainTimeout } =
    toFileConfig(sandbox);
  return {
    cluster,
    tables,
    sequenceGap,
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
