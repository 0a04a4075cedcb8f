/** `sandbox up` as a whole: what is there already, bare servers, products, cluster, the configuration. */
import { openFleet } from '../cluster/fleet.js';
import { EXIT, RepctlError } from '../errors.js';
import { planCreate } from '../operations/create.js';
import { runOperation } from '../operations/run.js';
import type { Journal } from '../plan/journal.js';
import { PRODUCTS, productsTableSql } from '../products/schema.js';
import { loadSeed } from '../products/seed.js';
import { currentDirectory, findSandbox, forget, pointTo, rememberConfig } from './current.js';
import type { NodeProcessState, Sandbox } from './model.js';
import { lastLines } from './follow.js';
import { programFailed } from './server.js';
import { down, nodeState, toClusterConfig } from './sandbox.js';
import { type Phase, type SandboxOptions, startSandbox } from './start.js';
import { readState } from './state.js';

export type UpPhase = Phase | 'products' | 'cluster';

export interface UpRequest extends Omit<SandboxOptions, 'onPhase'> {
  /** Build the repctl cluster: n1 leads, the others follow. */
  withCluster: boolean;
  /** Seeded products on the leader, before its replicas copy them. */
  products: number;
  journal: Journal;
  onPhase?: ((phase: UpPhase, ms: number) => void) | undefined;
}

export interface UpResult {
  readonly directory: string;
  readonly cluster: string;
  /** Whether the repctl cluster was built, or the servers are bare. */
  readonly created: boolean;
  readonly leader: string | null;
  readonly products: number;
  readonly proxy: boolean;
  readonly nodes: readonly { readonly name: string; readonly version: string; readonly url: string }[];
  readonly phases: readonly { readonly phase: UpPhase; readonly ms: number }[];
  readonly totalMs: number;
}

/**
 * Starts a sandbox and makes it the current one. A crashed one is removed first; one that is up is left alone.
 * Whatever fails, nothing is left behind. Throws RepctlError: `sandbox-up` (exit 6) and what the parts throw.
 */
export async function upSandbox(request: UpRequest): Promise<UpResult> {
  const start = performance.now();
  const phases: { phase: UpPhase; ms: number }[] = [];
  const onPhase = (phase: UpPhase, ms: number): void => {
    phases.push({ phase, ms: Math.round(ms) });
    request.onPhase?.(phase, ms);
  };
  for (const directory of new Set([await currentDirectory(), request.directory]))
    if (directory !== undefined) await makeWay(directory, request.notice);
  await pointTo(request.directory);
  let sandbox: Sandbox;
  try {
    sandbox = await startSandbox({ ...request, onPhase });
    try {
      await rememberConfig(sandbox);
      await fill(sandbox, request, onPhase);
    } catch (error) {
      const explained = await explain(sandbox, error);
      await down(sandbox);
      throw explained;
    }
  } catch (error) {
    await forget(request.directory);
    throw error;
  }
  return {
    directory: sandbox.directory,
    cluster: sandbox.cluster,
    created: request.withCluster,
    leader: request.withCluster ? 'n1' : null,
    products: request.products,
    proxy: sandbox.proxy !== null,
    nodes: sandbox.nodes.map(({ name, version, url }) => ({ name, version, url })),
    phases,
    totalMs: Math.round(performance.now() - start),
  };
}

/** A server that ran out of space panics, and its client only sees the connection go: the log knows why. */
async function explain(sandbox: Sandbox, error: unknown): Promise<unknown> {
  for (const node of sandbox.nodes) {
    const { lines } = await lastLines(node.logFile, 200).catch(() => ({ lines: [] }));
    const text = lines.join('\n');
    if (text.includes('No space left on device')) return programFailed('disk-full', 'postgres', node, text);
  }
  return error;
}

/** Products on the first node, then the cluster: copying tables is faster than replaying their rows. */
async function fill(
  sandbox: Sandbox,
  request: UpRequest,
  onPhase: (phase: UpPhase, ms: number) => void,
): Promise<void> {
  const config = toClusterConfig(sandbox);
  const fleet = openFleet(config);
  try {
    if (request.products > 0) {
      const start = performance.now();
      const leader = await fleet.session('n1');
      for (const statement of productsTableSql) await leader.simple(statement);
      await loadSeed(leader, request.products);
      onPhase('products', performance.now() - start);
    }
    if (request.withCluster) {
      const start = performance.now();
      await runOperation(
        (snapshot) => planCreate(snapshot, config, { tables: [PRODUCTS], products: true, prefilled: [] }),
        { fleet, journal: request.journal, reason: 'sandbox up', signal: request.signal },
      );
      onPhase('cluster', performance.now() - start);
    }
  } finally {
    await fleet.close();
  }
}

/** Ends and removes the sandbox in `directory`, or the current one. Returns its directory, if there was one. */
export async function downCurrent(directory?: string): Promise<string | undefined> {
  const sandbox = await findSandbox(directory);
  const pointed = await currentDirectory();
  if (sandbox) await down(sandbox);
  // A pointer to a directory that somebody removed by hand goes, too.
  if (directory === undefined && pointed !== undefined) await forget(pointed);
  else if (sandbox) await forget(sandbox.directory);
  return sandbox?.directory;
}

/** Throws `sandbox-up` when a sandbox is alive there; removes one that crashed or was left half started. */
async function makeWay(directory: string, notice?: (text: string) => void): Promise<void> {
  const sandbox = await readState(directory);
  if (!sandbox) {
    await forget(directory);
    return;
  }
  const states = await Promise.all(sandbox.nodes.map(({ name }) => nodeState(sandbox, name)));
  const verdict = judge(sandbox, states, isAlive(sandbox.starterPid));
  const list = sandbox.nodes.map(({ name }, index) => `${name} ${states[index] ?? ''}`).join(', ');
  if (verdict === 'starting')
    throw new RepctlError('sandbox-up', `A sandbox is just being started in ${directory}.`, {
      exit: EXIT.refused,
      hint: 'repctl sandbox status shows it.',
      details: { directory, pid: sandbox.starterPid },
    });
  if (verdict === 'alive')
    throw new RepctlError('sandbox-up', `A sandbox is up in ${directory}: ${list}.`, {
      exit: EXIT.refused,
      hint: 'repctl sandbox status shows it; repctl sandbox down removes it.',
      details: { directory, nodes: sandbox.nodes.map(({ name }, index) => ({ name, state: states[index] })) },
    });
  notice?.(
    `The sandbox in ${directory} had ${verdict === 'unfinished' ? 'never finished starting' : 'crashed'}; it is removed.`,
  );
  await down(sandbox);
  await forget(directory);
}

/**
 * What a sandbox found on disk is. `crashed` takes that no server runs and at least one ended by force:
 * nodes that were all stopped properly can be started again, and are not thrown away unasked.
 */
export function judge(
  sandbox: Pick<Sandbox, 'phase'>,
  states: readonly NodeProcessState[],
  starterAlive: boolean,
): 'alive' | 'starting' | 'unfinished' | 'crashed' {
  if (sandbox.phase === 'starting') return starterAlive ? 'starting' : 'unfinished';
  if (states.some((state) => state === 'running' || state === 'paused')) return 'alive';
  return states.includes('crashed') ? 'crashed' : 'alive';
}

function isAlive(pid: number): boolean {
  if (pid === process.pid) return false;
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'; // alive, and another user's
  }
}
