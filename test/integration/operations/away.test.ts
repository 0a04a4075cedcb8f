/**
 * A node that was down through two changes still subscribes to the leader of long ago, and slots go by name: it must
 * not find one there that begins later, and go on past a gap.
 */
import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Fleet } from '../../../src/cluster/fleet.js';
import { planFailover } from '../../../src/operations/failover.js';
import { planRejoin } from '../../../src/operations/rejoin.js';
import { planRewire } from '../../../src/operations/rewire.js';
import { type Planner, runOperation } from '../../../src/operations/run.js';
import { planSwitchover } from '../../../src/operations/switchover.js';
import { noJournal } from '../../../src/plan/journal.js';
import { killNode, nodeOf, startNode } from '../../../src/sandbox/sandbox.js';
import { createCluster } from '../../support/cluster.js';
import { expectEqual } from '../../support/equality.js';
import { type Servers, startServers } from '../../support/servers.js';
import { until } from '../../support/wait.js';

describe('a node that was down through two changes of the leader', () => {
  let servers: Servers;
  let fleet: Fleet;
  beforeEach(async () => {
    servers = await startServers({ pg: ['18', '17', '16', '18'] });
    fleet = servers.fleet();
    await createCluster(fleet);
  });
  afterEach(() => servers.down());

  const run = (planner: Planner) =>
    runOperation(planner, { fleet, journal: noJournal, stateDir: servers.sandbox.directory });
  const switchover = (target: string) =>
    run((snapshot) =>
      planSwitchover(snapshot, fleet.config, { target, without: ['n4'], terminateBlockers: false }),
    );
  const insert = async (node: string, sku: string): Promise<void> => {
    await (
      await fleet.session(node)
    ).query(`insert into products (sku, name, price) values ($1, 'x', 1)`, [sku]);
  };
  const skus = async (node: string): Promise<string[]> =>
    (await (await fleet.session(node)).query<{ sku: string }>('select sku from products order by sku')).map(
      ({ sku }) => sku,
    );
  const changes: Readonly<Record<string, () => Promise<unknown>>> = {
    'two switchovers': () => switchover('n2'),
    'a failover and a switchover': async () => {
      await killNode(servers.sandbox, 'n1');
      await run((snapshot) =>
        planFailover(snapshot, fleet.config, { target: 'n2', leaderIsDead: true, acceptMinority: true }),
      );
      await startNode(servers.sandbox, 'n1');
      const { directory } = servers.sandbox;
      await run((snapshot) =>
        planRejoin(snapshot, fleet.config, {
          ...{ node: 'n1', directory, replay: false, fenceTimeoutMs: 5000, terminateBlockers: false },
        }),
      );
    },
  };

  it.each(Object.keys(changes))(
    '%s: it stands where it was, and rewire brings everything',
    async (change) => {
      await insert('n1', 'a, before');
      await until(
        () => skus('n4'),
        (rows) => rows.length === 1,
      );
      await killNode(servers.sandbox, 'n4');
      await insert('n1', 'b, under n1');
      await until(
        () => skus('n2'),
        (rows) => rows.length === 2,
      );
      await changes[change]?.();
      await insert('n2', 'c, under n2');
      // A replica of those that led serves nobody who is not there.
      const slots = await (
        await fleet.session('n1')
      ).query<{ name: string }>('select slot_name as name from pg_replication_slots order by 1');
      expect(slots.map(({ name }) => name)).toEqual(['repctl_n2', 'repctl_n3']);
      await switchover('n1');
      await insert('n1', 'd, under n1 again');

      await startNode(servers.sandbox, 'n4');
      // It asks the node that it always asked, which leads again.
      await until(
        () => Promise.resolve(readFileSync(nodeOf(servers.sandbox, 'n4').logFile, 'utf8')),
        (log) => log.includes('replication slot "repctl_n4" does not exist'),
      );
      // What it applied last was perhaps not flushed when it was killed.
      expect(['a, before']).toEqual(expect.arrayContaining(await skus('n4')));
      await run((snapshot) =>
        planRewire(snapshot, fleet.config, { node: 'n4', recopy: false, acceptDataLoss: false }),
      );
      await insert('n1', 'e, after');
      await expectEqual(fleet, 'n1', ['n2', 'n3', 'n4']);
      expect(await skus('n4')).toHaveLength(5);
    },
  );
});
