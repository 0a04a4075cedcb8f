/** A former leader comes back: fenced, what only it has saved, its rows set right, a replica again. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { analyse } from '../../../src/cluster/analyse.js';
import type { Fleet } from '../../../src/cluster/fleet.js';
import { observe } from '../../../src/cluster/observe.js';
import type { SyncRequest } from '../../../src/cluster/sync.js';
import { factsOf, isAttached, isTombstone, nodeOf } from '../../../src/operations/facts.js';
import { planFailover } from '../../../src/operations/failover.js';
import { countBefore } from '../../../src/operations/rejoin-count.js';
import { type RejoinRequest, planRejoin } from '../../../src/operations/rejoin.js';
import { makePlan, runOperation } from '../../../src/operations/run.js';
import { replayFile } from '../../../src/operations/runners/replay.js';
import { planSync } from '../../../src/operations/sync.js';
import type { FinishedStep } from '../../../src/plan/execute.js';
import { noJournal } from '../../../src/plan/journal.js';
import { readStranded } from '../../../src/replication/stranded/file.js';
import type { StrandedLine } from '../../../src/replication/stranded/model.js';
import { pauseNode, resumeNode, startNode } from '../../../src/sandbox/sandbox.js';
import { createCluster } from '../../support/cluster.js';
import { expectEqual } from '../../support/equality.js';
import { loseWrites } from '../../support/lost-writes.js';
import { type Servers, startServers } from '../../support/servers.js';
import { settled, strand, strandAndKill } from '../../support/stranded.js';

const TABLES = [
  { schema: 'public', name: 'products' },
  { schema: 'public', name: 'items' },
  { schema: 'public', name: 'part' },
  { schema: 'repctl', name: 'epoch' },
  { schema: 'repctl', name: 'event' },
  { schema: 'repctl', name: 'request' },
];

describe('rejoin', () => {
  let servers: Servers;
  let fleet: Fleet;
  let directory: string;
  beforeAll(async () => {
    directory = await mkdtemp(path.join(tmpdir(), 'repctl-rejoin-'));
    servers = await startServers({ nodes: 3 });
    servers = { ...servers, config: { ...servers.config, tables: ['public.*'] } };
    const { openFleet } = await import('../../../src/cluster/fleet.js');
    fleet = openFleet(servers.config);
    for (const { name } of servers.config.nodes)
      await (
        await fleet.session(name)
      )
        .simple(`create table items (id int primary key, parent int references items on delete cascade, code text unique);
        create table plain (t text); alter table plain replica identity full;
        create table part (id int, day date, note text, primary key (id, day)) partition by range (day);
        create table part_old partition of part for values from (minvalue) to ('2026-01-01');
        create table part_new partition of part for values from ('2026-01-01') to (maxvalue) partition by hash (id);
        create table part_new_0 partition of part_new for values with (modulus 2, remainder 0);
        create table part_new_1 partition of part_new for values with (modulus 2, remainder 1)`);
    await createCluster(fleet);
  });
  afterAll(async () => {
    await fleet.close();
    await servers.down();
    await rm(directory, { recursive: true, force: true });
  });

  const request = (node: string, more: Partial<RejoinRequest> = {}): RejoinRequest => ({
    node,
    directory,
    replay: false,
    fenceTimeoutMs: 5000,
    terminateBlockers: false,
    ...more,
  });
  const rejoin = (node: string, more: Partial<RejoinRequest> = {}): Promise<FinishedStep[]> =>
    runOperation((snapshot) => planRejoin(snapshot, servers.config, request(node, more)), {
      fleet,
      journal: noJournal,
      stateDir: directory,
    });
  const resultOf = (steps: readonly FinishedStep[], kind: string) =>
    steps.find(({ id }) => id.startsWith(`${kind}:`))?.result;
  const linesOf = async (file: unknown): Promise<StrandedLine[]> => {
    const lines: StrandedLine[] = [];
    await readStranded(String(file), (line) => lines.push(line));
    return lines;
  };
  const expectHealthy = async (): Promise<void> => {
    const facts = factsOf(await observe(fleet), servers.config);
    const { leader, epoch } = facts;
    const others = facts.reachable.filter((node) => node.name !== leader?.name);
    expect(others).toHaveLength(servers.config.nodes.length - 1);
    for (const node of others) {
      expect(isAttached(node, epoch?.epoch ?? 0), node.name).toBe(true);
      expect(
        node.subscriptions.filter((one) => one.own),
        node.name,
      ).toHaveLength(1);
      expect(new Set(node.tables.map(({ fence }) => fence))).toEqual(new Set(['enabled']));
      expect(node.standbyBases.map(({ sibling }) => sibling)).not.toContain(node.name);
    }
    expect(leader?.subscriptions.filter(isTombstone)).toEqual([]);
    expect(leader?.slots.filter(({ temporary }) => temporary)).toEqual([]);
    await settled(fleet);
    await expectEqual(
      fleet,
      leader?.name ?? '',
      others.map(({ name }) => name),
      TABLES,
    );
  };

  it('saves what is stranded, sets right what either side changed, and is a replica again', async () => {
    const first = await fleet.session('n1');
    await first.simple(`insert into items select i, null, 'c' || i from generate_series(1, 20) i;
      update items set parent = 1 where id between 10 and 12;
      insert into products (sku, name, price) select 'P' || i, 'x', 1 from generate_series(1, 50) i`);
    await settled(fleet);
    const { old, leader } = await strand(servers, fleet, async (there) => {
      await there.simple(`insert into items values (100, 1, 'stranded')`);
      // Unique values change places, a parent goes with its children, a key moves.
      await there.simple(`update items set code = case id when 2 then 'tmp' else code end where id = 2;
        update items set code = 'c2' where id = 3; update items set code = 'c3' where id = 2`);
      await there.simple(`delete from items where id = 1`);
      await there.simple(`update items set id = 55 where id = 5`);
      await there.simple(`insert into products (sku, name, price) values ('lost', 'x', 9)`);
    });
    const there = await fleet.session(leader);
    await there.simple(`insert into items values (7000, null, 'new'); update items set code = 'c3x' where id = 3;
      delete from items where id = 20; insert into products (sku, name, price) values ('after', 'x', 1)`);

    const counted = await countBefore(fleet, await observe(fleet), old);
    expect(counted.counts).toMatchObject({ transactions: 5, changes: 11 });
    const plan = await makePlan(fleet, (snapshot) =>
      planRejoin(snapshot, servers.config, request(old, { counted: counted.counts })),
    );
    expect(plan.notes.join('\n')).toMatch(
      /takes writes right now[^]*stranded: 11 changes in 5 transactions[^]*public\.items 1 inserted, 4 updated, 5 deleted/,
    );

    const steps = await rejoin(old);
    expect(steps.map(({ id }) => id)).toEqual([
      `fence-node:${old}`,
      `save-stranded:${old}`,
      `rejoin:${old}`,
      `verify:${old}`,
      `drop-tombstone:${leader}`,
      `standby:${old}`,
    ]);
    expect(resultOf(steps, 'rejoin')).toMatchObject({ method: 'keys', rowsCopied: 0 });
    await expectHealthy();
    const lines = await linesOf(resultOf(steps, 'save-stranded')?.['file']);
    expect(lines.filter(({ table }) => table === 'products').map(({ row }) => row?.['sku'])).toEqual([
      'lost',
    ]);
    const [event] = await there.query<{ details: { stranded: unknown } }>(
      `select details from repctl.event where kind = 'rejoin'`,
    );
    expect(event?.details.stranded).toMatchObject({ transactions: 5, rows: 11 });
    expect(await rejoin(old)).toEqual([]);
  });

  const skus = async (name: string): Promise<string[]> =>
    (
      await (
        await fleet.session(name)
      ).query<{ sku: string }>(`select sku from products where sku like 'R%' order by sku`)
    ).map(({ sku }) => sku);

  it('replays what is untouched, once, in order; lists the rest; respects request ids', async () => {
    const facts = factsOf(await observe(fleet), servers.config);
    const now = await fleet.session(facts.leader?.name ?? '');
    await now.simple(
      `insert into products (sku, name, price) select 'R' || i, 'before', 1 from generate_series(1, 6) i`,
    );
    await settled(fleet);
    const id = '11111111-1111-4111-8111-111111111111';
    const seen = '22222222-2222-4222-8222-222222222222';
    const insertWith = (request: string, sku: string) =>
      `insert into products (sku, name, price) values ('${sku}', 'x', 1); insert into repctl.request (id, outcome) values ('${request}', '{"action": "create", "key": "${sku}"}')`;
    const { old, leader } = await strand(servers, fleet, async (there) => {
      await there.simple(`update products set name = 'stranded' where sku in ('R1', 'R2')`);
      await there.simple(`update products set price = 2 where sku = 'R1'`);
      await there.simple(`update products set price = 3 where sku = 'R2'`);
      await there.simple(`delete from products where sku in ('R3', 'R4')`);
      await there.simple(`${insertWith(id, 'R7')}; update products set stock = 5 where sku = 'R7'`);
      await there.simple(insertWith(seen, 'R8'));
      await there.simple(`update products set sku = 'R5-new' where sku = 'R5'`);
    });
    const there = await fleet.session(leader);
    await there.simple(`update products set name = 'theirs' where sku in ('R2', 'R4')`);
    // The client got no answer and sent the request again.
    await there.simple(insertWith(seen, 'R8'));
    const steps = await rejoin(old, { replay: true });
    expect(resultOf(steps, 'rejoin')).toMatchObject({ method: 'keys' });
    const result = resultOf(steps, 'replay-stranded');
    expect(result).toMatchObject({ transactions: 7, applied: 7, already: 2, conflicts: 3 });
    expect(result?.['shown']).toMatchObject([
      { table: 'public.products', op: 'update', code: 'row-changed' },
      { table: 'public.products', op: 'update', code: 'earlier-conflict' },
      { table: 'public.products', op: 'delete', code: 'row-changed' },
    ]);
    await expectHealthy();
    expect(await skus(old)).toEqual(['R1', 'R2', 'R4', 'R5-new', 'R6', 'R7', 'R8']);
    const rows = await there.query<{ line: string }>(
      `select concat_ws(' ', sku, name, price, stock) as line from products where sku in ('R1', 'R2', 'R7') order by sku`,
    );
    expect(rows.map(({ line }) => line)).toEqual(['R1 stranded 2.00 0', 'R2 theirs 1.00 0', 'R7 x 1.00 5']);
    expect(await there.query('select 1 from repctl.request where id = $1', [id])).toHaveLength(1);
    // Ids that came back are not given out again.
    await there.simple(`insert into products (sku, name, price) values ('fresh id', 'x', 1)`);

    const file = String(resultOf(steps, 'save-stranded')?.['file']);
    const again = await replayFile({ fleet }, { leader, file }, await readStranded(file));
    expect(again).toMatchObject({ transactions: 7, doneBefore: 7, applied: 0, conflicts: 3 });
    expect(await rejoin(old, { replay: true })).toEqual([]);
  });

  it('rows of partitions are set right, saved and replayed under the name of their table', async () => {
    const facts = factsOf(await observe(fleet), servers.config);
    const now = await fleet.session(facts.leader?.name ?? '');
    await now.simple(`insert into part select i, '2025-06-01', 'before' from generate_series(1, 10) i`);
    await settled(fleet);
    const { old, leader } = await strand(servers, fleet, async (there) => {
      await there.simple(
        `insert into part values (100, '2026-06-01', 'stranded'), (101, '2025-06-02', 'stranded')`,
      );
      await there.simple(`update part set note = 'stranded' where id = 1; delete from part where id = 2;
        update part set day = '2026-06-01' where id = 3`);
    });
    const there = await fleet.session(leader);
    await there.simple(`insert into part values (200, '2026-06-01', 'new'), (201, '2026-06-01', 'new');
      update part set note = 'new' where id = 4; update part set day = '2026-06-01' where id = 5;
      delete from part where id = 6`);
    const steps = await rejoin(old, { replay: true });
    expect(resultOf(steps, 'rejoin')).toMatchObject({ method: 'keys' });
    const lines = await linesOf(resultOf(steps, 'save-stranded')?.['file']);
    expect(lines.map(({ table, op }) => `${op} ${table}`)).toEqual([
      ...['insert part', 'insert part', 'update part', 'delete part', 'delete part', 'insert part'],
    ]);
    expect(resultOf(steps, 'replay-stranded')).toMatchObject({ applied: 6, conflicts: 0 });
    await expectHealthy();
    expect(
      await there.query(
        `select id, day::text, note from part where note <> 'before' or id in (2, 3, 5, 6) order by id`,
      ),
    ).toEqual([
      { id: 1, day: '2025-06-01', note: 'stranded' },
      { id: 3, day: '2026-06-01', note: 'before' },
      { id: 4, day: '2025-06-01', note: 'new' },
      { id: 5, day: '2026-06-01', note: 'before' },
      { id: 100, day: '2026-06-01', note: 'stranded' },
      { id: 101, day: '2025-06-02', note: 'stranded' },
      { id: 200, day: '2026-06-01', note: 'new' },
      { id: 201, day: '2026-06-01', note: 'new' },
    ]);
  });

  it('attaches by mapping, without comparing a row, when nothing is stranded', async () => {
    const { old, leader } = await strand(servers, fleet, () => Promise.resolve());
    await (
      await fleet.session(leader)
    ).simple(`insert into products (sku, name, price) values ('mapped', 'x', 1)`);
    const steps = await rejoin(old);
    expect(resultOf(steps, 'save-stranded')).toMatchObject({ transactions: 0, file: null });
    expect(resultOf(steps, 'rejoin')).toMatchObject({ method: 'mapped', rowsCopied: 0 });
    await expectHealthy();
  });

  it('drops nothing when the file cannot be written or is there already; then compares whole tables after a TRUNCATE', async () => {
    const { old } = await strand(servers, fleet, async (there) => {
      await there.simple(`truncate items; insert into items values (1, null, 'only')`);
      await there.simple(`insert into plain values ('no key')`);
    });
    const blocker = path.join(directory, 'blocker');
    await writeFile(blocker, '');
    await expect(rejoin(old, { directory: blocker })).rejects.toMatchObject({
      code: 'stranded-unwritable',
      exit: 7,
    });
    const facts = factsOf(await observe(fleet), servers.config);
    const node = nodeOf(facts, old);
    expect(new Set(node?.tables.map(({ fence }) => fence))).toEqual(new Set(['enabled']));
    expect(node?.slots.length).toBeGreaterThan(0);
    const steps = await rejoin(old, { directory: path.join(directory, 'truncated') });
    expect(steps[0]?.id).toBe(`save-stranded:${old}`);
    expect(resultOf(steps, 'rejoin')).toMatchObject({
      method: 'reconcile',
      inserted: expect.any(Number) as number,
    });
    const lines = await linesOf(resultOf(steps, 'save-stranded')?.['file']);
    expect(lines.map(({ table, op }) => `${op} ${table}`)).toEqual([
      'truncate items',
      'insert items',
      'insert plain',
    ]);
    await expectHealthy();
  });

  it('saves the rows that differ where the slots are gone', async () => {
    const { old, leader } = await strand(servers, fleet, async (there) => {
      await there.simple(`insert into items values (300, null, 'only here')`);
    });
    const session = await fleet.session(old);
    await session.simple(`select pg_drop_replication_slot(slot_name) from pg_replication_slots`);
    const steps = await rejoin(old);
    expect(steps.map(({ id }) => id).slice(0, 2)).toEqual([`fence-node:${old}`, `reconcile:${old}`]);
    expect(resultOf(steps, 'reconcile')?.['overwritten']).toMatch(/stranded-n\d-\d-rows-.*\.jsonl$/);
    await expectHealthy();
    const [event] = await (
      await fleet.session(leader)
    ).query<{ details: { stranded: { file: string } } }>(
      `select details from repctl.event where kind = 'rejoin' order by at desc limit 1`,
    );
    expect(event?.details.stranded.file).toMatch(/stranded-n\d-\d-rows-.*\.jsonl$/);
  });

  it('brings back two former leaders of different epochs, in either order', async () => {
    const first = await strand(servers, fleet, async (there) => {
      await there.simple(`insert into items values (400, null, 'first')`);
    });
    // The rest is two nodes; the second leader is lost as well.
    const second = await strandAndKill(servers, fleet, async (there) => {
      await there.simple(`insert into items values (401, null, 'second')`);
    });
    await (await fleet.session(first.old)).simple('select 1');
    await runOperation(
      (snapshot) => planFailover(snapshot, servers.config, { leaderIsDead: true, acceptMinority: true }),
      { fleet, journal: noJournal },
    );
    await startNode(servers.sandbox, second);
    for (const name of [first.old, second]) {
      const steps = await rejoin(name, { directory: path.join(directory, 'two') });
      const lines = await linesOf(resultOf(steps, 'save-stranded')?.['file']);
      expect(lines.map(({ key }) => key)).toEqual([{ id: name === second ? '401' : '400' }]);
    }
    await expectHealthy();
  });

  it('confirms the commits of a leader that has waited for replicas since the node was away', async () => {
    const { old, leader } = await strand(servers, fleet, async (there) => {
      await there.simple(`insert into items values (500, null, 'before sync')`);
    });
    const sync = (wanted: SyncRequest): Promise<unknown> =>
      runOperation(
        (snapshot) =>
          planSync(snapshot, servers.config, { wanted, acceptWaiting: false, acceptUnrecorded: false }),
        { fleet, journal: noJournal },
      );
    await sync({ mode: 'any', k: 1 });
    await rejoin(old);
    const [subscription] = await (
      await fleet.session(old)
    ).query<{ confirms: string }>('select subsynccommit as confirms from pg_subscription');
    // 'off' would confirm what is not on disk only when the WAL writer has been there.
    expect(subscription?.confirms).toBe('local');
    const { sync: state, findings } = analyse(await observe(fleet), servers.config);
    expect(state).toMatchObject({
      mode: 'any',
      k: 1,
      agrees: true,
      names: expect.arrayContaining([old]) as string[],
    });
    expect(findings.filter(({ code }) => code.startsWith('sync'))).toEqual([]);
    // With nobody else, a commit is confirmed by it alone.
    for (const { name } of servers.config.nodes)
      if (name !== old && name !== leader) await pauseNode(servers.sandbox, name);
    try {
      await (await fleet.session(leader)).simple(`insert into items values (501, null, 'confirmed')`);
    } finally {
      for (const { name } of servers.config.nodes)
        if (name !== old && name !== leader) await resumeNode(servers.sandbox, name);
    }
    await sync({ mode: 'async' });
    await expectHealthy();
  });

  it('holds every acknowledged write that is lost when the leader is killed under load', async () => {
    const found = await loseWrites(servers, fleet, {
      tag: 'ledger',
      directory: path.join(directory, 'ledger'),
    });
    expect(found.lost.length).toBeGreaterThan(0);
    expect(found.saved).toEqual(found.lost);
    expect(found.beforeFork).toBe(0);
    await expectHealthy();
  });

  it('is refused for who never led, the leader, and a former leader with prepared transactions', async () => {
    const facts = factsOf(await observe(fleet), servers.config);
    const leader = facts.leader?.name ?? '';
    const replica = servers.config.nodes.find(({ name }) => name !== leader)?.name ?? '';
    expect(await rejoin(replica)).toEqual([]);
    await expect(rejoin(leader)).rejects.toMatchObject({ code: 'is-leader', exit: 6 });
    await expect(rejoin('n9')).rejects.toMatchObject({ code: 'unknown-node', exit: 2 });
  });
});
