import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Fleet } from '../../../src/cluster/fleet.js';
import { observe } from '../../../src/cluster/observe.js';
import { type CheckRequest, check } from '../../../src/consistency/check.js';
import type { CheckResult, RowDifference, TableNodeResult } from '../../../src/consistency/result.js';
import type { Session } from '../../../src/postgres/session.js';
import { type Servers, startServers } from '../../support/servers.js';
import { ROWS, makeCluster, until } from './cluster.js';

let servers: Servers;
let fleet: Fleet;
let leader: Session;
beforeAll(async () => {
  // Mixed majors: the digests must be the same on both.
  servers = await startServers({ nodes: 3, pg: ['18', '15', '18'] });
  fleet = servers.fleet();
  await makeCluster(servers, fleet);
  leader = await fleet.session('n1');
});
afterAll(() => servers.down());

const run = async (request: Partial<CheckRequest> = {}): Promise<CheckResult> =>
  check(fleet, await observe(fleet), {
    tables: [],
    nodes: [],
    rows: 20,
    concurrency: 2,
    blockRows: 500,
    waitMs: 5_000,
    ...request,
  });

function on(result: CheckResult, table: string, node: string): TableNodeResult {
  const found = result.tables.find((it) => it.name === table)?.nodes.find((it) => it.node === node);
  if (!found) throw new Error(`${table} on ${node} is not in the result`);
  return found;
}

/** A change of the leader is on that node: a short patience is meant for another one. */
async function arrived(node: string, sql: string): Promise<void> {
  const session = await fleet.session(node);
  await until(async () => (await session.query(sql)).length === 1);
}

/** Plants differences on n2, checks, and takes them back. */
async function planted(sql: string, back: string, table: string): Promise<RowDifference[]> {
  const replica = await servers.superuser('n2');
  await replica.simple(sql);
  try {
    const result = await run({ tables: [table] });
    expect(result.verdict).toBe('diverged');
    expect(on(result, table, 'n3').verdict).toBe('equal');
    expect(on(result, table, 'n2')).toMatchObject({ verdict: 'diverged', unverified: 0, problem: null });
    return [...on(result, table, 'n2').samples];
  } finally {
    await replica.simple(back);
    await replica.close();
  }
}

const differing = (
  key: Record<string, string>,
  name: string,
  mine: string | null,
  theirs: string | null,
) => ({
  kind: 'differing',
  proven: true,
  key,
  columns: [{ name, leader: mine, node: theirs }],
  copies: null,
});

describe('equal nodes', () => {
  test('15 and 18 are equal to the leader, each kind of key by its method', async () => {
    const result = await run();
    expect(result.verdict).toBe('equal');
    expect(result.tables.map(({ name, method, rows }) => [name, method, rows])).toEqual([
      ['by_int', 'ranges', String(ROWS)],
      ['by_text', 'buckets', String(ROWS)],
      ['by_three', 'buckets', String(ROWS)],
      ['by_uuid', 'buckets', String(ROWS)],
      ['no_key', 'multiset', String(ROWS / 5)],
    ]);
    expect(on(result, 'by_int', 'n2')).toMatchObject({ blocks: 11, blocksDiffering: 0, rechecked: 0 });
    expect(result.schema).toEqual([]);
    expect(result.publication).toEqual([]);
    expect(result.sequences).toMatchObject([
      { name: 'by_int_id_seq', leaderLastValue: String(ROWS), highestInUse: String(ROWS), behind: false },
    ]);
  });
});

describe('planted rows are found at the right key and column', () => {
  test.each([
    ['NULL against an empty text', `note = null`, 'note', 'note 7', null],
    ['a trailing space', `note = 'note 7 '`, 'note', 'note 7', 'note 7 '],
    ['numeric 1.0 against 1.00', `price = 1.00`, 'price', '1.00000000000000000000', '1.00'],
    // hashint8extended() folds the halves together: these two hash alike.
    ['int8 that hash alike', `n = 4294967296 + 6`, 'n', '7', '4294967302'],
    ['int8 that differ by 2^32', `n = 4294967296 + 7`, 'n', '7', '4294967303'],
    ['the order of keys in json', `doc = '{"a": 2, "b": 1}'`, 'doc', '{"b": 1, "a": 2}', '{"a": 2, "b": 1}'],
    ['-0 against 0', `f = '-0'`, 'f', '0', '-0'],
  ])('%s', async (_, set, column, mine, theirs) => {
    const rows = await planted(
      `create temp table kept as select * from public.by_int where id = 7; update public.by_int set ${set} where id = 7`,
      `update public.by_int b set n = k.n, price = k.price, note = k.note, doc = k.doc, f = k.f from kept k where b.id = k.id`,
      'by_int',
    );
    expect(rows).toEqual([differing({ id: '7' }, column, mine, theirs)]);
  });

  test('values swapped between two rows of a block, which leave linear sums alike', async () => {
    const swap = `update public.by_int a set n = b.n from public.by_int b where (a.id, b.id) in ((100, 101), (101, 100))`;
    const rows = await planted(swap, swap, 'by_int');
    expect(rows.toSorted((a, b) => Number(a.key?.['id']) - Number(b.key?.['id']))).toEqual([
      differing({ id: '100' }, 'n', '100', '101'),
      differing({ id: '101' }, 'n', '101', '100'),
    ]);
  });

  test('missing and extra rows, before the first and behind the last key too', async () => {
    const rows = await planted(
      `create temp table gone as select * from public.by_int where id = 2500; delete from public.by_int where id = 2500;
       insert into public.by_int (id, n) values (-9223372036854775808, 1), (9223372036854775807, 2)`,
      `delete from public.by_int where id in (-9223372036854775808, 9223372036854775807); insert into public.by_int select * from gone`,
      'by_int',
    );
    expect(rows.map(({ kind, key }) => [kind, key?.['id']]).toSorted()).toEqual([
      ['extra', '-9223372036854775808'],
      ['extra', '9223372036854775807'],
      ['missing', '2500'],
    ]);
  });

  test.each([
    ['text', 'by_text', `code = 'k17 "é'`, { code: 'k17 "é' }],
    ['uuid', 'by_uuid', `id = md5('17')::uuid`, { id: '70efdf2e-c9b0-8607-9795-c442636b55fb' }],
    ['three columns', 'by_three', `b = 'b17'`, { a: '3', b: 'b17', c: '2026-01-01 00:00:25.5+00' }],
  ])('a key of %s', async (_, table, where, key) => {
    const rows = await planted(
      `update public.${table} set note = 'Note' where ${where}`,
      `update public.${table} set note = 'note' where ${where}`,
      table,
    );
    expect(rows).toEqual([differing(key, 'note', 'note', 'Note')]);
  });

  test('without a key: a row too many, and one of several equal ones missing', async () => {
    const rows = await planted(
      `insert into public.no_key values (1, ''); delete from public.no_key where ctid = (select min(ctid) from public.no_key where a = 5 and note = 'x')`,
      `delete from public.no_key where note = ''; insert into public.no_key values (5, 'x')`,
      'no_key',
    );
    expect(rows.map(({ kind, copies }) => [kind, copies]).toSorted()).toEqual([
      ['extra', { leader: '0', node: '1' }],
      ['missing', { leader: expect.any(String) as string, node: expect.any(String) as string }],
    ]);
    expect(rows.find((row) => row.kind === 'extra')?.columns).toEqual([
      { name: 'a', leader: null, node: '1' },
      { name: 'note', leader: null, node: '' },
    ]);
  });

  test('a row that is there twice, where the replica has lost its primary key', async () => {
    const rows = await planted(
      `alter table public.by_text drop constraint by_text_pkey;
       insert into public.by_text select * from public.by_text where code = 'k17 "é'`,
      `alter table public.by_text replica identity full;
       delete from public.by_text where ctid = (select max(ctid) from public.by_text where code = 'k17 "é');
       alter table public.by_text replica identity default; alter table public.by_text add primary key (code)`,
      'by_text',
    );
    expect(rows).toMatchObject([{ kind: 'differing', proven: true, key: { code: 'k17 "é' }, columns: [] }]);
  });

  test('a replica without any rows: enough is found, the rest is counted as not listed', async () => {
    const replica = await servers.superuser('n2');
    await replica.simple('create temp table kept as select * from public.by_uuid; truncate public.by_uuid');
    try {
      const result = await run({ tables: ['by_uuid'], rows: 3 });
      expect(on(result, 'by_uuid', 'n2')).toMatchObject({ verdict: 'diverged', rows: '0', missing: ROWS });
      expect(on(result, 'by_uuid', 'n2').samples).toHaveLength(3);
    } finally {
      await replica.simple('insert into public.by_uuid select * from kept');
      await replica.close();
    }
  });
});

describe('while writes go on', () => {
  test('equal nodes are never called different, and what is planted is found all the same', async () => {
    const writer = writing(servers);
    try {
      // Without a writer at work these runs would prove nothing: as many writes as it takes, however fast the machine.
      for (let round = 0; round < 8 || writer.writes() < 1000; round += 1) {
        const result = await run();
        expect({ verdict: result.verdict, tables: brief(result) }).toEqual({ verdict: 'equal', tables: [] });
      }
      const replica = await servers.superuser('n2');
      await replica.simple(`update public.by_int set note = '' where id = 4999`);
      const result = await run();
      expect(brief(result)).toEqual([['by_int', 'n2', 0, 0, 1, 0]]);
      expect(on(result, 'by_int', 'n2').samples).toEqual([
        differing({ id: '4999' }, 'note', 'note 4999', ''),
      ]);
      await replica.simple(`update public.by_int set note = 'note 4999' where id = 4999`);
      await replica.close();
    } finally {
      await writer.stop();
    }
  });

  const brief = (result: CheckResult) =>
    result.tables.flatMap((table) =>
      table.nodes
        .filter((node) => node.verdict !== 'equal')
        .map((node) => [table.name, node.node, node.missing, node.extra, node.differing, node.unverified]),
    );
});

describe('what cannot be verified is never called equal, nor different', () => {
  test('a replica whose subscription is disabled', async () => {
    // What the writer above left behind must have arrived before the stream stops.
    await until(async () =>
      (await run()).tables.every((table) => table.nodes.every((node) => node.blocksDiffering === 0)),
    );
    const replica = await servers.superuser('n3');
    await replica.simple('alter subscription repctl_n3_e1 disable');
    await leader.simple(`update by_int set note = 'later' where id = 11`);
    try {
      const result = await run({ tables: ['by_int'], nodes: ['n3'], waitMs: 500 });
      expect(on(result, 'by_int', 'n3')).toMatchObject({
        verdict: 'unverified',
        unverified: 1,
        differing: 0,
      });
      expect(on(result, 'by_int', 'n3').samples).toEqual([
        { ...differing({ id: '11' }, 'note', 'later', 'note 11'), proven: false },
      ]);
      expect(result.verdict).toBe('unverified');
      expect(result.publication).toMatchObject([{ code: 'not-subscribed', node: 'n3' }]);
    } finally {
      await replica.simple('alter subscription repctl_n3_e1 enable');
      await leader.simple(`update by_int set note = 'note 11' where id = 11`);
      await replica.close();
    }
  });

  test('a replica that does not catch up is waited for no longer than told', async () => {
    const replica = await servers.superuser('n3');
    await replica.simple(`begin; lock table public.by_int in share row exclusive mode`);
    await leader.simple(`update by_int set note = 'held up' where id = 12`);
    try {
      await arrived('n2', `select from by_int where id = 12 and note = 'held up'`);
      const result = await run({ tables: ['by_int'], waitMs: 300 });
      expect(on(result, 'by_int', 'n2').verdict).toBe('equal');
      expect(on(result, 'by_int', 'n3')).toMatchObject({ verdict: 'unverified', unverified: 1 });
      expect(result.verdict).toBe('unverified');
      expect(result.durationMs).toBeLessThan(5_000);
    } finally {
      await replica.simple('rollback');
      await replica.close();
    }
    expect((await run({ tables: ['by_int'] })).verdict).toBe('equal');
  });
});

describe('schema and publication', () => {
  test('what breaks apply is told from what does not', async () => {
    const replica = await servers.superuser('n2');
    await replica.simple(
      `alter table public.by_int add extra text; alter table public.by_text alter n type int;
       alter table public.by_uuid drop note; create unique index one_n on public.by_three (n)`,
    );
    try {
      const result = await run({ nodes: ['n2'] });
      expect(result.verdict).toBe('diverged');
      expect(result.schema.map(({ code, severity, name }) => [code, severity, name])).toEqual([
        ['column-extra', 'info', 'by_int'],
        ['column-type', 'error', 'by_text'],
        ['unique-extra', 'error', 'by_three'],
        ['column-missing', 'error', 'by_uuid'],
      ]);
      expect(on(result, 'by_int', 'n2').verdict).toBe('equal');
      expect(on(result, 'by_text', 'n2').verdict).toBe('equal');
      expect(on(result, 'by_uuid', 'n2').problem).toMatch(/column note does not exist here/);
    } finally {
      await replica.simple(
        `drop index public.one_n; alter table public.by_int drop extra; alter table public.by_text alter n type bigint;
         alter table public.by_uuid add note text; update public.by_uuid set note = 'note'`,
      );
      await replica.close();
    }
    expect((await run()).verdict).toBe('equal');
  });

  test('a table that the subscription lacks', async () => {
    for (const name of ['n1', 'n2', 'n3'])
      await (await fleet.session(name)).simple('create table public.late (id int primary key)');
    await leader.simple('alter publication repctl add table public.late; insert into public.late values (1)');
    try {
      const result = await run({ tables: ['late'] });
      expect(result.publication.map(({ code, node }) => [code, node])).toEqual([
        ['table-not-subscribed', 'n2'],
        ['table-not-subscribed', 'n3'],
      ]);
      expect(on(result, 'late', 'n2')).toMatchObject({ verdict: 'diverged', missing: 1 });
    } finally {
      for (const name of ['n1', 'n2', 'n3'])
        await (await fleet.session(name)).simple('drop table public.late');
    }
  });
});

describe('refusals', () => {
  test.each([
    [{ tables: ['nowhere'] }, 'unknown-table'],
    [{ nodes: ['n1'] }, 'usage'],
  ])('%j', async (request, code) => {
    await expect(run(request)).rejects.toMatchObject({ code });
  });
});

/** Some 300 transactions a second on the leader: inserts, updates of hot and cold rows, deletes, key changes. */
function writing(on_: Servers): { writes(): number; stop(): Promise<void> } {
  const state = { on: true, writes: 0 };
  const statements = [
    (i: number) => `insert into by_int (n, note) values (${String(i)}, 'new')`,
    (i: number) => `update by_int set n = n + 1 where id = ${String(1 + (i % 50))}`,
    (i: number) =>
      `update by_text set note = 'note ${String(i)}' where code = 'k${String(1 + (i % 900))} "é'`,
    (i: number) => `update by_uuid set n = n + 1 where id = md5('${String(1 + (i % 20))}')::uuid`,
    (i: number) => `update by_three set a = a + 7 where b = 'b${String(1 + (i % 300))}'`,
    () => `delete from by_int where id = (select max(id) from by_int where note = 'new')`,
    (i: number) =>
      `update no_key set note = '${String(i % 9)}' where ctid = (select min(ctid) from no_key where a = ${String(i % 100)})`,
  ];
  const loop = async (unflushed: boolean) => {
    const own = on_.fleet();
    const session = await own.session('n1');
    // Commits that are visible before they are flushed: the flush position says nothing of them.
    if (unflushed) await session.query('set synchronous_commit = off');
    for (let i = 0; state.on; i += 1) {
      const sql = statements[i % statements.length]?.(i) ?? '';
      await session.query(sql);
      state.writes += 1;
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    await own.close();
  };
  const loops = [loop(false), loop(true)];
  return {
    writes: () => state.writes,
    async stop() {
      state.on = false;
      await Promise.all(loops);
    },
  };
}
