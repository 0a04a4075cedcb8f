/** The sessions of one run: opened when first asked for, in parallel, closed together. */
import { RepctlError } from '../errors.js';
import type { ClusterConfig, NodeConfig } from '../config/schema.js';
import { connectionOf } from '../config/connection.js';
import { type Session, type Trace, openSession } from '../postgres/session.js';

/** More than a login takes; milliseconds. */
const LOGIN_MS = 250;

export interface FleetOptions {
  trace?: ((trace: Trace) => void) | undefined;
  applicationName?: string;
  /** Commits of its sessions wait for no replica: for everything but users' own writes. */
  commitsLocally?: boolean;
}

export interface Fleet {
  readonly config: ClusterConfig;
  readonly options: FleetOptions;
  /** The configuration of a node; throws `unknown-node` (exit 2) with the known names. */
  node(name: string): NodeConfig;
  /** The shared session of a node; opened at most once while it lives. Throws as openSession does. */
  session(name: string): Promise<Session>;
  /** A session of its own, for what must not share a backend (peeks, locks, snapshots); the caller closes it. */
  fresh(name: string, applicationName?: string): Promise<Session>;
  /**
   * How long an observer waits for the session of a node, milliseconds: once it has let somebody wait in vain, only
   * as long as a living server takes. A silent node costs its connect timeout once, not at every look.
   */
  patience(name: string): number;
  /** So many milliseconds. One that refuses at once costs nothing: when it is back, its login may take long. */
  waitedInVain(name: string, ms: number): void;
  close(): Promise<void>;
}

export function openFleet(config: ClusterConfig, options: FleetOptions = {}): Fleet {
  const shared = new Map<string, Promise<Session>>();
  const own = new Set<Promise<Session>>();
  const silent = new Set<string>();
  const node = (name: string): NodeConfig => {
    const found = config.nodes.find((candidate) => candidate.name === name);
    if (found) return found;
    const known = config.nodes.map((candidate) => candidate.name).join(', ');
    throw new RepctlError('unknown-node', `There is no node ${name} in this cluster.`, {
      hint: `Known nodes: ${known}`,
    });
  };
  const state = { closed: false };
  const open = (name: string, applicationName?: string) => {
    // Late work of a run that is over must not open what nobody will close: the process would never end.
    if (state.closed)
      throw new RepctlError('bug', `${name}: a session was asked for after the last one was closed.`);
    const connection = connectionOf(node(name).url);
    return openSession({
      node: name,
      connection,
      applicationName: applicationName ?? options.applicationName ?? 'repctl',
      // connect_timeout in the URL goes before the cluster's; --timeout, which sets the other, bounds both.
      connectTimeoutMs: Math.min(
        connection.connectionTimeoutMillis ?? config.connectTimeoutMs,
        config.statementTimeoutMs,
      ),
      statementTimeoutMs: config.statementTimeoutMs,
      commitsLocally: options.commitsLocally ?? false,
      trace: options.trace,
    });
  };
  return {
    config,
    options,
    node,
    async session(name) {
      let opening = shared.get(name);
      while (opening !== undefined) {
        const session = await opening.catch(() => undefined);
        if (session?.alive) return session;
        const now = shared.get(name);
        // Whoever finds it dead first opens it again; the others wait for that one.
        if (now === opening) {
          shared.delete(name);
          void session?.close();
        }
        opening = now === opening ? undefined : now;
      }
      opening = open(name).then((session) => {
        silent.delete(name);
        return session;
      });
      shared.set(name, opening);
      return opening;
    },
    patience: (name) => (silent.has(name) ? LOGIN_MS : config.connectTimeoutMs + LOGIN_MS),
    waitedInVain(name, ms) {
      if (ms > LOGIN_MS) silent.add(name);
    },
    async fresh(name, applicationName) {
      const opening = open(name, applicationName);
      // From now on, not from when it is there: what fails meanwhile closes the fleet, and this one with it.
      own.add(opening);
      return opening;
    },
    async close() {
      state.closed = true;
      const all = [...shared.values(), ...own].map(async (session) => (await session).close());
      await Promise.allSettled(all);
      shared.clear();
      own.clear();
    },
  };
}

/** Runs `body` with a fleet whose commits wait for no replica: this one, or one of its own that is closed afterwards. */
export async function withLocalCommits<T>(fleet: Fleet, body: (local: Fleet) => Promise<T>): Promise<T> {
  if (fleet.options.commitsLocally === true) return body(fleet);
  const local = openFleet(fleet.config, { ...fleet.options, commitsLocally: true });
  try {
    return await body(local);
  } finally {
    await local.close();
  }
}
