/**
 * Rewire by reconcile, on servers of all majors: as a superuser (15) and as the everyday role (16 to 18), while the
 * leader takes writes to every table. Judged from outside: digests, catalogs, what triggers left behind.
 */
import { readFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Fleet, openFleet } from '../../../src/cluster/fleet.js';
import type { TableName } from '../../../src/cluster/model.js';
import { observe } from '../../../src/cluster/observe.js';
import type { ClusterConfig } from '../../../src/config/schema.js';
import { factsOf } from '../../../src/operations/facts.js';
import { tablesWithRows } from '../../../src/operations/fitness.js';
import { planFailover } from '../../../src/operations/failover.js';
import { type RewireRequest, planRewire } from '../../../src/operations/rewire.js';
import { type Planner, makePlan, runOperation } from '../../../src/operations/run.js';
import { noJournal } from '../../../src/plan/journal.js';
import type { Session } from '../../../src/postgres/session.js';
import { killNode, startNode, stopNode } from '../../../src/sandbox/sandbox.js';
import { createCluster } from '../../support/cluster.js';
import { type CrashHarness, crashHarness } from '../../support/crash.js';
import { expectEqual } from '../../support/equality.js';
import { invalidateSlot } from '../../support/invalidate.js';
import { type Servers, startServers } from '../../support/servers.js';
import {
  FILL_SQL,
  MESS_SQL,
  PUBLICATION_SQL,
  TABLES,
  TABLES_SQL,
  TRIGGERS_SQL,
  writeForever,
} from './reconcile-tables.js';

const ALL: readonly TableName[] = [
  ...TABLES,
  ...['epoch', 'event', 'request'].map((name) => ({ schema: 'repctl', name })),
];

/** Everything about the tables that must be as before: triggers with their state, constraints, identity. */
const CATALOG_SQL = `
select (select json_agg(x order by x) from (select format('%s %s %s', tgrelid::regclass, tgname, tgenabled) as x
          from pg_trigger where not tgisinternal) t) as triggers,
       (select json_agg(x order by x) from (select format('%s %s %s %s %s', conrelid::regclass, conname, contype, convalidated, pg_get_constraintdef(oid)) as x
          from pg_constraint where contype <> 'n' and connamespace::regnamespace::text in ('public', '"Od d"')) c) as constraints,
       (select count(*)::int from pg_trigger where tgisinternal and tgenabled <> 'O') as disabled`;

describe('rewire by reconcile', () => {
  let servers: Servers;
  let fleet: Fleet;
  let config: ClusterConfig;
  let state: string;
  let harness: CrashHarness;

  beforeAll(async () => {
    harness = await crashHarness();
    state = await mkdtemp(path.join(tmpdir(), 'repctl-state-'));
    servers = await startServers({ nodes: 5, pg: ['18', '15', '16', '17', '18'] });
    const all = { ...servers.config, tables: ['public.*', '"Od d".*'] };
    for (const { name } of all.nodes) {
      const session = await openFleet(all).session(name);
      await session.simple(TABLES_SQL);
      await session.close();
    }
    config = { ...all, nodes: all.nodes.slice(0, 4) };
    fleet = openFleet(config);
    await (await fleet.session('n1')).simple(FILL_SQL);
    await createCluster(fleet, { products: false });
    await (await servers.superuser('n1')).simple(PUBLICATION_SQL);
    await Promise.all(
      ['n2', 'n3', 'n4'].map(async (name) => (await fleet.session(name)).simple(TRIGGERS_SQL)),
    );
  });
  afterAll(async () => {
    await fleet.close();
    await servers.down();
    await harness.remove();
    await rm(state, { recursive: true, force: true });
  });

  const rewire =
    (request: Partial<RewireRequest> & { readonly node: string }): Planner =>
    (snapshot) =>
      planRewire(snapshot, config, { recopy: false, acceptDataLoss: false, ...request });
  const run = (planner: Planner) => runOperation(planner, { fleet, journal: noJournal, stateDir: state });

  /** Runs `body` while every table of the leader is written to; rethrows what the writer ran into. */
  const underWrites = async <T>(leader: string, body: () => Promise<T>): Promise<T> => {
    const session = await fleet.fresh(leader);
    const stop = new AbortController();
    const writing = writeForever(session, stop.signal);
    try {
      return await body();
    } finally {
      stop.abort();
      expect(await writing).toBeGreaterThan(0);
      await session.close();
    }
  };
  const catalog = async (session: Session) => (await session.simple(CATALOG_SQL))[0];

  it.each(['n2', 'n3', 'n4'])('%s: slot gone, every kind of difference', async (name) => {
    const node = await fleet.session(name);
    const admin = await servers.superuser(name);
    await node.simple(`alter subscription repctl_${name}_e1 disable`);
    await expect
      .poll(
        async () =>
          (
            await (
              await fleet.session('n1')
            ).query(`select from pg_replication_slots where slot_name = 'repctl_${name}' and active`)
          ).length,
      )
      .toBe(0);
    await (await fleet.session('n1')).query(`select pg_drop_replication_slot('repctl_${name}')`);
    await admin.simple(`set session_replication_role = replica; ${MESS_SQL}; reset session_replication_role`);
    const before = await catalog(admin);

    const steps = await underWrites('n1', async () => {
      const planner = rewire({ node: name });
      expect((await makePlan(fleet, planner)).notes[0]).toMatch(
        /^method: reconcile; .* slot repctl_\w+ on n1 is gone/,
      );
      return run(planner);
    });
    const result = steps.find((step) => step.id === `reconcile:${name}`)?.result;
    expect(result).toMatchObject({ rowsCopied: 0 });
    await expectEqual(fleet, 'n1', [name], ALL);
    expect(await catalog(admin)).toEqual(before);
    expect(
      await admin.query('select * from fired where what like $1 or what like $2', ['team%', '%DELETE']),
    ).toEqual([]);
    await expect(node.simple(`update swap set code = 'x'`)).rejects.toMatchObject({ code: 'node-fenced' });
    // What the leader does not send is the node's own, and stays.
    expect(await admin.query(`select id, secret from listed where secret like 'own%' order by id`)).toEqual([
      { id: 1, secret: 'own 1' },
      { id: 2, secret: 'own 2' },
    ]);
    const kept = (await readFile(String(result?.['overwritten']), 'utf8')).trim().split('\n');
    const rows = kept.map(
      (line) => JSON.parse(line) as { table: string; operation: string; row: Record<string, unknown> },
    );
    expect(rows).toContainEqual({
      schema: 'Od d',
      table: 'Ta"ble',
      operation: 'delete',
      row: { 'K ey': 'only here', 'va"l': `it's \\ "mine"` },
    });
    expect(rows.filter((row) => row.table === 'swap').map((row) => row.operation)).toContain('update');
    expect((await makePlan(fleet, rewire({ node: name }))).steps).toEqual([]);
  });

  it('attaches a database that was never in the cluster but holds the data', async () => {
    await fleet.close();
    config = { ...config, nodes: servers.config.nodes };
    fleet = openFleet(config);
    const node = await fleet.session('n5');
    await node.simple(FILL_SQL);
    await node.simple(TRIGGERS_SQL);
    await (await servers.superuser('n5')).simple(`set session_replication_role = replica; ${MESS_SQL}`);
    const holding = await tablesWithRows(fleet, 'n5', [...TABLES, { schema: 'public', name: 'missing' }]);
    expect(holding).toEqual(TABLES);
    await expect(run(rewire({ node: 'n5', holding }))).rejects.toMatchObject({
      code: 'foreign-rows',
      exit: 6,
    });
    const steps = await underWrites('n1', () => run(rewire({ node: 'n5' })));
    expect(steps.map((step) => step.id)).toEqual([
      'prepare:n5',
      'publish:n5',
      'reconcile:n5',
      'verify:n5',
      'standby:n5',
      'standby:n2',
      'standby:n3',
      'standby:n4',
    ]);
    await expectEqual(fleet, 'n1', ['n5'], ALL);
    await expect(node.simple(`update swap set code = 'x'`)).rejects.toMatchObject({ code: 'node-fenced' });
  });

  it('a slot that max_slot_wal_keep_size has invalidated', async () => {
    const admin = await servers.superuser('n1');
    await (await fleet.session('n5')).simple('alter subscription repctl_n5_e1 disable');
    const leader = await fleet.session('n1');
    await invalidateSlot(admin, 'repctl_n5', (round) =>
      leader.query(`insert into nokey values ($1, 'wal')`, [1000 + round]),
    );
    const planner = rewire({ node: 'n5' });
    expect((await makePlan(fleet, planner)).notes[0]).toContain('slot repctl_n5 on n1 is invalidated');
    await underWrites('n1', () => run(planner));
    await expectEqual(fleet, 'n1', ['n5'], ALL);
  });

  // Steps: unsubscribe, reconcile, verify, standby slots. The delays fall into the comparison and the writing.
  // Struck at every statement in turn, with every victim, in test/support/kills.
  it.each([
    { step: 2, delayMs: 10 },
    { step: 2, delayMs: 250 },
    { step: 2, delayMs: null },
    { step: 3, delayMs: 2 },
  ])('killed at step $step (delay $delayMs): rewire goes on', async (kill) => {
    const admin = await servers.superuser('n5');
    await admin.simple(
      `set session_replication_role = replica; update swap set code = code || '!'; delete from member where id % 9 = 0; reset session_replication_role`,
    );
    await underWrites('n1', async () => {
      await harness.crash({ operation: 'reconcile', node: 'n5', kill, config });
      await run(rewire({ node: 'n5' }));
    });
    await expectEqual(fleet, 'n1', ['n5'], ALL);
    expect(await admin.query(`select subname from pg_subscription`)).toEqual([{ subname: 'repctl_n5_e1' }]);
    expect((await makePlan(fleet, rewire({ node: 'n5' }))).steps).toEqual([]);
  });

  it('a former leader with its flag alone, and a node that missed two changes of leader', async () => {
    const leaderNow = async () => factsOf(await observe(fleet), config).epoch?.leader ?? '';
    const failover: Planner = (snapshot) =>
      planFailover(snapshot, config, { leaderIsDead: false, acceptMinority: true });
    await stopNode(servers.sandbox, 'n5');
    await killNode(servers.sandbox, 'n1');
    await run(failover);
    const second = await leaderNow();
    await startNode(servers.sandbox, 'n1');
    // It came back by itself, unfenced, with a client.
    await (await fleet.session('n1')).simple(`insert into swap values (7777, 'stranded', 7777)`);
    await expect(run(rewire({ node: 'n1' }))).rejects.toMatchObject({ code: 'rejoin-needed', exit: 6 });
    const steps = await underWrites(second, () => run(rewire({ node: 'n1', acceptDataLoss: true })));
    const file = String(steps.find((step) => step.id === 'reconcile:n1')?.result?.['overwritten']);
    expect(await readFile(file, 'utf8')).toContain('"stranded"');
    await expectEqual(fleet, second, ['n1'], ALL);

    await killNode(servers.sandbox, second);
    await run(failover);
    const third = await leaderNow();
    await startNode(servers.sandbox, 'n5');
    const planner = rewire({ node: 'n5' });
    expect((await makePlan(fleet, planner)).notes[0]).toMatch(/from epoch 2|by repctl_n5_e1/);
    await underWrites(third, () => run(planner));
    await expectEqual(fleet, third, ['n5'], ALL);
  });
});
