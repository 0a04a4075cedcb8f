/** A fleet for each request, its sessions out of pools that live on. */
import { type Fleet, type FleetOptions, openFleet } from '../cluster/fleet.js';
import { connectionOf } from '../config/connection.js';
import type { ClusterConfig } from '../config/schema.js';
import { RepctlError } from '../errors.js';
import { type Session, openSession } from '../postgres/session.js';
import { type Pool, type PoolOptions, openPool } from './pool.js';

/** Longer than any healthy server takes for `select 1`. */
const PING_MS = 1000;

export interface PooledFleets {
  /** Runs `body` with a fleet of its own; whatever it took goes back to the pools afterwards. */
  lease<T>(body: (fleet: Fleet) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

export function openPooledFleets(
  config: ClusterConfig,
  pool: PoolOptions,
  options: FleetOptions = {},
): PooledFleets {
  const pools = new Map<string, Pool<Session>>(
    config.nodes.map((node) => {
      const connection = connectionOf(node.url);
      const open = (): Promise<Session> =>
        openSession({
          node: node.name,
          connection,
          applicationName: options.applicationName ?? 'repctl',
          connectTimeoutMs: connection.connectionTimeoutMillis ?? config.connectTimeoutMs,
          statementTimeoutMs: config.statementTimeoutMs,
        });
      return [node.name, openPool(node.name, pool, open, ping)];
    }),
  );
  // Names and refusals as any fleet has them; no session is ever taken from it.
  const plain = openFleet(config, options);
  return {
    async lease(body) {
      const taken = new Map<string, Promise<Session>>();
      const all: { readonly from: Pool<Session>; readonly taking: Promise<Session> }[] = [];
      const state = { over: false };
      const take = (name: string): Promise<Session> => {
        const from = pools.get(plain.node(name).name);
        if (from === undefined || state.over)
          return Promise.reject(new RepctlError('bug', `${name}: a session was asked for too late.`));
        const taking = from.take();
        taken.set(name, taking);
        all.push({ from, taking });
        return taking;
      };
      const fleet: Fleet = {
        ...plain,
        async session(name) {
          const before = taken.get(name);
          const session = await before?.catch(() => undefined);
          if (session?.alive) return session;
          // Whoever finds it dead first takes another; the rest wait for that one.
          const now = taken.get(name);
          return now === before || now === undefined ? take(name) : now;
        },
      };
      try {
        return await body(fleet);
      } finally {
        state.over = true;
        for (const { from, taking } of all)
          void taking.then(
            (session) => {
              from.give(session, !session.alive || isBusy(session));
            },
            () => undefined,
          );
      }
    },
    async close() {
      await plain.close();
      await Promise.all([...pools.values()].map((one) => one.close()));
    },
  };
}

/** A statement that nobody waits for any more still runs: the next user would queue behind it. */
const isBusy = (session: Session): boolean =>
  (session.client as unknown as { readonly readyForQuery?: boolean }).readyForQuery === false;

async function ping(session: Session): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const asked = session.query('select 1');
  asked.catch(() => undefined);
  try {
    await Promise.race([
      asked,
      new Promise<never>((_, reject) => {
        timer = setTimeout(() => {
          reject(new RepctlError('connection-lost', `${session.node}: no answer to the ping.`));
        }, PING_MS);
      }),
    ]);
  } finally {
    clearTimeout(timer);
  }
}
