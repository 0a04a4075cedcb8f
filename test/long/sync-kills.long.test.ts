/**
 * `any 1`, and the leader killed under load, at least 50 times (REPCTL_KILLS): no acknowledged row is ever missing on the
 * new leader, and that none could be was said before each promotion. The short form is in
 * test/integration/operations/sync.test.ts.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { observe } from '../../src/cluster/observe.js';
import type { Fleet } from '../../src/cluster/fleet.js';
import { planSync } from '../../src/operations/sync.js';
import { runOperation } from '../../src/operations/run.js';
import { noJournal } from '../../src/plan/journal.js';
import { createCluster } from '../support/cluster.js';
import { expectEqual } from '../support/equality.js';
import { type Servers, startServers } from '../support/servers.js';
import { type KillOutcome, findingsOf, killUnderLoad } from '../support/sync-kills.js';

const KILLS = Number(process.env['REPCTL_KILLS'] ?? 50);

describe('sync any 1', () => {
  let servers: Servers;
  let fleet: Fleet;
  beforeAll(async () => {
    servers = await startServers({ nodes: 4, pg: ['18', '17', '16', '15'] });
    fleet = servers.fleet();
    await createCluster(fleet);
    const options = { wanted: { mode: 'any', k: 1 }, acceptWaiting: false, acceptUnrecorded: false } as const;
    await runOperation((snapshot) => planSync(snapshot, servers.config, options), {
      fleet,
      journal: noJournal,
    });
  });
  afterAll(() => servers.down());

  it(`${String(KILLS)} kills of the leader lose nothing that was acknowledged`, async () => {
    const outcomes: KillOutcome[] = [];
    for (let round = 1; round <= KILLS; round += 1) {
      // Spread over what a commit goes through; the same for a round each time.
      const outcome = await killUnderLoad(servers, fleet, round, (round * 37) % 400);
      outcomes.push(outcome);
      if (outcome.detached.length > 0) console.log(`round ${String(round)}`, outcome);
      expect(outcome, `round ${String(round)}`).toMatchObject({ lost: [], impossible: true, detached: [] });
      if (round % 10 === 0) {
        console.log(`${String(round)} kills`);
        const others = servers.config.nodes.map(({ name }) => name).filter((name) => name !== outcome.leader);
        await expectEqual(fleet, outcome.leader, others).catch(async (error: unknown) => {
          console.log(outcome, findingsOf(servers, await observe(fleet)));
          throw error;
        });
      }
    }
    const acknowledged = outcomes.reduce((sum, one) => sum + one.acknowledged, 0);
    console.log(`${String(outcomes.length)} kills, ${String(acknowledged)} acknowledged rows, 0 lost`);
  });
});
