/** Routing on test servers: stores in a directory of their own, notes collected. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Fleet } from '../../src/cluster/fleet.js';
import { openStore } from '../../src/routing/store.js';
import type { RoutingStore } from '../../src/routing/store.js';
import type { Routing } from '../../src/routing/write.js';
import type { Session } from '../../src/postgres/session.js';

export interface Client extends Routing {
  readonly notes: string[];
}

export interface Clients {
  /** A run of its own: it finds on disk what earlier ones left there. */
  client(session: string, options?: { patienceMs?: number; patient?: boolean; fleet?: Fleet }): Client;
  store(): RoutingStore;
  end(): void;
}

export function makeClients(fleet: Fleet): Clients {
  const directory = mkdtempSync(path.join(tmpdir(), 'repctl-state-'));
  const store = (): RoutingStore => openStore(directory, fleet.config.cluster);
  return {
    store,
    client(session, options = {}) {
      const notes: string[] = [];
      return {
        fleet: options.fleet ?? fleet,
        store: store(),
        session,
        patienceMs: options.patienceMs ?? 20_000,
        patient: options.patient ?? false,
        note: (text) => void notes.push(text),
        notes,
      };
    },
    end() {
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** Holds the apply worker of a node back: it waits for a lock that readers do not notice. */
export async function holdApply(session: Session): Promise<() => Promise<void>> {
  await session.simple('begin; lock table products in share row exclusive mode');
  return async () => {
    await session.simple('rollback');
  };
}
