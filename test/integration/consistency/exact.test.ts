/** One moment for all nodes, every difference in a file, and a bounded rate. */
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Fleet, openFleet } from '../../../src/cluster/fleet.js';
import { subscriptionName } from '../../../src/cluster/names.js';
import { observe } from '../../../src/cluster/observe.js';
import { type CheckRequest, check } from '../../../src/consistency/check.js';
import { openReport } from '../../../src/consistency/report.js';
import type { CheckResult, RowDifference } from '../../../src/consistency/result.js';
import type { Session } from '../../../src/postgres/session.js';
import { type Servers, startServers } from '../../support/servers.js';
import { ROWS, makeCluster, until } from './cluster.js';

let servers: Servers;
let fleet: Fleet;
let leader: Session;
let replica: Session;
let home: string;
beforeAll(async () => {
  home = mkdtempSync(path.join(tmpdir(), 'repctl-report-'));
  servers = await startServers({ nodes: 3, pg: ['18', '17', '16'] });
  fleet = servers.fleet();
  await makeCluster(servers, fleet);
  leader = await servers.superuser('n1');
  replica = await servers.superuser('n2');
});
afterAll(async () => {
  await servers.down();
  rmSync(home, { recursive: true, force: true });
});

const run = async (request: Partial<CheckRequest> = {}, through = fleet): Promise<CheckResult> =>
  check(through, await observe(through), {
    tables: [],
    nodes: [],
    rows: 20,
    concurrency: 2,
    blockRows: 500,
    waitMs: 5_000,
    ...request,
  });

/** Sessions of a check that are there still, and its locks. */
const leftOn = async (session: Session) =>
  session.query(
    `select a.state, l.mode from pg_stat_activity a left join pg_locks l on l.pid = a.pid and l.mode = 'ShareLock' where a.application_name = 'repctl check'`,
  );

describe('--exact', () => {
  test('equal nodes under writes are equal at once, without a second look; the lock is short', async () => {
    const state = { on: true, writes: 0 };
    const writer = await servers.superuser('n1');
    const writing = (async () => {
      for (let i = 0; state.on; i += 1) {
        await writer.simple(
          `update public.by_int set n = n + 1 where id = ${String(1 + (i % 50))}; update public.by_uuid set n = n + 1 where id = md5('${String(1 + (i % 20))}')::uuid; insert into public.no_key values (${String(i)}, 'new')`,
        );
        state.writes += 1;
      }
    })();
    try {
      for (let round = 0; round < 5; round += 1) {
        const before = state.writes;
        const result = await run({ exact: true });
        expect(result).toMatchObject({ verdict: 'equal', exact: { tries: expect.any(Number) as number } });
        for (const { nodes } of result.tables)
          for (const node of nodes) expect(node).toMatchObject({ blocksDiffering: 0, rechecked: 0 });
        expect(result.exact?.waitedMs).toBeLessThanOrEqual(60);
        expect(state.writes).toBeGreaterThan(before);
      }
      await replica.simple(`update public.by_int set note = '' where id = 4999`);
      const result = await run({ exact: true, tables: ['by_int'] });
      expect(result.tables[0]?.nodes).toMatchObject([
        { node: 'n2', differing: 1, unverified: 0, samples: [{ key: { id: '4999' }, proven: true }] },
        { node: 'n3', verdict: 'equal' },
      ]);
    } finally {
      state.on = false;
      await writing;
      await replica.simple(`update public.by_int set note = 'note 4999' where id = 4999`);
    }
    expect(await leftOn(leader)).toEqual([]);
  });

  test('a writer that does not let go: given up, with its name, exit 4, and no lock left', async () => {
    const writer = await servers.superuser('n1');
    await writer.simple('begin; update public.by_text set n = n');
    const [row] = await writer.query<{ pid: number }>('select pg_backend_pid() as pid');
    try {
      await expect(run({ exact: true, waitMs: 600 })).rejects.toMatchObject({
        code: 'exact-lock',
        exit: 4,
        message: expect.stringContaining(`pid ${String(row?.pid)}`) as string,
      });
    } finally {
      await writer.simple('rollback');
    }
    expect(await leftOn(leader)).toEqual([]);
    expect(await run({ exact: true })).toMatchObject({ verdict: 'equal' });
  });

  test('a replica that does not catch up is left out, and writers are not kept waiting for it', async () => {
    const other = await servers.superuser('n3');
    await other.simple('begin; lock table public.by_int in share row exclusive mode');
    await leader.simple(`update public.by_int set note = 'held up' where id = 12`);
    try {
      // Its short patience is meant for the other one.
      await until(
        async () =>
          (await replica.query(`select from public.by_int where id = 12 and note = 'held up'`)).length === 1,
      );
      const result = await run({ exact: true, tables: ['by_int'], waitMs: 700 });
      expect(result.tables[0]?.nodes).toMatchObject([
        { node: 'n2', verdict: 'equal' },
        { node: 'n3', verdict: 'unverified', problem: 'it did not catch up within 0.7 s' },
      ]);
      expect(result.exact?.lockMs).toBeLessThan(1_000);
    } finally {
      await other.simple('rollback');
    }
    await until(async () => (await run({ exact: true })).verdict === 'equal');
  });

  test.each([
    {
      node: 'n1',
      sql: 'truncate public.by_uuid',
      back: 'insert into public.by_uuid select * from kept',
    },
    {
      node: 'n2',
      sql: 'alter table public.by_uuid alter n type numeric',
      back: 'alter table public.by_uuid alter n type bigint',
    },
  ])('$sql on $node before it is read waits for the end: no snapshot keeps its rows', async (what) => {
    const session = await servers.superuser(what.node);
    await session.simple('create temp table kept as select * from public.by_uuid');
    let done: Promise<unknown> | undefined;
    try {
      const result = await run({
        exact: true,
        tables: ['by_int', 'by_uuid'],
        // Two seconds for the first of them.
        rate: { rows: 2_500 },
        onProgress: () => {
          done ??= session.simple(what.sql);
        },
      });
      expect(done).toBeDefined();
      expect(result.tables.map(({ name, rows }) => [name, rows])).toEqual([
        ['by_int', String(ROWS)],
        ['by_uuid', String(ROWS)],
      ]);
      expect(result.verdict).toBe('equal');
    } finally {
      await done;
      await session.simple(what.back);
    }
    await until(async () => (await run({ exact: true })).verdict === 'equal');
    expect(await leftOn(leader)).toEqual([]);
  });

  test('a table that somebody has locked on a replica: that one is left out with why, and no writer waits for it', async () => {
    const hasty = openFleet({ ...servers.config, statementTimeoutMs: 1_000 });
    const writer = await servers.superuser('n1');
    const other = await servers.superuser('n3');
    try {
      // Until the table is locked there, a writer keeps the check from its lock.
      await writer.simple('begin; update public.by_text set n = n');
      const running = run({ exact: true, tables: ['by_text', 'by_uuid'], waitMs: 20_000 }, hasty);
      await until(async () => {
        const waiting = await leader.query(
          `select from pg_locks l join pg_stat_activity a using (pid)
           where a.application_name = 'repctl check' and l.mode = 'ShareLock' and not l.granted`,
        );
        return waiting.length > 0;
      });
      await other.simple('begin; lock table public.by_uuid in access exclusive mode');
      await writer.simple('rollback');
      const result = await running;
      for (const { nodes } of result.tables)
        expect(nodes).toMatchObject([
          { node: 'n2', verdict: 'equal' },
          { node: 'n3', verdict: 'unverified', problem: expect.stringMatching(/lock timeout/) as string },
        ]);
      expect(result.exact?.lockMs).toBeLessThan(900);
      expect(result.exact?.tries).toBeGreaterThan(1);
    } finally {
      await Promise.all([writer, other].map((session) => session.simple('rollback')));
      await hasty.close();
    }
    await until(async () => (await run({ exact: true })).verdict === 'equal');
  });
});

describe('--report', () => {
  const lines = (file: string) =>
    readFileSync(file, 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as RowDifference & { table: string; node: string });

  test.each([false, true])('every difference, beyond what is shown (exact: %j)', async (exact) => {
    const file = path.join(home, `all-${String(exact)}.ndjson`);
    await replica.simple(
      `create temp table kept as select * from public.by_int; create temp table uuids as select * from public.by_uuid; truncate public.by_uuid;
       update public.by_int set n = -n, note = null where id <= 3000; delete from public.by_int where id > 4900; insert into public.by_int (id, n) values (100000, 1)`,
    );
    try {
      const report = await openReport(file);
      const result = await run({ report, rows: 3, nodes: ['n2'], tables: ['by_int', 'by_uuid'], exact });
      expect(result.report).toEqual({ file, rows: 3000 + 100 + 1 + ROWS });
      expect(statSync(file).mode & 0o777).toBe(0o600);
      const found = lines(file);
      const count = (table: string, kind: string) =>
        new Set(
          found.filter((it) => it.table === table && it.kind === kind).map((it) => JSON.stringify(it.key)),
        ).size;
      expect([count('by_int', 'differing'), count('by_int', 'missing'), count('by_int', 'extra')]).toEqual([
        3000, 100, 1,
      ]);
      expect(count('by_uuid', 'missing')).toBe(ROWS);
      expect(found.every((it) => it.proven && it.node === 'n2')).toBe(true);
      expect(found.find((it) => it.key?.['id'] === '7')?.columns).toEqual([
        { name: 'n', leader: expect.any(String) as string, node: expect.stringMatching(/^-/) as string },
        { name: 'note', leader: 'note 7', node: null },
      ]);
      expect(result.tables[0]?.nodes[0]?.samples).toHaveLength(3);
    } finally {
      await replica.simple(
        `truncate public.by_int; insert into public.by_int select * from kept; insert into public.by_uuid select * from uuids; drop table kept, uuids`,
      );
    }
    expect((await run()).verdict).toBe('equal');
  });

  test('what is no report is left alone; what cannot be written is said', async () => {
    const file = path.join(home, 'repctl.yaml');
    writeFileSync(file, 'cluster: shop\n');
    await expect(openReport(file)).rejects.toMatchObject({ code: 'report-exists', exit: 2 });
    expect(readFileSync(file, 'utf8')).toBe('cluster: shop\n');
    for (const bad of [home, path.join(home, 'none', 'x'), '/dev/full/x'])
      await expect(openReport(bad)).rejects.toMatchObject({ code: 'report-unwritable', exit: 2 });
  });
});

describe('--max-rate', () => {
  test('tables of every kind of key at the rate, and nothing is lost between the portions', async () => {
    const result = await run({ rate: { rows: 5_000 }, tables: ['by_int', 'by_uuid', 'no_key'] });
    expect(result.verdict).toBe('equal');
    const took = (name: string) => result.tables.find((table) => table.name === name)?.durationMs ?? 0;
    // The first portion is free, the last one need not be waited for.
    expect(took('by_int')).toBeGreaterThan(500);
    expect(took('by_uuid')).toBeGreaterThan(500);
    expect(result.tables.map(({ rows }) => rows).slice(0, 2)).toEqual([String(ROWS), String(ROWS)]);
    await replica.simple(
      `update public.by_uuid set note = 'x' where id = md5('77')::uuid; insert into public.no_key select 5, 'x' from generate_series(1, 3)`,
    );
    try {
      const found = await run({ rate: { bytes: 1_000_000 }, tables: ['by_uuid', 'no_key'], nodes: ['n2'] });
      expect(found.tables.map(({ nodes }) => [nodes[0]?.differing, nodes[0]?.extra])).toEqual([
        [1, 0],
        [0, 1],
      ]);
    } finally {
      await replica.simple(
        `update public.by_uuid set note = 'note' where note = 'x'; delete from public.no_key where ctid in (select ctid from public.no_key where a = 5 and note = 'x' order by ctid desc limit 3)`,
      );
    }
    expect((await run()).verdict).toBe('equal');
  });
});

describe('a partitioned table that is published as one', () => {
  test('--exact keeps out writers of its partitions too', async () => {
    for (const name of ['n1', 'n2', 'n3']) {
      const session = await fleet.session(name);
      await session.simple(
        `create table public.tree (id int primary key, n int) partition by range (id);
         create table public.tree_low partition of public.tree for values from (0) to (100);
         create table public.tree_high partition of public.tree for values from (100) to (200);
         alter publication repctl set (publish_via_partition_root = true);
         alter publication repctl add table public.tree`,
      );
    }
    await leader.simple('insert into public.tree select g, 0 from generate_series(0, 199) g');
    for (const name of ['n2', 'n3']) {
      const session = await servers.superuser(name);
      await session.simple(`alter subscription ${subscriptionName(name, 1)} refresh publication`);
    }
    await until(async () => (await run({ tables: ['tree'] })).verdict === 'equal');
    const state = { on: true, writes: 0 };
    const writers = ['tree_low', 'tree_high'].map(async (partition) => {
      const session = await servers.superuser('n1');
      while (state.on) {
        await session.simple(`update public.${partition} set n = n + 1 where id % 100 < 20`);
        state.writes += 1;
      }
    });
    try {
      for (let round = 0; round < 10; round += 1) {
        const before = state.writes;
        const result = await run({ exact: true, tables: ['tree'] });
        expect(result).toMatchObject({ verdict: 'equal', tables: [{ name: 'tree', rows: '200' }] });
        for (const node of result.tables[0]?.nodes ?? []) expect(node).toMatchObject({ blocksDiffering: 0 });
        expect(state.writes).toBeGreaterThan(before);
      }
    } finally {
      state.on = false;
      await Promise.all(writers);
    }
  });

  test('a writer of a partition that does not let go is named', async () => {
    const writer = await servers.superuser('n1');
    await writer.simple('begin; update public.tree_low set n = n');
    try {
      await expect(run({ exact: true, tables: ['tree'], waitMs: 300 })).rejects.toMatchObject({
        code: 'exact-lock',
        message: expect.stringMatching(/holds a lock on .*tree_low/) as string,
      });
    } finally {
      await writer.simple('rollback');
    }
    expect(await leftOn(leader)).toEqual([]);
  });
});
