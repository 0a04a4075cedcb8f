import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Fleet } from '../../../src/cluster/fleet.js';
import type { ReachableNode } from '../../../src/cluster/model.js';
import { observe } from '../../../src/cluster/observe.js';
import { tablesEqual } from '../../../src/consistency/equal.js';
import { planFailover } from '../../../src/operations/failover.js';
import { runOperation } from '../../../src/operations/run.js';
import { noJournal } from '../../../src/plan/journal.js';
import { compareLsn } from '../../../src/postgres/lsn.js';
import { advanceSlot } from '../../../src/replication/slots.js';
import { disableSubscriptionSql } from '../../../src/replication/subscriptions.js';
import { highestInUse, readSequences, setPastSql } from '../../../src/replication/sequences.js';
import { observeSequences, planSequenceSync, sequenceList } from '../../../src/replication/sequence-view.js';
import { peekOrigins } from '../../../src/replication/mapping.js';
import { flushNow } from '../../../src/replication/positions.js';
import { planUpkeep, runUpkeep } from '../../../src/replication/upkeep.js';
import { killNode } from '../../../src/sandbox/sandbox.js';
import { createCluster } from '../../support/cluster.js';
import { type Servers, startServers } from '../../support/servers.js';

let servers: Servers;
let fleet: Fleet;
const PRODUCTS = { schema: 'public', name: 'products' };

beforeAll(async () => {
  servers = await startServers({ nodes: 4 });
  fleet = servers.fleet();
  for (const { name } of fleet.config.nodes) {
    await (
      await fleet.session(name)
    ).simple(`
      create sequence public.free_numbers;
      create sequence public.countdown increment -5 maxvalue 100 start 100 minvalue -1000000;`);
  }
  await createCluster(fleet);
});
afterAll(() => servers.down());

const insert = async (node: string, from: number, to: number) =>
  (await fleet.session(node)).query(
    `insert into public.products (sku, name, price) select 'sku-' || i, 'thing', 1 from generate_series($1::int, $2::int) i`,
    [from, to],
  );
/** One transaction each. */
const insertOneByOne = async (node: string, from: number, to: number) => {
  for (let i = from; i <= to; i += 1) await insert(node, i, i);
};
const count = async (node: string) => {
  const [row] = await (
    await fleet.session(node)
  ).query<{ n: string }>('select count(*) as n from public.products');
  return Number(row?.n);
};
const everywhere = async (n: number, nodes = ['n2', 'n3', 'n4']) => {
  for (const node of nodes) await expect.poll(() => count(node), { timeout: 15_000 }).toBe(n);
};
const look = async (name: string): Promise<ReachableNode> => {
  const [node] = (await observe(fleet, { nodes: [name] })).nodes;
  if (node?.reachable !== true) throw new Error(`${name} does not answer`);
  return node;
};
const slotOf = (node: ReachableNode, sibling: string) =>
  node.slots.find((slot) => slot.name === `repctl_${sibling}`);

describe('slots', () => {
  it('says when a slot stops short of what is asked, and when there is none', async () => {
    const session = await fleet.session('n2');
    await expect(advanceSlot(session, 'repctl_n3', 'FF/0')).rejects.toMatchObject({
      code: 'slot-advance-short',
    });
    await expect(advanceSlot(session, 'repctl_n9', '0/1')).rejects.toMatchObject({ code: 'slot-missing' });
    const active = (await look('n1')).slots.find((slot) => slot.active);
    const peek = await fleet.fresh('n1');
    await expect(peekOrigins(peek, active?.name ?? '', { applied: '0/1' })).rejects.toMatchObject({
      code: 'slot-active',
    });
    await peek.close();
  });
});

it('observes a node whose tables are locked: a lock must not look like a dead node', async () => {
  const blocker = await servers.superuser('n4');
  await blocker.simple('begin; lock table public.products in access exclusive mode');
  expect((await look('n4')).publications[0]?.tables).toContainEqual(PRODUCTS);
  await blocker.simple('rollback');
});

describe('standby-slot upkeep', () => {
  it('moves every standby slot on to what its node has for good, bases first', async () => {
    await insertOneByOne('n1', 1, 100);
    await everywhere(100);
    // Durable means flushed: confirmed_flush moves when the replica reports it.
    await expect
      .poll(
        async () => {
          for (const move of planUpkeep(await observe(fleet)).moves) await runUpkeep(fleet, move);
          const session = await fleet.fresh('n2');
          const now = await flushNow(session);
          const applied = (await look('n3')).subscriptions[0]?.appliedLsn ?? '0/0';
          const mapping = await peekOrigins(session, 'repctl_n3', { applied, upTo: now });
          await session.close();
          return mapping.transactions;
        },
        { timeout: 15_000, interval: 200 },
      )
      .toBeLessThanOrEqual(1);
    const n2 = await look('n2');
    const base = n2.standbyBases.find((one) => one.sibling === 'n3');
    const n3 = await look('n3');
    expect(compareLsn(base?.baseLsn ?? 'FF/0', n3.subscriptions[0]?.appliedLsn ?? '0/0')).toBeLessThanOrEqual(
      0,
    );
    const { moves, skipped } = planUpkeep(await observe(fleet));
    expect([moves.length, skipped.length]).toEqual([9, 0]);
  });

  it('keeps what a sibling that stopped still needs, and a failover then maps it', async () => {
    await (await fleet.session('n4')).query(disableSubscriptionSql('repctl_n4_e1'));
    await insertOneByOne('n1', 101, 400);
    await everywhere(400, ['n2', 'n3']);
    const before = slotOf(await look('n2'), 'n4');
    for (const move of planUpkeep(await observe(fleet)).moves) {
      const result = await runUpkeep(fleet, move);
      if (move.sibling === 'n4') expect(result.missing).toBeGreaterThanOrEqual(299);
    }
    const after = slotOf(await look('n2'), 'n4');
    expect(
      compareLsn(after?.confirmedFlushLsn ?? '0/0', before?.confirmedFlushLsn ?? '0/0'),
    ).toBeGreaterThanOrEqual(0);
    await killNode(servers.sandbox, 'n1');
    const failover = runOperation(
      (snapshot) => planFailover(snapshot, fleet.config, { leaderIsDead: true, acceptMinority: false }),
      { fleet, journal: noJournal },
    );
    const steps = await failover;
    expect(steps.some((step) => step.id === 'promote:n2' || step.id === 'promote:n3')).toBe(true);
    const leader = steps.find((step) => step.id.startsWith('promote:'))?.node ?? '';
    const replicas = ['n2', 'n3', 'n4'].filter((node) => node !== leader);
    await insertOneByOne(leader, 401, 410);
    await everywhere(410, replicas);
    for (const node of replicas) {
      const [result] = await tablesEqual(await fleet.session(leader), await fleet.session(node), [PRODUCTS]);
      expect(result).toMatchObject({ equal: true });
    }
  });
});

describe('sequences', () => {
  it('lists them with their use, syncs replicas, never backwards', async () => {
    const snapshot = await observe(fleet);
    const list = sequenceList(snapshot, await observeSequences(fleet, snapshot));
    expect(list.sequences.map((one) => one.name)).toEqual(['countdown', 'free_numbers', 'products_id_seq']);
    expect(list.sequences[2]?.columns).toEqual([{ ...PRODUCTS, column: 'id' }]);
    const leader = await fleet.session(list.leader ?? '');
    await leader.query(`select nextval('public.free_numbers') from generate_series(1, 50)`);
    await leader.query(`select nextval('public.countdown') from generate_series(1, 3)`);
    const sync = async () => {
      const now = await observe(fleet);
      return planSequenceSync(now, await observeSequences(fleet, now));
    };
    const first = await sync();
    for (const move of first.moves) await (await fleet.session(move.node)).query(move.sql);
    expect(first.missing).toEqual([]);
    expect((await sync()).moves).toEqual([]);
    const now = await observe(fleet);
    const after = sequenceList(now, await observeSequences(fleet, now));
    expect(new Set(after.sequences[0]?.nodes.map((one) => one.lastValue))).toHaveProperty('size', 1);
  });

  it('set past what is in use on a real server: the next value is free', async () => {
    const session = await fleet.session('n3');
    const sequences = await highestInUse(session, await readSequences(session, [PRODUCTS]));
    const before = Number(sequences.find((one) => one.name === 'countdown')?.lastValue);
    const past = setPastSql(sequences, 1000);
    expect(past.exhausted).toEqual([]);
    for (const sql of past.sql) await session.query(sql);
    const [row] = await session.query<{ id: string; down: string; highest: string }>(
      `select nextval('public.products_id_seq') as id, nextval('public.countdown') as down, (select max(id) from public.products) as highest`,
    );
    expect(Number(row?.id)).toBeGreaterThan(Number(row?.highest) + 1000);
    expect(Math.abs(Number(row?.down)) % 5).toBe(0);
    expect(Number(row?.down)).toBeLessThan(before - 1000);
    // Again is no further than the highest value in use needs.
    expect(setPastSql(await highestInUse(session, await readSequences(session, [PRODUCTS])), 0).sql).toEqual(
      [],
    );
  });
});
