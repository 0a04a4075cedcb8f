/** What only the former leader has, decoded from real WAL into a file: every kind of change, every odd value. */
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Fleet } from '../../../src/cluster/fleet.js';
import { observe } from '../../../src/cluster/observe.js';
import type { SaveStranded } from '../../../src/operations/actions.js';
import { factsOf, nodeOf } from '../../../src/operations/facts.js';
import type { RunnerContext } from '../../../src/operations/runners/context.js';
import { saveStranded } from '../../../src/operations/runners/stranded.js';
import { readStranded } from '../../../src/replication/stranded/file.js';
import type { StrandedLine } from '../../../src/replication/stranded/model.js';
import { endedReign, strandedSource } from '../../../src/replication/stranded/source.js';
import { createCluster } from '../../support/cluster.js';
import { type Servers, startServers } from '../../support/servers.js';
import { settled, strand } from '../../support/stranded.js';

const KINDS = `
  create table kinds (id int primary key, b bool, c char(6), t text, ts timestamptz, n numeric, f float8, j json,
    jb jsonb, a int[], by bytea, iv interval, u uuid, g int generated always as (id * 2) stored);
  create table toasted (id int primary key, n int, body text);
  alter table toasted alter column body set storage external;
  create table whole (id int primary key, n int, body text);
  alter table whole alter column body set storage external;
  alter table whole replica identity full;
  create table emptied (id int primary key);
  create table parted (id int, region text, primary key (id, region)) partition by list (region);
  create table parted_eu partition of parted for values in ('eu');
  create table parted_us partition of parted for values in ('us')`;

describe('stranded writes', () => {
  let servers: Servers;
  let fleet: Fleet;
  let directory: string;
  let action: SaveStranded;
  let context: RunnerContext;
  let lines: StrandedLine[];

  beforeAll(async () => {
    directory = await mkdtemp(path.join(tmpdir(), 'repctl-stranded-'));
    servers = await startServers({ nodes: 3 });
    servers = { ...servers, config: { ...servers.config, tables: ['public.*'] } };
    const { openFleet } = await import('../../../src/cluster/fleet.js');
    fleet = openFleet(servers.config);
    for (const { name } of servers.config.nodes) await (await fleet.session(name)).simple(KINDS);
    await createCluster(fleet);
    const before = await fleet.session('n1');
    await before.simple(`
      insert into toasted select i, 0, repeat('x' || i, 3000) from generate_series(1, 3) i;
      insert into whole select i, 0, repeat('y' || i, 3000) from generate_series(1, 2) i;
      insert into emptied values (1), (2);
      insert into kinds (id, t) values (7, 'seven'), (8, 'eight');
      insert into parted values (1, 'eu'), (2, 'eu')`);
    await settled(fleet);
    const { old, leader } = await strand(servers, fleet, async (there) => {
      await there.simple(`insert into kinds values (1, true, 'ab', E'tab\\tnl\\n"\\\\ü😀', '2026-01-02 03:04:05.678901+00',
        1.50, 0.1, '{"b": 1,  "a": 1.0}', '{"a": 1.0}', '{1,null,3}', '\\xdeadbeef', '1 day 02:03:04.5', '00000000-0000-0000-0000-000000000001')`);
      await there.simple(`update kinds set t = null where id = 7`);
      await there.simple(`update kinds set id = 70 where id = 8`);
      await there.simple(`update toasted set n = 1; delete from toasted where id = 3`);
      await there.simple(`update whole set n = 5 where id = 1; delete from whole where id = 2`);
      await there.simple(`truncate emptied; update parted set region = 'us' where id = 1`);
      await there.simple(
        `begin; insert into kinds (id) values (9); insert into emptied values (9); rollback`,
      );
      await there.simple(
        `set synchronous_commit = off; insert into kinds (id) values (10); set synchronous_commit = on`,
      );
    });
    const facts = factsOf(await observe(fleet), servers.config);
    const node = nodeOf(facts, old);
    const reign = node && endedReign(node, facts.leader?.epochs ?? []);
    if (node === undefined || reign === undefined) throw new Error('no reign that ended');
    const source = strandedSource(node, reign);
    if (source.kind === 'none') throw new Error(source.why);
    action = {
      kind: 'save-stranded',
      node: old,
      leader,
      epoch: 2,
      reign: reign.epoch,
      successor: reign.successor.leader,
      successorEpoch: reign.successor.epoch,
      forkPoint: reign.forkPoint,
      slot: source.slot,
      directory,
    };
    context = { fleet, operator: 'test@here', reason: null };
  });
  afterAll(async () => {
    await fleet.close();
    await servers.down();
    await rm(directory, { recursive: true, force: true });
  });

  const save = () => saveStranded(context, action, { report: () => undefined });
  const of = (table: string) => lines.filter((line) => line.table === table);

  it('go to a file of mode 0600 that proves itself whole, and the history of the new leader tells of it', async () => {
    // A row that the new leader changes after the fork.
    await (await fleet.session(action.leader)).simple(`update kinds set t = 'other' where id = 7`);
    const result = await save();
    const file = path.join(directory, 'stranded-n1-1.jsonl');
    expect(result).toMatchObject({ transactions: 7, file });
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    lines = [];
    const read = await readStranded(file, (line) => lines.push(line));
    expect(read.header).toMatchObject({ node: 'n1', epoch: 1, successor: action.leader, source: 'wal' });
    expect(read.counts.changes).toBe(lines.length);
    const [event] = await (
      await fleet.session(action.leader)
    ).query<{ details: Record<string, unknown> }>(`select details from repctl.event where kind = 'stranded'`);
    expect(event?.details).toMatchObject({ reign: 1, transactions: 7, rows: lines.length, file });
  });

  it('hold every type as the very text that the server printed', () => {
    const [first] = of('kinds');
    expect(first).toMatchObject({
      op: 'insert',
      key: { id: '1' },
      transaction: 1,
      change: 1,
      base: 'absent',
    });
    expect(first?.row).toEqual({
      id: '1',
      b: 't',
      c: 'ab    ',
      t: 'tab\tnl\n"\\ü😀',
      ts: '2026-01-02 03:04:05.678901+00',
      n: '1.50',
      f: '0.1',
      j: '{"b": 1,  "a": 1.0}',
      jb: '{"a": 1.0}',
      a: '{1,NULL,3}',
      by: '\\xdeadbeef',
      iv: '1 day 02:03:04.5',
      u: '00000000-0000-0000-0000-000000000001',
    });
    expect(first?.at).toMatch(/^2026-.*\.\d{6}Z$/);
  });

  it('name the old key where it changed, and mark rows that the new leader has changed since', () => {
    expect(
      of('kinds').map(({ op, key, oldKey, base }) => ({ op, key, oldKey, base: base !== undefined })),
    ).toEqual([
      { op: 'insert', key: { id: '1' }, oldKey: undefined, base: true },
      { op: 'update', key: { id: '7' }, oldKey: undefined, base: false },
      { op: 'update', key: { id: '70' }, oldKey: { id: '8' }, base: true },
      { op: 'insert', key: { id: '10' }, oldKey: undefined, base: true },
    ]);
    expect(
      of('parted_eu')
        .concat(of('parted'), of('parted_us'))
        .map(({ op, key }) => ({ op, key })),
    ).toEqual([
      { op: 'delete', key: { id: '1', region: 'eu' } },
      { op: 'insert', key: { id: '1', region: 'us' } },
    ]);
  });

  it('bring unchanged TOAST values: from the row, from the old row, or marked when the row is gone', () => {
    const updates = of('toasted').filter(({ op }) => op === 'update');
    expect(updates.map(({ key, fetched, missing }) => ({ key, fetched, missing }))).toEqual([
      { key: { id: '1' }, fetched: ['body'], missing: undefined },
      { key: { id: '2' }, fetched: ['body'], missing: undefined },
      { key: { id: '3' }, fetched: undefined, missing: ['body'] },
    ]);
    expect(updates[0]?.row).toEqual({ id: '1', n: '1', body: 'x1'.repeat(3000) });
    const [update, gone] = of('whole');
    expect(update).toMatchObject({
      key: { id: '1' },
      old: { n: '0' },
      row: { n: '5', body: 'y1'.repeat(3000) },
    });
    expect(update?.fetched).toBeUndefined();
    expect(gone).toMatchObject({ op: 'delete', key: { id: '2' }, old: { body: 'y2'.repeat(3000) } });
    expect(of('emptied')).toMatchObject([{ op: 'truncate', key: {}, cascade: false }]);
  });

  it('are left alone when the file is whole already, and refused when another file has its name', async () => {
    const file = path.join(directory, 'stranded-n1-1.jsonl');
    const before = await readFile(file);
    await save();
    expect(await readFile(file)).toEqual(before);
    await writeFile(file, before.subarray(0, before.length - 40));
    await expect(save()).rejects.toMatchObject({ code: 'stranded-file-exists', exit: 6 });
    expect((await readFile(file)).length).toBe(before.length - 40);
    await rm(file);
    await writeFile(path.join(directory, 'file'), '');
    action = { ...action, directory: path.join(directory, 'file') };
    await expect(save()).rejects.toMatchObject({ code: 'stranded-unwritable', exit: 6 });
  });
});
