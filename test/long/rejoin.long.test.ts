/**
 * Async: the announced loss covers the found one every time, and the stranded file holds every lost row.
 *
 *   npm run test:long rejoin               REJOIN_ROUNDS=40 for more
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Fleet } from '../../src/cluster/fleet.js';
import { createCluster } from '../support/cluster.js';
import { expectEqual } from '../support/equality.js';
import { loseWrites } from '../support/lost-writes.js';
import { type Servers, startServers } from '../support/servers.js';
import { factsOf } from '../../src/operations/facts.js';
import { observe } from '../../src/cluster/observe.js';
import { settled } from '../support/stranded.js';

const ROUNDS = Number(process.env['REJOIN_ROUNDS'] ?? '20');

describe('lost writes are in the stranded file', () => {
  let servers: Servers;
  let fleet: Fleet;
  let directory: string;
  beforeAll(async () => {
    directory = await mkdtemp(path.join(tmpdir(), 'repctl-lost-'));
    servers = await startServers({ nodes: 4, pg: ['18', '17', '16', '15'] });
    fleet = servers.fleet();
    await createCluster(fleet);
  });
  afterAll(async () => {
    await servers.down();
    await rm(directory, { recursive: true, force: true });
  });

  it.each(Array.from({ length: ROUNDS }, (_, i) => i + 1))('round %i', async (round) => {
    const found = await loseWrites(servers, fleet, { tag: `L${String(round)}`, directory, rows: 300 });
    expect(found.lost.length).toBeGreaterThan(0);
    expect(found.saved).toEqual(found.lost);
    expect(found.beforeFork).toBe(0);
    await settled(fleet);
    const { leader } = factsOf(await observe(fleet), servers.config);
    const others = servers.config.nodes.map(({ name }) => name).filter((name) => name !== leader?.name);
    await expectEqual(fleet, leader?.name ?? '', others);
    process.stdout.write(
      `round ${String(round)}: ${String(found.acknowledged)} acknowledged, ${String(found.lost.length)} lost, all of them saved\n`,
    );
  });
});
