import { describe, expect, it } from 'vitest';
import type { ReachableNode, SlotInfo, Snapshot, SubscriptionInfo } from '../../../src/cluster/model.js';
import { planSlotAdvance, planSlotDrop } from '../../../src/operations/parts/slot.js';
import { planSubscription } from '../../../src/operations/parts/subscription.js';
import { planUpkeep } from '../../../src/replication/upkeep.js';
import { historyOf } from '../../../src/replication/views/history.js';
import { publicationView } from '../../../src/replication/views/publication.js';
import { findSlot, slotView } from '../../../src/replication/views/slot.js';
import { findSubscription } from '../../../src/replication/views/subscription.js';
import { renderSlots } from '../../../src/ui/slot.js';
import { renderPublication } from '../../../src/ui/publication.js';
import { plainStyle } from '../../../src/ui/color.js';
import { slotList } from '../../../src/replication/views/slot.js';

const slot = (name: string, changes: Partial<SlotInfo> = {}): SlotInfo => ({
  name,
  plugin: 'pgoutput',
  type: 'logical',
  database: 'shop',
  active: false,
  activePid: null,
  temporary: false,
  restartLsn: '0/10',
  confirmedFlushLsn: '0/500',
  walStatus: 'reserved',
  invalidReason: null,
  retainedBytes: 2048,
  own: name.startsWith('repctl_'),
  ...changes,
});

const subscription = (name: string, changes: Partial<SubscriptionInfo> = {}): SubscriptionInfo => ({
  oid: 16500,
  name,
  enabled: true,
  slotName: 'repctl_x',
  publications: ['repctl'],
  appliedLsn: '0/600',
  workerPid: 1,
  workerInTransaction: false,
  receivedLsn: '0/600',
  latestEndLsn: '0/600',
  lastMessageAt: null,
  tables: [{ schema: 'public', name: 'products', state: 'r' }],
  applyErrors: 0,
  syncErrors: 0,
  conflicts: {},
  own: name.startsWith('repctl_'),
  ...changes,
});

const EPOCH = {
  epoch: 1,
  leader: 'n1',
  previousLeader: null,
  forkPoint: null,
  previousLsn: null,
  startedAt: '2026-11-23T10:00:00Z',
  operation: 'create',
  operator: 'x',
  reason: null,
};

const node = (name: string, changes: Partial<ReachableNode> = {}): ReachableNode => {
  const others = ['n1', 'n2', 'n3'].filter((other) => other !== name);
  return {
    name,
    reachable: true,
    roundTripMs: 1,
    identity: name,
    clusterName: 'shop',
    systemIdentifier: name,
    database: 'shop',
    user: 'app',
    superuser: false,
    version: '18.4',
    versionNum: 180_004,
    serverTime: '',
    clockOffsetMs: 0,
    insertLsn: '0/900',
    flushLsn: '0/900',
    inRecovery: false,
    settings: {},
    epochs: [EPOCH],
    publications: [{ name: 'repctl', allTables: false, tables: [], own: true }],
    tables: [],
    subscriptions: name === 'n1' ? [] : [subscription(`repctl_${name}_e1`)],
    slots: others.map((other) =>
      slot(`repctl_${other}`, { active: name === 'n1', activePid: name === 'n1' ? 9 : null }),
    ),
    standbyBases: name === 'n1' ? [] : others.map((sibling) => ({ sibling, epoch: 1, baseLsn: '0/100' })),
    senders: [],
    preparedTransactions: 0,
    longTransactions: [],
    events: [],
    ...changes,
  };
};

const snapshot = (
  ...changed: (ReachableNode | { name: string; reachable: false; code: string; message: string })[]
): Snapshot => ({
  cluster: 'shop',
  takenAt: '',
  nodes: ['n1', 'n2', 'n3'].map((name) => changed.find((one) => one.name === name) ?? node(name)),
});
const dead = (name: string) => ({
  name,
  reachable: false as const,
  code: 'node-unreachable',
  message: `${name} is gone`,
});

describe('planUpkeep', () => {
  const of = (state: Snapshot) => planUpkeep(state, 'n2');
  it('moves to the lower of applied and flushed, the slot of the leader to now', () => {
    expect(of(snapshot()).moves).toMatchObject([
      { sibling: 'n1', durable: null },
      { sibling: 'n3', durable: '0/500', subscription: 'repctl_n2_e1', subscriptionOid: 16500, epoch: 1 },
    ]);
  });
  const copying = subscription('repctl_n3_e1', {
    tables: [{ schema: 'public', name: 'products', state: 'd' }],
  });
  it.each<[string, Snapshot, string]>([
    ['a dead sibling', snapshot(dead('n3')), 'sibling-unreachable'],
    ['a sibling in its first copy', snapshot(node('n3', { subscriptions: [copying] })), 'sibling-copying'],
    [
      'a sibling of another epoch',
      snapshot(node('n3', { subscriptions: [subscription('repctl_n3_e0')] })),
      'sibling-detached',
    ],
    [
      'an unknown position',
      snapshot(node('n3', { subscriptions: [subscription('repctl_n3_e1', { appliedLsn: null })] })),
      'position-unknown',
    ],
    ['no base', snapshot(node('n2', { standbyBases: [] })), 'no-base'],
    [
      'a base of another epoch',
      snapshot(node('n2', { standbyBases: [{ sibling: 'n3', epoch: 0, baseLsn: '0/1' }] })),
      'other-epoch',
    ],
    [
      'a sibling behind the base',
      snapshot(node('n2', { standbyBases: [{ sibling: 'n3', epoch: 1, baseLsn: '0/501' }] })),
      'behind-base',
    ],
    [
      'a lost slot',
      snapshot(node('n2', { slots: [slot('repctl_n3', { walStatus: 'lost' })] })),
      'slot-invalid',
    ],
  ])('leaves alone: %s', (_, state, code) => {
    expect(
      of(state)
        .skipped.filter((one) => one.sibling === 'n3')
        .map((one) => one.code),
    ).toEqual([code]);
    expect(of(state).moves.some((one) => one.sibling === 'n3')).toBe(false);
  });
  it('touches nothing of the leader, and nothing without one', () => {
    expect(planUpkeep(snapshot(), 'n1')).toEqual({ moves: [], skipped: [] });
    expect(of(snapshot(dead('n1'))).moves).toEqual([]);
    expect(planSlotAdvance(snapshot(), 'n1').planned).toMatchObject({
      plan: { steps: [], notes: ['n1 is the leader: its slots feed the replicas and move with them.'] },
    });
  });
});

describe('single parts', () => {
  const codes = (planned: ReturnType<typeof planSlotDrop>) =>
    planned.kind === 'refused' ? planned.refusal.findings.map((one) => one.code) : [];
  const foreign = slot('theirs');
  const orphan = slot('repctl_n9');
  const broken = slot('repctl_n3', { walStatus: 'lost' });
  it.each<[string, ReachableNode, string, boolean, string[]]>([
    ['a foreign slot', node('n2', { slots: [foreign] }), 'theirs', false, ['foreign']],
    ['a foreign slot with --foreign', node('n2', { slots: [foreign] }), 'theirs', true, []],
    ['an active slot', node('n1'), 'repctl_n2', true, ['slot-active', 'slot-needed']],
    ['a needed standby slot', node('n2'), 'repctl_n3', true, ['slot-needed']],
    ['a slot of a node that is no more', node('n2', { slots: [orphan] }), 'repctl_n9', false, []],
    ['a lost slot', node('n2', { slots: [broken] }), 'repctl_n3', false, []],
    [
      'one of another database',
      node('n2', { slots: [slot('repctl_n3', { database: 'other' })] }),
      'repctl_n3',
      false,
      ['foreign'],
    ],
  ])('drop: %s', (_, owner, name, allowed, expected) => {
    const state = snapshot(owner);
    expect(codes(planSlotDrop(state, findSlot(state, name, owner.name), allowed))).toEqual(expected);
  });

  it('finds by name, by node, and says when it cannot', () => {
    expect(findSubscription(snapshot(), 'n2').item.name).toBe('repctl_n2_e1');
    expect(findSubscription(snapshot(), 'repctl_n3_e1').node.name).toBe('n3');
    expect(() => findSlot(snapshot(), 'repctl_n3')).toThrow(/on n1, n2/);
    expect(() => findSubscription(snapshot(dead('n2')), 'n2')).toThrow(/n2 is gone/);
    expect(() => findSubscription(snapshot(), 'nope')).toThrow(/no subscription nope/);
  });

  it('a tombstone is not enabled, and only a superuser skips', () => {
    const tomb = subscription('repctl_n2_e1', { enabled: false, slotName: null });
    expect(
      codes(planSubscription({ node: node('n2'), item: tomb }, { verb: 'enable' }, false) as never),
    ).toEqual(['tombstone']);
    const found = { node: node('n2'), item: subscription('repctl_n2_e1') };
    expect(codes(planSubscription(found, { verb: 'skip', lsn: '0/1' }, false) as never)).toEqual([
      'superuser-needed',
    ]);
    expect(planSubscription(found, { verb: 'enable' }, false)).toMatchObject({ plan: { steps: [] } });
  });
});

describe('views', () => {
  it('slots, as printed', () => {
    const state = snapshot(
      node('n2', {
        slots: [
          slot('theirs', { type: 'physical' }),
          slot('repctl_n3'),
          slot('pg_1_sync_2_3', { own: false }),
        ],
      }),
      dead('n3'),
    );
    expect(renderSlots(slotList(state, 'n2'), plainStyle())).toMatchInlineSnapshot(`
      "Node  Slot           For             State  WAL held  Confirmed  Made by
      n2    theirs         –               idle     2.0 kB  0/500      foreign
      n2    repctl_n3      standby for n3  held     2.0 kB  0/500      repctl
      n2    pg_1_sync_2_3  initial copy    idle     2.0 kB  0/500      repctl"
    `);
    expect(slotView(state, node('n1'), slot('repctl_n2')).purpose).toBe('feeds');
  });
  it('a publication that is not alike', () => {
    const table = {
      schema: 'public',
      name: 'products',
      fence: 'enabled' as const,
      replicaIdentity: 'd',
      hasPrimaryKey: true,
      columns: [],
    };
    const state = snapshot(
      node('n1', {
        tables: [
          { ...table, fence: 'disabled' },
          { ...table, name: 'log', hasPrimaryKey: false },
        ],
      }),
      node('n2', { tables: [table] }),
      node('n3', { publications: [] }),
    );
    const view = publicationView(state, 'repctl');
    expect(view).toMatchObject({ alike: false, missingOn: ['n3'] });
    expect(renderPublication(view, plainStyle())).toMatchInlineSnapshot(`
      "Publication  repctl (repctl)
      Nodes        n1, n2
      Missing on   n3
      Tables       2

      Table            Rows known by  Fence                           Published by
      public.log       nothing        enabled on n1                   n1
      public.products  primary key    disabled on n1 · enabled on n2  n1, n2"
    `);
  });
  it('history comes from the most advanced node when the leader is gone', () => {
    const newer = { ...EPOCH, epoch: 2, leader: 'n1' };
    expect(historyOf(snapshot(dead('n1'), node('n3', { epochs: [newer, EPOCH] })))).toMatchObject({
      readFrom: 'n3',
      leader: 'n1',
    });
    expect(() => historyOf(snapshot(dead('n1'), dead('n2'), dead('n3')))).toThrow(/No node/);
  });
});
