/** `repair --only`: rows of other kinds, however many, neither hide those that are wanted nor count against them. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Fleet, openFleet } from '../../../src/cluster/fleet.js';
import { observe } from '../../../src/cluster/observe.js';
import type { Differences } from '../../../src/operations/repair/model.js';
import { verdictOf } from '../../../src/operations/repair/plan.js';
import { prepareRepair } from '../../../src/operations/repair/prepare.js';
import type { Session } from '../../../src/postgres/session.js';
import { createCluster } from '../../support/cluster.js';
import { type Servers, startServers } from '../../support/servers.js';
import { asIntruder, repairing } from './cluster.js';

/** More than are judged at once, so that the search could stop before it comes to the last ones. */
const DIFFERING = 6_000;
const EXTRA = 20;

describe('repair --only', () => {
  let servers: Servers;
  let fleet: Fleet;
  let state: string;
  let node: Session;

  beforeAll(async () => {
    state = await mkdtemp(path.join(tmpdir(), 'repctl-state-'));
    servers = await startServers({ nodes: 2 });
    fleet = openFleet({ ...servers.config, tables: ['public.*'] }, { commitsLocally: true });
    for (const name of ['n1', 'n2'])
      await (await fleet.session(name)).simple('create table load (id int primary key, note text)');
    await (
      await fleet.session('n1')
    ).simple(
      `insert into load select g, 'note' from generate_series(1, ${String(2 * DIFFERING)}) g; analyze load`,
    );
    await createCluster(fleet, { products: false });
    node = await servers.superuser('n2');
    await asIntruder(
      node,
      `update load set note = 'by hand' where id <= ${String(DIFFERING)};
       insert into load select g, 'extra' from generate_series(900001, 900000 + ${String(EXTRA)}) g`,
    );
  });
  afterAll(async () => {
    await fleet.close();
    await servers.down();
    await rm(state, { recursive: true, force: true });
  });

  const request = { tables: ['load'], maxRows: 100, blockRows: 1_000 };

  it('the few at the end are found behind many of another kind, and those alone are set right', async () => {
    const { plan, results } = await repairing(fleet, state, { ...request, only: 'extra' });
    expect(plan.notes).toEqual([`--only extra: ${String(DIFFERING)} other rows stay as they are`]);
    expect(plan.steps[0]?.title).toBe(`set right on n2: public.load ${String(EXTRA)} extra`);
    expect(plan.data).toMatchObject({
      differences: [{ node: 'n2', name: 'load', missing: 0, extra: EXTRA, differing: DIFFERING }],
    });
    // Those that are shown have their values, however late they came.
    const [shown] = plan.data?.['differences'] as readonly Differences[];
    expect(shown?.rows.flatMap(({ columns }) => columns.map(({ node: text }) => text))).toContain('extra');
    expect(results.get('n2')).toMatchObject({ deleted: EXTRA, updated: 0, open: 0, stillDiffering: 0 });
    expect(
      await node.simple(
        `select count(*)::int as rows, count(*) filter (where note = 'by hand')::int as hand from load`,
      ),
    ).toEqual([{ rows: 2 * DIFFERING, hand: DIFFERING }]);
    // The others are counted, not kept.
    const again = await prepareRepair(fleet, await observe(fleet), {
      ...{ ...request, nodes: [], only: 'extra', sql: false, concurrency: 2, waitMs: 20_000 },
    });
    expect(again.found).toMatchObject([{ rows: [], others: { differing: DIFFERING }, more: false }]);
    expect(verdictOf({ ...again, shown: [] }, undefined)).toBe('diverged');
  });

  it('too many of the kind that is wanted are refused as without it', async () => {
    await expect(repairing(fleet, state, { ...request, only: 'differing' })).rejects.toMatchObject({
      code: 'too-many-rows',
      exit: 6,
    });
    await expect(repairing(fleet, state, request)).rejects.toMatchObject({ code: 'too-many-rows' });
  });
});
