/**
 * Rows in the way of the stream by an exclusion constraint or by another equality than pg_catalog's; and an apply
 * worker that fails for a reason that no row is.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Fleet, openFleet } from '../../../src/cluster/fleet.js';
import { observe } from '../../../src/cluster/observe.js';
import { planRepair } from '../../../src/operations/repair/plan.js';
import { prepareRepair } from '../../../src/operations/repair/prepare.js';
import { repairRunners } from '../../../src/operations/repair/run.js';
import { orRefuse } from '../../../src/operations/run.js';
import { execute } from '../../../src/plan/execute.js';
import { noJournal } from '../../../src/plan/journal.js';
import type { Session } from '../../../src/postgres/session.js';
import { createCluster } from '../../support/cluster.js';
import { expectEqual } from '../../support/equality.js';
import { type Servers, startServers } from '../../support/servers.js';
import { asIntruder, repairing } from './cluster.js';

const REPLICAS = ['n2', 'n3'] as const;

const TABLES_SQL = `
create table excl (id int primary key, r int4range, exclude using gist (r with &&));
create table booked (id int primary key, room int, during int4range, off bool not null,
  exclude using gist (int4range(room, room, '[]') with =, during with &&) where (not off));
create table named (id int primary key, c citext unique);
create table nulls (id int primary key, a citext, b int);
create unique index on nulls (b, a) nulls not distinct`;
const TABLES = ['excl', 'booked', 'named', 'nulls'].map((name) => ({ schema: 'public', name }));

describe('what is in the way of the stream', () => {
  let servers: Servers;
  let fleet: Fleet;
  let state: string;
  let leader: Session;
  let admins: Session[];

  beforeAll(async () => {
    state = await mkdtemp(path.join(tmpdir(), 'repctl-state-'));
    servers = await startServers({ nodes: 3, pg: ['18', '18', '15'] });
    fleet = openFleet({ ...servers.config, tables: ['public.*'] }, { commitsLocally: true });
    for (const name of ['n1', ...REPLICAS]) {
      const admin = await servers.superuser(name);
      await admin.simple('create extension citext');
      // A worker that failed tries again at once: waiting for it is not what is tested.
      await admin.simple(`alter system set wal_retrieve_retry_interval = '200ms'`);
      await admin.simple('select pg_reload_conf()');
      await (await fleet.session(name)).simple(TABLES_SQL);
    }
    leader = await fleet.session('n1');
    await leader.simple(`
      insert into excl select g, int4range(g * 10, g * 10 + 5) from generate_series(1, 9) g;
      insert into named select g, 'Name ' || g from generate_series(1, 9) g`);
    await createCluster(fleet, { products: false });
    admins = await Promise.all(REPLICAS.map((name) => servers.superuser(name)));
  });
  afterAll(async () => {
    await fleet.close();
    await servers.down();
    await rm(state, { recursive: true, force: true });
  });

  const onReplicas = (sql: string) => Promise.all(admins.map((admin) => asIntruder(admin, sql)));
  const removed = (steps: Awaited<ReturnType<typeof repairing>>['steps']) =>
    steps.flatMap(({ id, result }) => (id.startsWith('clear-way:') ? [[id, result?.['removed']]] : []));

  it('an exclusion constraint: of columns, of expressions, of some rows alone', async () => {
    await onReplicas(`insert into excl values (60, '[100,200)');
      insert into booked values (60, 1, '[100,200)', false), (70, 1, '[100,200)', true), (71, 2, '[100,200)', false)`);
    // Row 1 goes out of the way by itself.
    await leader.simple(`begin;
      update excl set r = '[300,310)' where id = 1; insert into excl values (62, '[10,15)'), (61, '[150,160)');
      insert into booked values (61, 1, '[150,160)', false); commit`);
    const { plan, steps } = await repairing(fleet, state);
    expect(plan.notes.join('\n')).toMatch(/its row public.excl id="60" stands in the way of an insert/u);
    expect(removed(steps)).toEqual(REPLICAS.map((name) => [`clear-way:${name}`, 2]));
    await expectEqual(fleet, 'n1', REPLICAS, TABLES);
  });

  it('a unique index whose equality is that of a type outside pg_catalog', async () => {
    await onReplicas(`insert into named values (60, 'Taken'); insert into nulls values (60, 'Taken', null)`);
    await leader.simple(`begin; insert into named values (61, 'tAKEN');
      insert into nulls values (61, 'tAKEN', null), (62, 'taken', 1); commit`);
    const { steps } = await repairing(fleet, state);
    expect(removed(steps)).toEqual(REPLICAS.map((name) => [`clear-way:${name}`, 2]));
    await expectEqual(fleet, 'n1', REPLICAS, TABLES);
  });

  it('no row at all: that the apply worker fails is said, before anything is planned and while it runs', async () => {
    const skip =
      /repctl subscription skip n2 --lsn \S+ passes over .*\(1 change of public\.named\); .* is lost on n2/u;
    const request = { nodes: ['n2'], waitMs: 2_000 };
    const look = { tables: [], only: undefined, maxRows: 100, sql: false, concurrency: 2, blockRows: 50_000 };
    await asIntruder(await servers.superuser('n2'), `insert into named values (80, 'only here')`);
    const found = await prepareRepair(fleet, await observe(fleet), { ...look, ...request });
    const plan = orRefuse(planRepair(await observe(fleet), fleet.config, { ...found, shown: [] }));
    await (await servers.superuser('n2')).simple('alter table named add constraint few check (id < 1000)');
    await leader.simple(`insert into named values (1000, 'too many')`);

    const runners = repairRunners({ fleet, operator: 'test', reason: null, stateDir: state, waitMs: 2_000 });
    const [step] = await execute(plan, runners, { journal: noJournal });
    expect(step?.result).toMatchObject({ open: 1, deleted: 0 });
    expect(step?.result?.['why']).toMatch(/the apply worker of n2 keeps failing/u);
    expect(step?.result?.['why']).toMatch(skip);

    await expect(repairing(fleet, state, request)).rejects.toMatchObject({
      ...{ code: 'apply-error', exit: 6 },
      message: expect.stringMatching(/the apply worker of n2 keeps failing/u) as unknown,
      hint: expect.stringMatching(skip) as unknown,
    });
    await (await servers.superuser('n2')).simple('alter table named drop constraint few');
    await repairing(fleet, state);
    await expectEqual(fleet, 'n1', REPLICAS, TABLES);
  });
});
