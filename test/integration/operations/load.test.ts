/**
 * The leader is killed under writers that never pause, three times round the nodes. Judged from what the
 * clients were told: an acknowledged row is on the new leader, or it is stranded on the old one; none is doubled;
 * all replicas are equal; and whatever is missing is within what the fork point announced.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Fleet, openFleet } from '../../../src/cluster/fleet.js';
import { observe } from '../../../src/cluster/observe.js';
import { factsOf } from '../../../src/operations/facts.js';
import { planFailover } from '../../../src/operations/failover.js';
import { planRewire } from '../../../src/operations/rewire.js';
import { runOperation } from '../../../src/operations/run.js';
import { noJournal } from '../../../src/plan/journal.js';
import { killNode, startNode } from '../../../src/sandbox/sandbox.js';
import { createCluster } from '../../support/cluster.js';
import { expectEqual } from '../../support/equality.js';
import { type Servers, startServers } from '../../support/servers.js';

const WRITERS = 4;

interface Writers {
  /** Numbers of the rows whose insert was acknowledged. */
  readonly acknowledged: Set<number>;
  stop(): Promise<void>;
}

/** Clients that insert numbered rows and go to the next node when one refuses or is gone. */
function startWriters(servers: Servers, from: number): Writers {
  const acknowledged = new Set<number>();
  const state = { stopped: false, next: from };
  const names = servers.config.nodes.map((node) => node.name);
  const loops = Array.from({ length: WRITERS }, async () => {
    const fleet = openFleet({ ...servers.config, connectTimeoutMs: 500 }, { applicationName: 'writer' });
    let at = 0;
    let id = (state.next += 1);
    while (!state.stopped) {
      try {
        const session = await fleet.session(names[at % names.length] ?? '');
        await session.query('insert into products (id, sku, name, price) values ($1, $2, $3, 1)', [
          id,
          `W${String(id)}`,
          'x',
        ]);
        acknowledged.add(id);
        id = state.next += 1;
      } catch {
        // Refused by the fence, gone, or unknown: a number is never used again after an unknown outcome.
        at += 1;
        id = state.next += 1;
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
    }
    await fleet.close();
  });
  return {
    acknowledged,
    async stop() {
      state.stopped = true;
      await Promise.all(loops);
    },
  };
}

describe('failover under load', () => {
  let servers: Servers;
  let fleet: Fleet;
  const idsOn = async (node: string): Promise<string[]> =>
    (await (await fleet.session(node)).query<{ id: string }>('select id from products')).map((row) => row.id);

  beforeAll(async () => {
    servers = await startServers();
    fleet = servers.fleet();
    await createCluster(fleet);
  });
  afterAll(() => servers.down());

  it.each([1, 2, 3])(
    'round %i: every acknowledged row is kept or stranded, none is doubled',
    async (round) => {
      const old = factsOf(await observe(fleet), servers.config).epoch?.leader ?? '';
      const writers = startWriters(servers, round * 10_000_000);
      await expect.poll(() => writers.acknowledged.size, { timeout: 20_000 }).toBeGreaterThan(300);
      await killNode(servers.sandbox, old);
      await runOperation(
        (snapshot) => planFailover(snapshot, servers.config, { leaderIsDead: false, acceptMinority: false }),
        {
          fleet,
          journal: noJournal,
        },
      );
      const atFailover = writers.acknowledged.size;
      await expect
        .poll(() => writers.acknowledged.size, { timeout: 20_000 })
        .toBeGreaterThan(atFailover + 100);
      await writers.stop();

      const facts = factsOf(await observe(fleet), servers.config);
      const leader = facts.epoch?.leader ?? '';
      const others = facts.reachable.map((node) => node.name).filter((name) => name !== leader);
      await expectEqual(fleet, leader, others);

      await startNode(servers.sandbox, old);
      const [kept, stranded] = await Promise.all([idsOn(leader), idsOn(old)]);
      expect(new Set(kept).size).toBe(kept.length);
      const here = new Set(kept);
      const there = new Set(stranded);
      const missing = [...writers.acknowledged].map(String).filter((id) => !here.has(id));
      expect(
        missing.filter((id) => !there.has(id)),
        'acknowledged rows that nobody has',
      ).toEqual([]);

      await runOperation(
        (snapshot) => planRewire(snapshot, servers.config, { node: old, recopy: true, acceptDataLoss: true }),
        { fleet, journal: noJournal },
      );
      await expectEqual(fleet, leader, [old]);
    },
  );
});
