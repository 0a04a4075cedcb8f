/** Two operators at once: one proceeds, the other is told by whom it was refused. The long form is in test/long/. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Fleet } from '../../../src/cluster/fleet.js';
import { createCluster } from '../../support/cluster.js';
import { type Racers, racers } from '../../support/races/race.js';
import { PAIRS, round } from '../../support/races/rounds.js';
import { type Servers, startServers } from '../../support/servers.js';

describe('two operators at once', () => {
  let servers: Servers;
  let fleet: Fleet;
  let pairs: Racers;
  beforeAll(async () => {
    pairs = await racers();
    servers = await startServers();
    fleet = servers.fleet();
    await createCluster(fleet);
  });
  afterAll(async () => {
    await servers.down();
    await pairs.remove();
  });

  it.each(PAIRS.slice(0, 8))('$a / $b', async (pair) => {
    expect((await round(servers, fleet, pairs, pair)).violations).toEqual([]);
  });
});
