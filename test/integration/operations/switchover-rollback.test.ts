/** What keeps a switchover from happening, and that nothing is left of it then. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Fleet } from '../../../src/cluster/fleet.js';
import { observe } from '../../../src/cluster/observe.js';
import type { RepctlError } from '../../../src/errors.js';
import { factsOf, isAttached } from '../../../src/operations/facts.js';
import { planRewire } from '../../../src/operations/rewire.js';
import { type RunOptions, runOperation } from '../../../src/operations/run.js';
import { planSwitchover } from '../../../src/operations/switchover.js';
import type { SwitchoverRequest } from '../../../src/operations/switchover-request.js';
import { noJournal } from '../../../src/plan/journal.js';
import { pauseNode, resumeNode, startNode, stopNode } from '../../../src/sandbox/sandbox.js';
import { catalogsOf } from '../../support/catalog.js';
import { createCluster } from '../../support/cluster.js';
import { expectEqual } from '../../support/equality.js';
import { type Servers, startServers } from '../../support/servers.js';
import { startWriter } from '../../support/writer.js';

describe('a switchover that cannot be', () => {
  let servers: Servers;
  let fleet: Fleet;

  beforeAll(async () => {
    servers = await startServers();
    fleet = servers.fleet();
    await createCluster(fleet);
    const leader = await fleet.session('n1');
    await leader.query(`insert into products (sku, name, price) values ('first', 'x', 1)`);
  });
  afterAll(() => servers.down());

  const switchover = (request: Partial<SwitchoverRequest> = {}, options: Partial<RunOptions> = {}) =>
    runOperation(
      (snapshot) =>
        planSwitchover(snapshot, servers.config, { without: [], terminateBlockers: false, ...request }),
      { fleet, journal: noJournal, ...options },
    );
  const failing = async (...args: Parameters<typeof switchover>): Promise<RepctlError> => {
    const before = await catalogs();
    const error = await switchover(...args).then(
      () => undefined,
      (thrown: unknown) => thrown as RepctlError,
    );
    expect(error, 'it should have failed').toBeDefined();
    await expect.poll(catalogs, { timeout: 10_000 }).toEqual(before);
    return error!;
  };
  const catalogs = () => catalogsOf(fleet);
  const on = async (name: string, sql: string) => (await fleet.session(name)).simple(sql);

  it('an idle client holds a lock: readers go on, writers never queue long, and it is named', async () => {
    const idle = await fleet.fresh('n1', 'idle-client');
    await idle.simple(`begin; update products set stock = stock where sku = 'first'`);
    const reader = await fleet.fresh('n1');
    // A read that waits for a lock fails, however fast the machine is.
    await reader.simple(`set lock_timeout = '10ms'`);
    const writer = startWriter({ ...servers.config, nodes: servers.config.nodes.slice(0, 1) }, 2);
    const reads = { count: 0, stop: false };
    try {
      await writer.moreWrites(20);
      const reading = (async () => {
        while (!reads.stop) {
          await reader.query('select count(*) from products');
          reads.count += 1;
        }
      })().catch((thrown: unknown) => thrown);
      writer.report();
      const before = factsOf(await observe(fleet), servers.config).epoch;
      const drainTimeoutMs = 4000;
      const error = (await switchover({ target: 'n2', drainTimeoutMs }).catch(
        (thrown: unknown) => thrown,
      )) as RepctlError;
      const { longestGapMs } = writer.report();
      reads.stop = true;
      expect(await reading).toBeUndefined();
      expect(reads.count).toBeGreaterThan(0);
      expect(error).toMatchObject({ code: 'fence-blocked', exit: 8 });
      expect(error.details['blockers']).toMatchObject([
        { applicationName: 'idle-client', state: 'idle in transaction', table: 'products' },
      ]);
      expect(error.message).toContain('idle-client');
      expect(error.hint).toContain('--terminate-blockers');
      // One attempt holds writers up for a tenth of a second; whoever queued behind it all would wait for all of it.
      expect(longestGapMs).toBeLessThan(drainTimeoutMs / 2);
      expect(factsOf(await observe(fleet), servers.config).epoch).toEqual(before);
    } finally {
      reads.stop = true;
      await idle.close();
      await writer.stop();
      await reader.close();
    }
    await expectEqual(fleet, 'n1', ['n2', 'n3', 'n4']);
  });

  it('rolled back when a replica does not drain: the whole catalog is as before', async () => {
    const stuck = await servers.superuser('n3');
    // The apply worker waits for this lock with the barrier in its hands.
    await stuck.simple('begin; lock table repctl.event in exclusive mode');
    const before = await catalogs();
    const [who] = await stuck.query<{ pid: number }>('select pg_backend_pid() as pid');
    const thrown = (await switchover({ target: 'n2', drainTimeoutMs: 800 }).catch(
      (error: unknown) => error,
    )) as RepctlError;
    expect(thrown).toMatchObject({ code: 'not-drained', exit: 8, details: { rolledBack: true } });
    expect(thrown.hint).toContain(`On n3: select pg_terminate_backend(${String(who?.pid)})`);
    await stuck.simple('rollback');
    await expect.poll(catalogs, { timeout: 10_000 }).toEqual(before);
    await on('n1', `insert into products (sku, name, price) values ('after-rollback', 'x', 1)`);
    await expectEqual(fleet, 'n1', ['n2', 'n3', 'n4']);
  });

  it('rolled back when anything fails before the promotion, and when it is interrupted there', async () => {
    const failed = await failing(
      { target: 'n2', drainTimeoutMs: 1000 },
      {
        journal: {
          append: ({ event, step }) =>
            event === 'start' && String(step).startsWith('promote:')
              ? Promise.reject(new Error('the disk is full'))
              : Promise.resolve(),
        },
      },
    );
    expect(failed).toMatchObject({ exit: 8 });
    const interrupt = new AbortController();
    const error = await failing(
      { target: 'n2' },
      {
        signal: interrupt.signal,
        onEvent: (event) => {
          if (event.type === 'done' && event.step.id.startsWith('fence:')) interrupt.abort();
        },
      },
    );
    expect(error).toMatchObject({ code: 'interrupted', exit: 130, details: { rolledBack: true } });
  });

  it.each<[string, string, () => Promise<() => Promise<unknown>>, Partial<SwitchoverRequest>, number]>([
    ['unknown-node', 'a target that is unknown', nothing, { target: 'n9' }, 2],
    ['target-is-leader', 'the leader itself', nothing, { target: 'n1' }, 6],
    ['leader-left-out', 'the leader left out', nothing, { without: ['n1'] }, 6],
    ['target-left-out', 'the target left out', nothing, { target: 'n2', without: ['n2'] }, 6],
    [
      'subscription-disabled',
      'a detached replica',
      async () => {
        await on('n2', 'alter subscription repctl_n2_e1 disable');
        return () => on('n2', 'alter subscription repctl_n2_e1 enable');
      },
      { target: 'n2' },
      6,
    ],
    [
      'epoch-missing',
      'a replica without the epoch table',
      async () => {
        const session = await servers.superuser('n2');
        await session.simple('create table repctl.kept as table repctl.epoch');
        await session.simple(
          `set session_replication_role = replica; truncate repctl.epoch; set session_replication_role = origin`,
        );
        return () =>
          session.simple(
            `set session_replication_role = replica; insert into repctl.epoch table repctl.kept; set session_replication_role = origin; drop table repctl.kept`,
          );
      },
      { target: 'n2' },
      6,
    ],
    [
      'publication-drift',
      'a table published on one node only',
      async () => {
        await on('n2', 'create table extra (id int primary key); alter publication repctl add table extra');
        return () => on('n2', 'drop table extra');
      },
      { target: 'n3' },
      6,
    ],
    [
      'foreign-trigger',
      'a trigger on one node only',
      async () => {
        await on(
          'n2',
          'create trigger mine before update on products for each row execute function suppress_redundant_updates_trigger()',
        );
        return () => on('n2', 'drop trigger mine on products');
      },
      { target: 'n2' },
      6,
    ],
    [
      'schema-drift',
      'another column on one node',
      async () => {
        await on('n3', 'alter table products add column extra text');
        return () => on('n3', 'alter table products drop column extra');
      },
      { target: 'n2' },
      6,
    ],
    [
      'leader-fenced',
      'a leader fenced by hand',
      async () => {
        await on('n1', 'alter table products enable trigger repctl_fence');
        return () => on('n1', 'alter table products disable trigger repctl_fence');
      },
      { target: 'n2' },
      6,
    ],
    [
      'sequence-exhausted',
      'no room in a sequence',
      async () => {
        await on('n2', 'create sequence tiny as smallint maxvalue 50');
        return () => on('n2', 'drop sequence tiny');
      },
      { target: 'n2' },
      6,
    ],
  ])('refuses: %s (%s)', async (code, _, plant, request, exit) => {
    const remove = await plant();
    try {
      expect(await failing(request)).toMatchObject({ code, exit });
    } finally {
      await remove();
    }
  });

  it('ends the sessions that hold locks when told to', async () => {
    const idle = await fleet.fresh('n1', 'idle-client');
    await idle.simple(`begin; update products set stock = stock where sku = 'first'`);
    const steps = await switchover({ target: 'n2', drainTimeoutMs: 500, terminateBlockers: true });
    expect(steps[0]?.result).toMatchObject({ terminated: 1 });
    await idle.close();
    await expectEqual(fleet, 'n2', ['n1', 'n3', 'n4']);
  });

  it('leaves out a replica that is down, which is then mapped, with standby slots for it everywhere', async () => {
    await stopNode(servers.sandbox, 'n4');
    await expect(switchover({ target: 'n1' })).rejects.toMatchObject({ code: 'node-unreachable', exit: 3 });
    await switchover({ target: 'n1', without: ['n4'] });
    await on('n1', `insert into products (sku, name, price) values ('without-n4', 'x', 1)`);
    await startNode(servers.sandbox, 'n4');
    const rewire = () =>
      runOperation(
        (snapshot) =>
          planRewire(snapshot, servers.config, { node: 'n4', recopy: false, acceptDataLoss: false }),
        { fleet, journal: noJournal },
      );
    const steps = await rewire();
    expect(steps.find(({ id }) => id === 'attach:n4')?.result).toMatchObject({ rowsCopied: 0 });
    await expectEqual(fleet, 'n1', ['n2', 'n3', 'n4']);
    const facts = factsOf(await observe(fleet), servers.config);
    for (const node of facts.reachable) {
      expect(node.slots.map(({ name }) => name).sort()).toHaveLength(3);
      if (node.name !== 'n1') expect(isAttached(node, facts.epoch?.epoch ?? 0)).toBe(true);
    }
    // And on: everybody can lead again, the one that was left out as well.
    await switchover({ target: 'n4' });
    await switchover({ target: 'n2' });
    await expectEqual(fleet, 'n2', ['n1', 'n3', 'n4']);
  });

  it('a replica that freezes under the fence: rolled back, and well again', async () => {
    const pausing: Promise<unknown>[] = [];
    const error = (await switchover(
      { target: 'n1', drainTimeoutMs: 1000 },
      {
        onEvent: (event) => {
          if (event.type === 'start' && event.step.id.startsWith('drain:'))
            pausing.push(pauseNode(servers.sandbox, 'n3'));
        },
      },
    ).catch((thrown: unknown) => thrown)) as RepctlError | undefined;
    // Not while it is still being frozen, which would last.
    await Promise.all(pausing);
    if (pausing.length > 0) await resumeNode(servers.sandbox, 'n3');
    // The freeze may come too late for the drain: then the rest is finished by the same command.
    if (error === undefined || error.exit === 7) await switchover({ target: 'n1' }).catch(() => undefined);
    else expect(error.exit).toBe(8);
    const facts = factsOf(await observe(fleet), servers.config);
    const leader = facts.epoch?.leader ?? '';
    await on(leader, `insert into products (sku, name, price) values ('thawed', 'x', 1)`);
    await expectEqual(
      fleet,
      leader,
      ['n1', 'n2', 'n3', 'n4'].filter((name) => name !== leader),
    );
  });
});

const nothing = (): Promise<() => Promise<unknown>> => Promise.resolve(() => Promise.resolve(undefined));
