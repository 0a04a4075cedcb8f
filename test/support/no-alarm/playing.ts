/** A cluster under load, for round after round. */
import { openFleet } from '../../../src/cluster/fleet.js';
import { createCluster } from '../cluster.js';
import { startServers } from '../servers.js';
import { FILL_SQL, TABLES_SQL, startLoad } from './load.js';
import { type Round, round } from './rounds.js';

export interface Playing {
  round(seed: number): Promise<Round>;
  writes(): number;
  end(): Promise<void>;
}

export async function playing(): Promise<Playing> {
  const started = await startServers({ nodes: 3, pg: ['18', '16', '17'] });
  const config = { ...started.config, tables: ['public.*'] };
  const servers = { ...started, config };
  const [fleet, checking] = [openFleet(config), openFleet(config, { applicationName: 'repctl check' })];
  for (const { name } of config.nodes) await (await fleet.session(name)).simple(TABLES_SQL);
  await createCluster(fleet);
  await (await fleet.session(config.nodes[0]?.name ?? '')).simple(FILL_SQL);
  const load = startLoad(config, 7);
  return {
    round: (seed) => round({ servers, fleet, checking }, seed),
    writes: () => load.writes(),
    async end() {
      await load.stop();
      await Promise.all([fleet.close(), checking.close()]);
      await started.down();
    },
  };
}
