/** What the sandbox commands do to nodes, and what they show of a sandbox: results as plain data. */
import type { NodeProcessState, Passage, RouteStatus, Sandbox } from './sandbox.js';
import { type ProcessInfo } from './process.js';
import { proxyRuns, proxyStatus, startProxy } from './proxy-control.js';
import { killNode, nodeOf, nodeState, pauseNode, resumeNode, startNode, stopNode } from './sandbox.js';
import { serverProcesses } from './server.js';
import { writeState } from './state.js';

export type NodeAction = 'kill' | 'stop' | 'start' | 'pause' | 'resume';

export interface NodeOutcome {
  readonly name: string;
  readonly before: NodeProcessState;
  readonly state: NodeProcessState;
  readonly ms: number;
}

export interface ActionResult {
  readonly action: NodeAction;
  readonly nodes: readonly NodeOutcome[];
}

const ACTIONS: Readonly<Record<NodeAction, (sandbox: Sandbox, name: string) => Promise<unknown>>> = {
  kill: killNode,
  stop: stopNode,
  start: startNode,
  pause: pauseNode,
  resume: resumeNode,
};

/** Does it to all the nodes at once. Throws `unknown-node` (exit 2) before anything is done, and what the action throws. */
export async function actOn(
  sandbox: Sandbox,
  names: readonly string[],
  action: NodeAction,
): Promise<ActionResult> {
  for (const name of names) nodeOf(sandbox, name);
  if (action === 'start') await reviveProxy(sandbox);
  const nodes = await Promise.all(
    [...new Set(names)].map(async (name) => {
      const before = await nodeState(sandbox, name);
      const start = performance.now();
      await ACTIONS[action](sandbox, name);
      const ms = Math.round(performance.now() - start);
      return { name, before, state: await nodeState(sandbox, name), ms };
    }),
  );
  return { action, nodes };
}

/** A proxy that was killed is started again, with every route open. */
async function reviveProxy(sandbox: Sandbox): Promise<void> {
  if (!sandbox.proxy || (await proxyRuns(sandbox))) return;
  await writeState({ ...sandbox, proxy: await startProxy(sandbox) });
}

export interface CutRoute {
  readonly from: string;
  readonly to: string;
  readonly passage: Passage;
}

export interface SandboxStatus {
  readonly up: true;
  readonly directory: string;
  readonly cluster: string;
  readonly startedAt: string;
  /** The account that the servers run under, where it is not the caller's own. */
  readonly account: string | null;
  readonly nodes: readonly {
    readonly name: string;
    readonly state: NodeProcessState;
    readonly version: string;
    /** The server's own port, and the one for clients (the same without the proxy). */
    readonly port: number;
    readonly clientPort: number;
    readonly pid: number | null;
    readonly processes: number;
    readonly url: string;
    readonly dataDirectory: string;
    readonly logFile: string;
  }[];
  readonly proxy: {
    readonly running: boolean;
    readonly pid: number;
    readonly cut: readonly CutRoute[];
  } | null;
}

export async function describeSandbox(sandbox: Sandbox): Promise<SandboxStatus> {
  const nodes = await Promise.all(
    sandbox.nodes.map(async (node) => {
      const found = await serverProcesses(node);
      const all: readonly ProcessInfo[] = found?.all ?? [];
      return {
        name: node.name,
        state: await nodeState(sandbox, node.name),
        version: node.version,
        port: node.port,
        clientPort: Number(new URL(node.url).port),
        pid: found?.postmaster.pid ?? null,
        processes: all.length,
        url: node.url,
        dataDirectory: node.dataDirectory,
        logFile: node.logFile,
      };
    }),
  );
  const running = await proxyRuns(sandbox);
  return {
    up: true,
    directory: sandbox.directory,
    cluster: sandbox.cluster,
    startedAt: sandbox.startedAt,
    account: sandbox.account?.name ?? null,
    nodes,
    proxy: sandbox.proxy && {
      running,
      pid: sandbox.proxy.pid,
      cut: running ? cutRoutes(await proxyStatus(sandbox)) : [],
    },
  };
}

export const cutRoutes = (routes: readonly RouteStatus[]): CutRoute[] =>
  routes.filter((route) => route.passage !== 'open').map(({ from, to, passage }) => ({ from, to, passage }));

/** The variables that `sandbox env` exports, passwords included. */
export function environment(
  sandbox: Sandbox,
  options: { superuser: boolean; direct: boolean },
): Record<string, string> {
  return Object.fromEntries(
    sandbox.nodes.map((node) => [
      `REPCTL_URL_${node.name.toUpperCase()}`,
      options.superuser ? node.superuserUrl : options.direct ? node.directUrl : node.url,
    ]),
  );
}
