/**
 * Real servers for integration tests:
 *
 *   let servers: Servers;
 *   beforeAll(async () => { servers = await startServers({ nodes: 3 }); });
 *   afterAll(() => servers.down());
 */
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Fleet, openFleet } from '../../src/cluster/fleet.js';
import type { ClusterConfig } from '../../src/config/schema.js';
import type { Session } from '../../src/postgres/session.js';
import {
  type Sandbox,
  type SandboxOptions,
  down,
  nodeOf,
  startSandbox,
  superuserSession,
  toClusterConfig,
} from '../../src/sandbox/sandbox.js';

export interface ServersOptions {
  /** Default 4. */
  nodes?: number;
  /** Majors, dealt out in turn; default 18. */
  pg?: readonly string[];
  /** The TCP proxy, for isolate() and heal(); needs `npm run build` first. Default off. */
  proxy?: boolean;
  /** Server settings over the sandbox's own, such as `{ wal_level: 'replica' }`. */
  settings?: Readonly<Record<string, string>>;
  twins?: boolean;
}

export interface Servers {
  readonly sandbox: Sandbox;
  readonly config: ClusterConfig;
  /** Sessions of the everyday role; closed by down(). */
  fleet(): Fleet;
  /** A session of the superuser, past the proxy; closed by down(). */
  superuser(node: string): Promise<Session>;
  down(): Promise<void>;
}

/** Starts servers in a temporary directory. They end with down(), or with the test process, however that ends. */
export async function startServers(options: ServersOptions = {}): Promise<Servers> {
  const parent = await mkdtemp(path.join(tmpdir(), 'repctl-servers-'));
  const directory = path.join(parent, 's');
  const dismiss = watchOver(parent);
  const closers: (() => Promise<void>)[] = [];
  try {
    const sandbox = await startSandbox(await sandboxOptions(parent, directory, options));
    const config = toClusterConfig(sandbox);
    return {
      sandbox,
      config,
      fleet() {
        const fleet = openFleet(config);
        closers.push(() => fleet.close());
        return fleet;
      },
      async superuser(name) {
        const session = await superuserSession(nodeOf(sandbox, name));
        closers.push(() => session.close());
        return session;
      },
      async down() {
        // Sessions to a frozen server never answer: the servers go first where closing takes long.
        const closing = Promise.allSettled(closers.map((close) => close()));
        await down(sandbox);
        await closing;
        await rm(parent, { recursive: true, force: true });
        dismiss();
      },
    };
  } catch (error) {
    await rm(parent, { recursive: true, force: true });
    dismiss();
    throw error;
  }
}

async function sandboxOptions(
  parent: string,
  directory: string,
  options: ServersOptions,
): Promise<SandboxOptions> {
  if (process.getuid?.() === 0) {
    // The servers' account must reach what is below it.
    const { chmod } = await import('node:fs/promises');
    await chmod(parent, 0o711);
  }
  return {
    directory,
    nodes: options.nodes ?? 4,
    // Somewhere else for each run, since several may run at once on one machine.
    basePort: 20_000 + Math.floor(Math.random() * 11_000),
    ...(options.pg ? { pg: options.pg } : {}),
    ...(options.proxy === undefined ? {} : { proxy: options.proxy }),
    ...(options.twins === undefined ? {} : { twins: options.twins }),
    ...(options.settings ? { settings: options.settings } : {}),
  };
}

/** A process that cleans up when this one is gone; the function returned sends it home. */
function watchOver(parent: string): () => void {
  const program = fileURLToPath(new URL('reaper.mjs', import.meta.url));
  const reaper = spawn(process.execPath, [program, parent], {
    detached: true,
    stdio: ['pipe', 'ignore', 'inherit'],
  });
  reaper.unref();
  // The pipe must not keep the test process alive; its closing is the message.
  (reaper.stdin as unknown as { unref(): void }).unref();
  return () => {
    reaper.stdin.end();
  };
}
