/**
 * `repair` on servers of all majors, as the everyday role (a superuser on 15), while the leader takes writes. Judged
 * from outside: digests, catalogs, files, what triggers left behind.
 */
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Fleet, openFleet } from '../../../src/cluster/fleet.js';
import type { TableName } from '../../../src/cluster/model.js';
import { observe } from '../../../src/cluster/observe.js';
import type { Session } from '../../../src/postgres/session.js';
import { createCluster } from '../../support/cluster.js';
import { expectEqual } from '../../support/equality.js';
import { commitsGoOn, commitsHang } from '../../support/hanging.js';
import { type Servers, startServers } from '../../support/servers.js';
import {
  FILL_SQL,
  MESS_SQL,
  PUBLICATION_SQL,
  TABLES,
  TABLES_SQL,
  TRIGGERS_SQL,
  writeForever,
} from '../operations/reconcile-tables.js';
import { asIntruder, repairing } from './cluster.js';

const ALL: readonly TableName[] = [...TABLES, { schema: 'repctl', name: 'event' }];
const REPLICAS = ['n2', 'n3', 'n4'] as const;

const CATALOG_SQL = `
select (select json_agg(x order by x) from (select format('%s %s %s', tgrelid::regclass, tgname, tgenabled) as x
          from pg_trigger where not tgisinternal) t) as triggers,
       (select json_agg(x order by x) from (select format('%s %s %s %s %s', conrelid::regclass, conname, contype, convalidated, pg_get_constraintdef(oid)) as x
          from pg_constraint where contype <> 'n' and connamespace::regnamespace::text in ('public', '"Od d"')) c) as constraints,
       (select count(*)::int from pg_trigger where tgisinternal and tgenabled <> 'O') as disabled,
       (select count(*)::int from pg_class where relpersistence = 't') as temporary`;

describe('repair', () => {
  let servers: Servers;
  let fleet: Fleet;
  let state: string;
  let leader: Session;

  beforeAll(async () => {
    state = await mkdtemp(path.join(tmpdir(), 'repctl-state-'));
    servers = await startServers({ nodes: 4, pg: ['18', '15', '16', '18'] });
    // A worker that failed tries again at once: waiting for it is not what is tested.
    const config = { ...servers.config, tables: ['public.*', '"Od d".*'] };
    fleet = openFleet(config, { commitsLocally: true });
    for (const { name } of config.nodes) {
      await (await fleet.session(name)).simple(TABLES_SQL);
      const admin = await servers.superuser(name);
      await admin.simple(`alter system set wal_retrieve_retry_interval = '200ms'`);
      await admin.simple('select pg_reload_conf()');
    }
    leader = await fleet.session('n1');
    await leader.simple(FILL_SQL);
    await createCluster(fleet, { products: false });
    await (await servers.superuser('n1')).simple(PUBLICATION_SQL);
    await Promise.all(REPLICAS.map(async (name) => (await fleet.session(name)).simple(TRIGGERS_SQL)));
  });
  afterAll(async () => {
    await fleet.close();
    await servers.down();
    await rm(state, { recursive: true, force: true });
  });

  const one = async <Row>(session: Session, sql: string): Promise<Row | undefined> =>
    (await session.simple<Row>(sql))[0];
  const codes = async (name: string, ids: string) =>
    (await fleet.session(name)).simple(`select id, code from swap where id in (${ids}) order by id`);

  /** Every table is written to meanwhile. */
  const whileWritten = async <T>(body: () => Promise<T>): Promise<T> => {
    const stop = new AbortController();
    const writing = writeForever(await fleet.fresh('n1'), stop.signal);
    try {
      return await body();
    } finally {
      stop.abort();
      expect(await writing).toBeGreaterThan(0);
    }
  };

  it('every kind of difference on 15, 16 and 18 at once, while every table is written to', async () => {
    const admins = await Promise.all(REPLICAS.map((name) => servers.superuser(name)));
    const catalogs = () => Promise.all(admins.map((admin) => one(admin, CATALOG_SQL)));
    for (const admin of admins) await asIntruder(admin, MESS_SQL);
    // A database that reads NULL within an array as a word: repair's own sessions must not.
    await admins[1]?.simple(`alter database shop set array_nulls = off`);
    const before = await catalogs();
    const { results } = await whileWritten(() => repairing(fleet, state));
    await admins[1]?.simple(`alter database shop reset array_nulls`);
    for (const result of results.values())
      expect(result).toMatchObject({ stillDiffering: 0, unverified: 0, open: 0 });
    await expectEqual(fleet, 'n1', REPLICAS, ALL);
    expect(await catalogs()).toEqual(before);
    for (const [index, admin] of admins.entries()) {
      expect(await admin.query(`select * from fired where what like 'team%' or what like '%DELETE'`)).toEqual(
        [],
      );
      // What the leader does not send is the node's own, and stays.
      expect(await admin.query(`select id from listed where secret like 'own%' order by id`)).toEqual([
        { id: 1 },
        { id: 2 },
      ]);
      const node = await fleet.session(REPLICAS[index] ?? '');
      await expect(node.simple(`update swap set code = 'x'`)).rejects.toMatchObject({ code: 'node-fenced' });
    }
    const file = results.get('n3')?.overwritten ?? '';
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    const lines = (await readFile(file, 'utf8')).trim().split('\n');
    expect(lines.map((line) => JSON.parse(line) as unknown)).toContainEqual({
      ...{ schema: 'Od d', table: 'Ta"ble', operation: 'delete' },
      row: { 'K ey': 'only here', 'va"l': `it's \\ "mine"` },
    });
    expect((await repairing(fleet, state)).plan.steps).toEqual([]);
  });

  it('rows of one table alone, while the stream writes to those that it refers to', async () => {
    const admin = await servers.superuser('n4');
    for (const boss of [1, 2, 3]) {
      await asIntruder(admin, `update member set boss = ${String(boss)} where id between 200 and 210`);
      const { results } = await whileWritten(() => repairing(fleet, state, { nodes: ['n4'] }));
      expect(results.get('n4')).toMatchObject({ open: 0, stillDiffering: 0, unverified: 0 });
    }
    await expectEqual(fleet, 'n1', ['n4'], ALL);
  });

  it('a reader of a table whose foreign keys are dropped, a client that holds a row: waited for, and all kept once', async () => {
    const admin = await servers.superuser('n4');
    await asIntruder(
      admin,
      `update team set name = 'wrong' where id = 20; update uniq set note = 'wrong' where code = 'c300'`,
    );
    const holder = await servers.superuser('n4');
    await holder.simple(
      `begin; select from team where id = 1; select from uniq where code = 'c300' for update`,
    );
    const repair = repairing(fleet, state, { nodes: ['n4'] });
    /** Waits until two transactions of the repair have waited for a lock. */
    const tried = async (event: string) => {
      const seen = new Set<string>();
      const look = async () => {
        for (const { at } of await admin.simple<{ at: string }>(
          `select xact_start::text as at from pg_stat_activity
            where application_name = 'repctl repair' and wait_event_type = 'Lock' and wait_event = '${event}'`,
        ))
          seen.add(at);
        return seen.size;
      };
      await expect.poll(look, { timeout: 9_000, interval: 20 }).toBe(2);
    };
    await tried('relation');
    // Now the row alone is in the way, when team has been written already.
    await holder.simple(`commit; begin; select from uniq where code = 'c300' for update`);
    await tried('transactionid');
    await holder.simple('commit');
    const { results } = await repair;
    expect(results.get('n4')).toMatchObject({ updated: 2, open: 0, stillDiffering: 0 });
    const lines = (await readFile(results.get('n4')?.overwritten ?? '', 'utf8')).trim().split('\n');
    expect(lines).toHaveLength(2);
    await expectEqual(fleet, 'n1', ['n4'], ALL);
  });

  it('a row in the way of an insert, by its key and by a unique value of another: the stream goes on', async () => {
    const admin = await servers.superuser('n3');
    await asIntruder(
      admin,
      `insert into swap values (60001, 'mine', 60001), (60777, 'taken', 60777); update swap set code = 'taken too' where id = 500`,
    );
    await leader.simple(
      `insert into swap values (60001, 'theirs', 60001); insert into swap values (60002, 'taken', 60002);
       update swap set code = 'gone' where id = 501; insert into swap values (60003, 'taken too', 60003)`,
    );
    const { plan, steps, results } = await repairing(fleet, state, { nodes: ['n3'] });
    expect(plan.notes.join('\n')).toMatch(
      /n3 does not get on: its row public.swap id="60001".*repctl subscription skip n3 --lsn/su,
    );
    expect(steps.find(({ id }) => id === 'clear-way:n3')?.result).toMatchObject({ removed: 3 });
    // What was removed by its unique value, but is a row of the leader's, is back.
    expect(results.get('n3')).toMatchObject({ inserted: 1, stillDiffering: 0, unverified: 0 });
    await expectEqual(fleet, 'n1', ['n3'], ALL);
    expect(await codes('n3', '500, 60777')).toEqual([{ id: 500, code: 'code 500' }]);
  });

  it('rows that the next transaction itself moves out of the way are left alone', async () => {
    const admin = await servers.superuser('n3');
    await asIntruder(admin, `insert into swap values (61001, 'mine', 61001)`);
    await leader.simple(
      `begin; update swap set code = 'moved away' where id = 601; insert into swap values (61002, 'code 601', 61002);
       insert into swap values (61001, 'theirs too', 61001); commit`,
    );
    const { steps } = await repairing(fleet, state, { nodes: ['n3'] });
    expect(steps.find(({ id }) => id === 'clear-way:n3')?.result).toMatchObject({ removed: 1 });
    await expectEqual(fleet, 'n1', ['n3'], ALL);
  });

  /** Repairs n2 while its table is held, so that the leader is read, and the lock asked for, before `meanwhile`. */
  const betweenReadingAndLock = async (meanwhile: () => Promise<unknown>) => {
    const holder = await servers.superuser('n2');
    // Keeps repair out, and lets the apply worker pass.
    await holder.simple('begin; lock table swap in share update exclusive mode');
    const repair = repairing(fleet, state, {
      nodes: ['n2'],
      tables: ['swap'],
      writersMs: 400,
      waitMs: 3_000,
    });
    const failed = repair.then(
      () => undefined,
      (error: unknown) => error,
    );
    const waiting = async () =>
      (await holder.simple(`select from pg_locks where not granted and relation = 'swap'::regclass`)).length >
      0;
    try {
      while (!(await waiting())) {
        const error = await Promise.race([
          failed,
          new Promise((resolve) => setTimeout(resolve, 5, 'not yet')),
        ]);
        if (error !== 'not yet') throw error;
      }
      await meanwhile();
    } finally {
      await holder.simple('commit');
    }
    return repair;
  };

  it('a row that is missing, and updated after it was read: never the older one', async () => {
    await asIntruder(await servers.superuser('n2'), 'delete from swap where id = 300');
    const { results } = await betweenReadingAndLock(async () => {
      await leader.simple(
        `update swap set code = 'newer' where id = 300; insert into swap values (62000, 'seen', 62000)`,
      );
      await expect.poll(() => codes('n2', '62000')).toHaveLength(1);
    });
    expect(results.get('n2')).toMatchObject({ inserted: 1, open: 0, stillDiffering: 0 });
    expect(await codes('n2', '300')).toEqual([{ id: 300, code: 'newer' }]);
    await expectEqual(fleet, 'n1', ['n2'], ALL);
  });

  it('a row only here whose key the leader inserts while the table is locked: no conflict, nothing deleted', async () => {
    await asIntruder(await servers.superuser('n2'), `insert into swap values (63000, 'mine', 63000)`);
    const other = await fleet.fresh('n1');
    let inserting: Promise<unknown> = Promise.resolve();
    const { results } = await betweenReadingAndLock(async () => {
      // Commits while repair, which has locked the table, waits for whoever has written to it.
      inserting = other.simple(
        `with i as (insert into swap values (63000, 'inserted', 63000) returning 1) select pg_sleep(0.3) from i`,
      );
      await expect
        .poll(() =>
          leader.simple(
            `select from pg_locks where relation = 'swap'::regclass and mode = 'RowExclusiveLock'`,
          ),
        )
        .toHaveLength(1);
    });
    await inserting;
    expect(results.get('n2')).toMatchObject({
      inserted: 0,
      updated: 0,
      deleted: 0,
      open: 1,
      stillDiffering: 0,
    });
    await repairing(fleet, state, { nodes: ['n2'] });
    await expectEqual(fleet, 'n1', ['n2'], ALL);
    expect(await codes('n2', '63000')).toEqual([{ id: 63000, code: 'inserted' }]);
  });

  it('a change that replicas have and the leader does not show yet: left alone', async () => {
    await asIntruder(await servers.superuser('n2'), `update swap set code = 'by hand' where id = 400`);
    const other = await servers.superuser('n1');
    let hanging: Promise<unknown> = Promise.resolve();
    const { results } = await betweenReadingAndLock(async () => {
      await commitsHang(servers, 'n1');
      hanging = other.simple(`update swap set code = 'newest' where id = 400`);
      await expect.poll(() => codes('n2', '400')).toEqual([{ id: 400, code: 'newest' }]);
      expect(await codes('n1', '400')).toEqual([{ id: 400, code: 'code 400' }]);
    });
    expect(await codes('n2', '400')).toEqual([{ id: 400, code: 'newest' }]);
    expect(results.get('n2')).toMatchObject({ open: 1, updated: 0 });
    expect(results.get('n2')?.why).toMatch(/process \d+ .* on n1 has written/u);
    await commitsGoOn(servers, 'n1');
    await hanging;
    await expectEqual(fleet, 'n1', ['n2'], ALL);
  });

  it('a transaction that idles at the leader holds nothing up, and its change comes afterwards', async () => {
    const other = await fleet.fresh('n1');
    await other.simple(`begin; update swap set code = 'open' where id = 410`);
    await asIntruder(
      await servers.superuser('n2'),
      `update swap set code = 'hand' where id = 410; delete from swap where id = 411`,
    );
    const { results } = await repairing(fleet, state, { nodes: ['n2'], writersMs: 5_000 });
    expect(results.get('n2')).toMatchObject({ updated: 1, inserted: 1, open: 0 });
    expect(await codes('n2', '410')).toEqual([{ id: 410, code: 'code 410' }]);
    await other.simple('commit');
    await expectEqual(fleet, 'n1', ['n2'], ALL);
  });

  it('refuses what somebody should look at, and a replica that receives nothing', async () => {
    const node = await fleet.session('n4');
    await asIntruder(
      await servers.superuser('n4'),
      `update swap set code = code || '!' where id between 700 and 720`,
    );
    await expect(repairing(fleet, state, { maxRows: 20 })).rejects.toMatchObject({
      code: 'too-many-rows',
      exit: 6,
    });
    await node.simple('alter subscription repctl_n4_e1 disable');
    await expect(repairing(fleet, state)).rejects.toMatchObject({ code: 'subscription-disabled', exit: 6 });
    await node.simple('alter subscription repctl_n4_e1 enable');
    const { results } = await repairing(fleet, state, { only: 'differing' });
    expect(results.get('n4')).toMatchObject({ updated: 21, stillDiffering: 0 });
    expect((await observe(fleet)).nodes.every((it) => it.reachable)).toBe(true);
  });
});
