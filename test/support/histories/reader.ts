/** A session of the product's own routing: what it wrote it reads again, or is told that it is lost. */
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { openFleet } from '../../../src/cluster/fleet.js';
import type { ClusterConfig } from '../../../src/config/schema.js';
import { read } from '../../../src/routing/read.js';
import { openStore } from '../../../src/routing/store.js';
import { type Routing, write } from '../../../src/routing/write.js';

export interface Reader {
  readonly violations: string[];
  readonly counts: { writes: number; reads: number; lost: number };
  stop(): Promise<void>;
}

/**
 * Writes ascending numbers and reads the highest back at level `session`. It may never be lower than the last one
 * acknowledged or the last one read, unless the session was told of a loss in between.
 */
export function startReader(config: ClusterConfig, home: string, pauseMs: number): Reader {
  const violations: string[] = [];
  const counts = { writes: 0, reads: 0, lost: 0 };
  const state = { stopping: false };
  const done = reading();

  async function reading(): Promise<void> {
    const fleet = openFleet(config);
    const heard = { told: false, said: [] as string[] };
    // A function, so that the compiler does not believe to know what notes change.
    const told = (): boolean => heard.told;
    const routing: Routing = {
      fleet,
      store: openStore(path.join(home, 'reader'), config.cluster),
      session: 'reader',
      patienceMs: 300,
      patient: false,
      note(text) {
        heard.said.push(text);
        if (/(?:was|have been) lost when epoch/u.test(text)) heard.told = true;
      },
    };
    let next = 0;
    let floor = 0;
    while (!state.stopping) {
      try {
        const n = (next += 1);
        await write(routing, async ({ session }) => {
          const [row] = await session.query<{ lsn: string }>(
            'insert into marks (client, n) values (1, $1) returning pg_current_wal_insert_lsn()::text as lsn',
            [n],
          );
          return { value: null, before: row?.lsn ?? '0/0' };
        });
        counts.writes += 1;
        floor = n;
        // Said when a new write was remembered over a lost one: earlier ones may be missing, this one is not.
        heard.told = false;
      } catch {
        // Refused or unknown: it may be there or not.
      }
      for (let again = 0; again < 2; again += 1) {
        heard.said = [];
        try {
          const { value, served } = await read(routing, { level: 'session' }, async (session) => {
            const [row] = await session.query<{ n: number | null }>(
              'select max(n) as n from marks where client = 1',
            );
            return row?.n ?? 0;
          });
          counts.reads += 1;
          if (value < floor && !told())
            violations.push(
              `token: ${served.node} (epoch ${String(served.epoch)}) showed ${String(value)} to a session that knew ${String(floor)}, and told it nothing; it said: ${heard.said.join(' / ')}`,
            );
          if (told()) counts.lost += 1;
          floor = value;
          heard.told = false;
        } catch {
          // Nobody can serve it now.
        }
        await delay(pauseMs);
      }
    }
    await fleet.close();
  }
  return {
    violations,
    counts,
    async stop() {
      state.stopping = true;
      await done;
    },
  };
}

export const noReader: Reader = {
  violations: [],
  counts: { writes: 0, reads: 0, lost: 0 },
  stop: () => Promise.resolve(),
};
