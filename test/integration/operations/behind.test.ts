/**
 * A replica that is behind where the slot begins which a sibling has made for it: what lies between is in no slot of
 * that sibling, so that once it leads, mapping would leave it out without a word. Its rows are compared instead.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Fleet } from '../../../src/cluster/fleet.js';
import { ownSubscription } from '../../../src/cluster/epochs.js';
import { observe } from '../../../src/cluster/observe.js';
import { factsOf, nodeOf } from '../../../src/operations/facts.js';
import { planFailover } from '../../../src/operations/failover.js';
import { planRewire } from '../../../src/operations/rewire.js';
import { type Planner, makePlan, runOperation } from '../../../src/operations/run.js';
import { noJournal } from '../../../src/plan/journal.js';
import { compareLsn } from '../../../src/postgres/lsn.js';
import { killNode } from '../../../src/sandbox/sandbox.js';
import { createCluster } from '../../support/cluster.js';
import { expectEqual } from '../../support/equality.js';
import { type Servers, startServers } from '../../support/servers.js';

let servers: Servers;
let fleet: Fleet;
beforeAll(async () => {
  servers = await startServers({ nodes: 3 });
  fleet = servers.fleet();
  await createCluster(fleet);
});
afterAll(() => servers.down());

const run = (planner: Planner) => runOperation(planner, { fleet, journal: noJournal });
const rewire =
  (node: string): Planner =>
  (snapshot) =>
    planRewire(snapshot, servers.config, { node, recopy: false, acceptDataLoss: false });

it('is never mapped there: reconcile, and the rows are equal', async () => {
  const leader = await fleet.session('n1');
  await leader.simple(
    `insert into products (sku, name, price) select 'B' || i, 'x', 1 from generate_series(1, 10) i`,
  );
  await expectEqual(fleet, 'n1', ['n2', 'n3']);
  await (await fleet.session('n3')).simple('alter subscription repctl_n3_e1 disable');
  await leader.simple(
    `insert into products (sku, name, price) select 'M' || i, 'x', 1 from generate_series(1, 10) i`,
  );
  await expectEqual(fleet, 'n1', ['n2']);
  // Somebody dropped it; what makes it anew begins here.
  await (await fleet.session('n2')).query(`select pg_drop_replication_slot('repctl_n3')`);
  expect((await run(rewire('n2'))).map(({ id }) => id)).toContain('standby:n2');
  const facts = factsOf(await observe(fleet), servers.config);
  const [n2, n3] = [nodeOf(facts, 'n2'), nodeOf(facts, 'n3')];
  const base = n2?.standbyBases.find(({ sibling }) => sibling === 'n3')?.baseLsn ?? '0/0';
  const applied = (n3 && ownSubscription(n3)?.appliedLsn) ?? 'FF/0';
  expect(compareLsn(applied, base), `${applied} of ${base}`).toBeLessThan(0);

  await killNode(servers.sandbox, 'n1');
  const steps = await run((snapshot) =>
    planFailover(snapshot, servers.config, { leaderIsDead: true, acceptMinority: false }),
  );
  expect(steps.map(({ id }) => id)).not.toContain('attach:n3');
  expect(factsOf(await observe(fleet), servers.config).epoch?.leader).toBe('n2');
  expect((await makePlan(fleet, rewire('n3'))).notes.join('\n')).toMatch(/begins after/u);
  expect((await run(rewire('n3'))).map(({ id }) => id)).toContain('reconcile:n3');
  await expectEqual(fleet, 'n2', ['n3']);
});
