/**
 * Locks that operations meet on tables of a node, where foreign keys are dropped and added again (a role without SET
 * on session_replication_role): nobody is ended for them, maintenance gives way, no work is lost, and who is in the
 * way is named. Judged from outside: server logs, files, digests.
 */
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Fleet, openFleet } from '../../../src/cluster/fleet.js';
import { planRewire } from '../../../src/operations/rewire.js';
import { planFailover } from '../../../src/operations/failover.js';
import { runOperation } from '../../../src/operations/run.js';
import { noJournal } from '../../../src/plan/journal.js';
import type { Session } from '../../../src/postgres/session.js';
import { setFence } from '../../../src/replication/fencing.js';
import { killNode, nodeOf } from '../../../src/sandbox/sandbox.js';
import { createCluster } from '../../support/cluster.js';
import { expectEqual } from '../../support/equality.js';
import { type Servers, startServers } from '../../support/servers.js';
import { until } from '../../support/wait.js';
import { asIntruder, repairing } from '../repair/cluster.js';
import { FILL_SQL, TABLES, TABLES_SQL } from './reconcile-tables.js';

interface Waiting {
  readonly relation: string;
  /** Since when, and for how many milliseconds. */
  readonly since: string;
  readonly ms: number;
}

describe('locks on tables', () => {
  let servers: Servers;
  let fleet: Fleet;
  let state: string;
  let admin: Session;

  beforeAll(async () => {
    state = await mkdtemp(path.join(tmpdir(), 'repctl-state-'));
    servers = await startServers({ nodes: 3, settings: { autovacuum_naptime: '1s' } });
    const config = { ...servers.config, tables: ['public.*', '"Od d".*'] };
    fleet = openFleet(config, { commitsLocally: true });
    for (const { name } of config.nodes) await (await fleet.session(name)).simple(TABLES_SQL);
    await (await fleet.session('n1')).simple(FILL_SQL);
    await createCluster(fleet, { products: false });
    admin = await servers.superuser('n2');
  });
  afterAll(async () => {
    await fleet.close();
    await servers.down();
    await rm(state, { recursive: true, force: true });
  });

  const log = async () => readFile(nodeOf(servers.sandbox, 'n2').logFile, 'utf8');
  const repair = () => repairing(fleet, state, { nodes: ['n2'] });
  const files = async () => readdir(path.join(state, 'overwritten')).catch(() => []);
  /** The lock for which repctl waits on n2. */
  const waiting = async (): Promise<Waiting | undefined> =>
    (
      await admin.simple<Waiting>(
        `select coalesce(l.relation::regclass::text, l.locktype) as relation, l.waitstart::text as since,
                (extract(epoch from clock_timestamp() - l.waitstart) * 1000)::int as ms
           from pg_locks l join pg_stat_activity a using (pid)
          where a.application_name like 'repctl%' and a.backend_type = 'client backend' and not l.granted`,
      )
    )[0];
  const holding = async (sql: string) => {
    const session = await servers.superuser('n2');
    await session.simple(`begin; ${sql}`);
    const [own] = await session.query<{ pid: number }>('select pg_backend_pid() as pid');
    return { pid: own?.pid ?? 0, end: () => session.simple('commit') };
  };

  /** Runs `body` while autovacuum is at `item`, for minutes if it is let. */
  const whileVacuumed = async (node: string, body: () => Promise<void>) => {
    const there = await servers.superuser(node);
    const settings = {
      ...{ autovacuum_vacuum_threshold: 0, autovacuum_vacuum_scale_factor: 0 },
      ...{ autovacuum_vacuum_cost_delay: 100, autovacuum_vacuum_cost_limit: 1 },
    };
    const set = Object.entries(settings).map(([name, value]) => `${name} = ${String(value)}`);
    await there.simple(`alter table item set (${set.join(', ')})`);
    await asIntruder(there, 'update item set n = n');
    const workers = () =>
      there.simple(
        `select from pg_locks l join pg_stat_activity a using (pid)
          where a.backend_type = 'autovacuum worker' and l.relation = 'item'::regclass and l.granted`,
      );
    await until(workers, (rows) => rows.length > 0);
    try {
      await body();
    } finally {
      await there.simple(`alter table item reset (${Object.keys(settings).join(', ')})`);
    }
  };

  it('autovacuum gives way to a repair', async () => {
    await asIntruder(admin, `update item set n = 0 where id = md5('7')::uuid`);
    await whileVacuumed('n2', async () => {
      const { results } = await repair();
      expect(results.get('n2')).toMatchObject({ updated: 1, open: 0, stillDiffering: 0 });
    });
    await expectEqual(fleet, 'n1', ['n2'], TABLES);
  });

  it('autovacuum gives way to the fence', async () => {
    await whileVacuumed('n1', async () => {
      const session = await fleet.session('n1');
      const request = { tables: TABLES, timeoutMs: 5_000 };
      expect(await setFence(session, { ...request, wanted: 'enabled' })).toMatchObject({ changed: 12 });
      await setFence(session, { ...request, wanted: 'disabled' });
    });
  });

  it('locks that come free one after the other: the apply worker is not ended for all of them together', async () => {
    await asIntruder(
      admin,
      `update filtered set note = 'wrong' where id = 7; update item set n = 0 where id = md5('7')::uuid;
       update listed set a = 'wrong' where id = 7; update member set name = 'wrong' where id = 7;
       update uniq set note = 'wrong' where code = 'c7'`,
    );
    const holders = new Map<string, Awaited<ReturnType<typeof holding>>>();
    for (const table of ['filtered', 'item', 'listed', 'member'])
      holders.set(table, await holding(`lock table ${table} in share update exclusive mode`));
    const repaired = repair();
    // The worker writes to the table that is locked last, and waits for the one that is locked first.
    await until(waiting, (lock) => lock?.relation === 'filtered');
    const leader = await fleet.session('n1');
    await leader.simple(
      `begin; update uniq set note = 'new' where code = 'c300'; update filtered set note = 'new' where id = 1; commit`,
    );
    while (holders.size > 0) {
      const lock = await until(waiting, (now) => (now?.ms ?? 0) > 200 || holders.size === 0);
      await holders.get(lock?.relation ?? '')?.end();
      holders.delete(lock?.relation ?? '');
    }
    expect((await repaired).results.get('n2')).toMatchObject({ open: 0, stillDiffering: 0 });
    expect(await log()).not.toMatch(/deadlock detected/u);
    await expectEqual(fleet, 'n1', ['n2'], TABLES);
  });

  it('a row that somebody holds for good: named, and nothing is in the file', async () => {
    await asIntruder(admin, `update swap set code = 'wrong' where id = 7`);
    const before = await files();
    const holder = await holding('select from swap where id = 7 for update');
    await expect(repair()).rejects.toMatchObject({
      code: 'lock-timeout',
      exit: 7,
      message: expect.stringContaining(`pid ${String(holder.pid)} `) as string,
    });
    await holder.end();
    expect(await files()).toEqual(before);
  });

  it('a repair that is rolled back after the file was written: the rows are not in it', async () => {
    await asIntruder(
      admin,
      `update swap set code = 'code 7' where id = 7; insert into swap values (5000, 'only here', 5000)`,
    );
    const before = await files();
    const holder = await holding('select from swap where id = 5000 for update');
    const failed = expect(repair()).rejects.toMatchObject({ code: 'connection-lost' });
    await until(waiting, (lock) => lock !== undefined);
    await (
      await servers.superuser('n1')
    ).simple(
      `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'repctl repair' and state like 'idle in%'`,
    );
    await holder.end();
    await failed;
    expect(await files()).toEqual(before);
    expect((await repair()).results.get('n2')).toMatchObject({ deleted: 1, stillDiffering: 0 });
  });

  it('a long reader when everything was compared: rewire waits for it, and lets others read meanwhile', async () => {
    await asIntruder(admin, `update team set name = 'wrong' where id = 20`);
    await admin.simple(
      'alter subscription repctl_n2_e1 disable; alter subscription repctl_n2_e1 set (slot_name = none)',
    );
    const leader = await servers.superuser('n1');
    await until(
      () => leader.simple(`select from pg_replication_slots where slot_name = 'repctl_n2' and not active`),
      (rows) => rows.length === 1,
    );
    await leader.simple(`select pg_drop_replication_slot('repctl_n2')`);
    const reader = await holding('select from team limit 1');
    const rewired = runOperation(
      (snapshot) => planRewire(snapshot, fleet.config, { node: 'n2', recopy: false, acceptDataLoss: false }),
      { fleet, journal: noJournal, stateDir: state },
    );
    const failed = rewired.then(
      () => false,
      () => true,
    );
    const since = new Set<string>();
    const other = await fleet.fresh('n2');
    await until(
      async () => {
        const lock = await waiting();
        if (lock !== undefined) since.add(lock.since);
        return since.size;
      },
      (waits) => waits > 2,
    );
    await other.simple(`set statement_timeout = '5s'; select count(*) from team`);
    await other.close();
    await reader.end();
    expect(await failed).toBe(false);
    const result = (await rewired).find(({ id }) => id === 'reconcile:n2')?.result;
    const lines = (await readFile(String(result?.['overwritten']), 'utf8')).trim().split('\n');
    expect(lines.filter((line) => line.includes('"team"'))).toHaveLength(1);
    await expectEqual(fleet, 'n1', ['n2'], TABLES);
  });

  it('a failover that maintenance by hand keeps from lifting the fence says whose it is', async () => {
    const holder = await holding('lock table swap in share update exclusive mode');
    await killNode(servers.sandbox, 'n1');
    const failover = () =>
      runOperation(
        (snapshot) =>
          planFailover(snapshot, fleet.config, { target: 'n2', leaderIsDead: false, acceptMinority: false }),
        { fleet, journal: noJournal, stateDir: state },
      );
    await expect(failover()).rejects.toMatchObject({
      code: 'lock-timeout',
      message: expect.stringContaining(`pid ${String(holder.pid)} `) as string,
    });
    await holder.end();
    await failover();
  });
});
