import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Fleet } from '../../../src/cluster/fleet.js';
import { observe } from '../../../src/cluster/observe.js';
import { factsOf } from '../../../src/operations/facts.js';
import { runOperation } from '../../../src/operations/run.js';
import { planSwitchover } from '../../../src/operations/switchover.js';
import type { SwitchoverRequest } from '../../../src/operations/switchover-request.js';
import { noJournal } from '../../../src/plan/journal.js';
import { createCluster } from '../../support/cluster.js';
import { expectEqual } from '../../support/equality.js';
import { type Servers, startServers } from '../../support/servers.js';
import { type Writer, startWriter } from '../../support/writer.js';

/** What repctl keeps on a replica, and on a leader, of a healthy cluster of four. */
const objects = async (fleet: Fleet, name: string): Promise<Record<string, number>> => {
  const session = await fleet.session(name);
  const [row] = await session.query<Record<string, number>>(
    `select (select count(*)::int from pg_subscription where subdbid = (select oid from pg_database where datname = current_database())) as subscriptions,
            (select count(*)::int from pg_replication_slots where database = current_database()) as slots,
            (select count(*)::int from pg_replication_origin) as origins,
            (select count(*)::int from pg_trigger where not tgisinternal) as triggers,
            (select count(*)::int from pg_trigger where tgname = 'repctl_fence' and tgenabled <> 'D') as fences,
            (select count(*)::int from pg_publication) as publications,
            (select count(*)::int from repctl.event where kind = 'barrier') as barriers,
            (select count(*)::int from repctl.standby) as bases`,
  );
  return row ?? {};
};

describe('switchover', () => {
  let servers: Servers;
  let fleet: Fleet;
  let writer: Writer | undefined;

  beforeAll(async () => {
    servers = await startServers({ pg: ['18', '17', '16', '15'] });
    fleet = servers.fleet();
    await createCluster(fleet);
  });
  afterAll(async () => {
    await writer?.stop();
    await servers.down();
  });

  const switchover = (request: Partial<SwitchoverRequest> = {}) =>
    runOperation(
      (snapshot) =>
        planSwitchover(snapshot, servers.config, { without: [], terminateBlockers: false, ...request }),
      { fleet, journal: noJournal },
    );
  const leaderNow = async () => factsOf(await observe(fleet), servers.config).epoch?.leader ?? '';

  it('goes ten times round all nodes and home, with a writer: equal, and nothing left over', async () => {
    writer = startWriter(servers.config, 2);
    const round = ['n2', 'n3', 'n4', 'n1', 'n3', 'n2', 'n4', 'n2', 'n3', 'n1'];
    for (const target of round) {
      const steps = await switchover({ target });
      expect(steps.map(({ id }) => id.split(':')[0])).toEqual([
        ...['fence', 'drain', 'promote', 'attach', 'attach', 'attach', 'verify', 'drop-tombstone'],
        ...['standby', 'standby', 'standby'],
      ]);
      expect(await leaderNow()).toBe(target);
      await writer.moreWrites(20);
    }
    const { acknowledged, longestGapMs } = await writer.stop();
    expect(acknowledged.length).toBeGreaterThan(200);
    await expectEqual(fleet, 'n1', ['n2', 'n3', 'n4']);
    const leader = await fleet.session('n1');
    const rows = await leader.query<{ sku: string }>(`select sku from products where sku like 'W-%'`);
    const kept = new Set(rows.map(({ sku }) => sku));
    expect(acknowledged.filter((sku) => !kept.has(sku))).toEqual([]);
    expect(longestGapMs).toBeLessThan(2000);

    const triggers = 4;
    const common = { triggers, slots: 3, publications: 1, barriers: 0 };
    expect(await objects(fleet, 'n1')).toEqual({
      ...{ ...common, subscriptions: 0, origins: 0, fences: 0, bases: 3 },
    });
    for (const name of ['n2', 'n3', 'n4'])
      expect(await objects(fleet, name), name).toEqual({
        ...{ ...common, subscriptions: 1, origins: 1, fences: triggers, bases: 3 },
      });
  });
});
