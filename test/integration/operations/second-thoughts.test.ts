/** What an operation does when the cluster is not what the preview saw, or holds things that are none of its business. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Fleet } from '../../../src/cluster/fleet.js';
import { observe } from '../../../src/cluster/observe.js';
import { factsOf, isAttached } from '../../../src/operations/facts.js';
import { planFailover } from '../../../src/operations/failover.js';
import { planRewire } from '../../../src/operations/rewire.js';
import { type Planner, runOperation } from '../../../src/operations/run.js';
import { noJournal } from '../../../src/plan/journal.js';
import { refused } from '../../../src/plan/plan.js';
import { killNode } from '../../../src/sandbox/sandbox.js';
import { createCluster } from '../../support/cluster.js';
import { expectEqual } from '../../support/equality.js';
import { type Servers, startServers } from '../../support/servers.js';

const request = { leaderIsDead: false, acceptMinority: false };

describe('second thoughts', () => {
  let servers: Servers;
  let fleet: Fleet;
  const run = (planner: Planner) => runOperation(planner, { fleet, journal: noJournal });
  const attached = async (epoch: number) =>
    factsOf(await observe(fleet), fleet.config)
      .reachable.filter((node) => isAttached(node, epoch))
      .map((node) => node.name);

  beforeAll(async () => {
    servers = await startServers({ nodes: 3 });
    fleet = servers.fleet();
    await createCluster(fleet);
    for (const node of ['n1', 'n2', 'n3'])
      await (await servers.superuser(node)).simple('create sequence public.theirs');
  });
  afterAll(() => servers.down());

  it('rewire lets a disabled subscription go on, and copies nothing', async () => {
    const replica = await fleet.session('n3');
    await replica.simple('alter subscription repctl_n3_e1 disable');
    expect(await attached(1)).toEqual(['n2']);
    const steps = await run((snapshot) =>
      planRewire(snapshot, fleet.config, { node: 'n3', recopy: false, acceptDataLoss: false }),
    );
    expect(steps.map((step) => step.id)).toEqual(['resume:n3']);
    expect(await attached(1)).toEqual(['n2', 'n3']);
    await (await fleet.session('n1')).query(`insert into products (sku, name, price) values ('a', 'x', 1)`);
    await expectEqual(fleet, 'n1', ['n2', 'n3']);
  });

  it('a refusal after the drain undoes it: exit 8, replicas attached as before', async () => {
    await killNode(servers.sandbox, 'n1');
    let looks = 0;
    const changing: Planner = (snapshot) => {
      const plan = planFailover(snapshot, fleet.config, request);
      if (plan.kind === 'plan') looks += 1;
      return looks < 2
        ? plan
        : refused('failover', [{ code: 'leader-alive', severity: 'error', message: 'It is back.' }]);
    };
    const error = await run(changing).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'leader-alive', exit: 8 });
    expect((error as { hint: string }).hint).not.toContain('Nothing was changed');
    expect(await attached(1)).toEqual(['n2', 'n3']);
  });

  it("a sequence that is somebody else's does not stop a promotion", async () => {
    await run((snapshot) => planFailover(snapshot, fleet.config, request));
    expect(await attached(2)).toEqual(['n3']);
  });
});
