import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Fleet } from '../../../src/cluster/fleet.js';
import { observe } from '../../../src/cluster/observe.js';
import { planFailover } from '../../../src/operations/failover.js';
import { planRewire } from '../../../src/operations/rewire.js';
import { runOperation } from '../../../src/operations/run.js';
import { noJournal } from '../../../src/plan/journal.js';
import { killNode } from '../../../src/sandbox/sandbox.js';
import { createCluster } from '../../support/cluster.js';
import { type Servers, startServers } from '../../support/servers.js';

const request = { leaderIsDead: false, acceptMinority: false };

describe('create, failover, rewire', () => {
  let servers: Servers;
  let fleet: Fleet;
  beforeAll(async () => {
    servers = await startServers();
    fleet = servers.fleet();
  });
  afterAll(() => servers.down());

  it('creates a cluster, idempotently', async () => {
    const steps = await createCluster(fleet);
    console.log(steps.map((s) => `${s.id} ${s.ms.toFixed(0)}`).join('\n'));
    expect(await createCluster(fleet)).toEqual([]);
  });

  it('fails over when the leader is killed', async () => {
    const leader = await fleet.session('n1');
    await leader.query(
      `insert into products (sku, name, price) select 'A' || i, 'x', 1 from generate_series(1, 100) i`,
    );
    const t0 = performance.now();
    await killNode(servers.sandbox, 'n1');
    console.log('kill', performance.now() - t0);
    const steps = await runOperation((snapshot) => planFailover(snapshot, fleet.config, request), {
      fleet,
      journal: noJournal,
    });
    console.log(steps.map((s) => `${s.id} ${s.ms.toFixed(0)} ${JSON.stringify(s.result)}`).join('\n'));
    const snapshot = await observe(fleet);
    console.log(JSON.stringify(snapshot, null, 1).slice(0, 3000));
  });
});
