/** Whom a failover promotes, what it refuses, and what it says is at risk. */
import { describe, expect, it } from 'vitest';
import type { ReachableNode, Snapshot } from '../../../src/cluster/model.js';
import type { ClusterConfig } from '../../../src/config/schema.js';
import { planCreate } from '../../../src/operations/create.js';
import { planFailover } from '../../../src/operations/failover.js';
import type { FailoverRequest } from '../../../src/operations/failover-request.js';
import { hasAllOf } from '../../../src/operations/runners/drain.js';
import { planPromote } from '../../../src/operations/promote.js';
import { advanced, bareNode, nodeIn, simulate, unreachable } from '../../support/simulate.js';

const config: ClusterConfig = {
  cluster: 'shop',
  tables: ['products'],
  nodes: ['n1', 'n2', 'n3', 'n4'].map((name) => ({
    name,
    url: `postgres://${name}/shop`,
    priority: name === 'n4' ? 200 : 100,
  })),
  sequenceGap: 1000,
  connectTimeoutMs: 1000,
  statementTimeoutMs: 1000,
  drainTimeoutMs: 1000,
  source: 'test',
};
const request: FailoverRequest = { leaderIsDead: false, acceptMinority: false };

function healthy(): Snapshot {
  const bare: Snapshot = {
    cluster: 'shop',
    takenAt: '2026-01-01T00:00:00.000Z',
    nodes: config.nodes.map(({ name }, index) => bareNode(name, index)),
  };
  const planned = planCreate(bare, config, {
    tables: [{ schema: 'public', name: 'products' }],
    products: true,
    prefilled: [],
  });
  if (planned.kind === 'refused') throw new Error('create was refused');
  return planned.plan.steps.reduce((state, step) => simulate(state, step.action), bare);
}

const edit = (snapshot: Snapshot, name: string, how: (node: ReachableNode) => ReachableNode): Snapshot => ({
  ...snapshot,
  nodes: snapshot.nodes.map((node) => (node.name === name && node.reachable ? how(node) : node)),
});

const withoutLeader = (): Snapshot => unreachable(healthy(), 'n1');

const promoted = (snapshot: Snapshot, over: Partial<FailoverRequest> = {}): string => {
  const planned = planFailover(snapshot, config, { ...request, ...over });
  if (planned.kind === 'refused') return planned.refusal.findings.map((finding) => finding.code).join(',');
  return planned.plan.steps.find((step) => step.action.kind === 'promote')?.node ?? 'nobody';
};

describe('failover: the number of the epoch', () => {
  const twoGone = (): Snapshot => unreachable(withoutLeader(), 'n2');
  const reserved = (on: string, node: string): Snapshot =>
    edit(twoGone(), on, (one) => ({ ...one, reserved: [{ epoch: 2, node }] }));
  const plan = (snapshot: Snapshot) => planFailover(snapshot, config, { ...request, acceptMinority: true });

  it('is the next; one that was promised to another node is left out, and that is said of one that is silent', () => {
    expect(plan(reserved('n4', 'n3'))).toMatchObject({
      plan: { title: 'Fail over from n1 to n4 (epoch 3)' },
    });
    const left = plan(reserved('n3', 'n2'));
    expect(left).toMatchObject({ plan: { title: 'Fail over from n1 to n4 (epoch 3)' } });
    expect(JSON.stringify(left)).toContain('n2 was about to lead epoch 2');
    for (const free of [reserved('n3', 'n4'), twoGone()])
      expect(plan(free)).toMatchObject({ plan: { title: 'Fail over from n1 to n4 (epoch 2)' } });
  });

  it('that was led unheard keeps its leader from being attached by mapping', () => {
    const begun = plan(reserved('n3', 'n2'));
    if (begun.kind === 'refused') throw new Error('refused');
    const until = begun.plan.steps.findIndex(({ action }) => action.kind === 'promote') + 1;
    const led = begun.plan.steps
      .slice(0, until)
      .reduce<Snapshot>((all, { action }) => simulate(all, action), {
        ...withoutLeader(),
        nodes: [
          ...reserved('n3', 'n2').nodes.filter(({ name }) => name !== 'n2'),
          nodeIn(withoutLeader(), 'n2'),
        ],
      });
    const [first] = nodeIn(led, 'n4').epochs;
    if (first === undefined) throw new Error('nobody leads');
    const back = (epochs: ReachableNode['epochs']) => plan(edit(led, 'n2', (one) => ({ ...one, epochs })));
    const known = nodeIn(led, 'n2').epochs;
    expect(JSON.stringify(back(known))).toContain('attach:n2');
    const unheard = JSON.stringify(back([{ ...first, epoch: 2, leader: 'n2' }, ...known]));
    expect(unheard).not.toContain('attach:n2');
    expect(unheard).toContain('n2 stays detached: n2 has reached epoch 2, past epoch 1');
  });

  it('is not given where promises cannot be read', () => {
    const hidden = edit(withoutLeader(), 'n3', (one) => ({ ...one, reserved: null }));
    expect(promoted(hidden)).toBe('reservations-hidden');
  });

  it('is reserved on as many as answer, and must be on a majority with the new leader', () => {
    const promotion = (snapshot: Snapshot) => {
      const planned = plan(snapshot);
      return planned.kind === 'refused'
        ? undefined
        : planned.plan.steps.find(({ action }) => action.kind === 'promote')?.action;
    };
    expect(promotion(withoutLeader())).toMatchObject({
      reserve: { epoch: 2, node: 'n4', on: ['n2', 'n3', 'n4'], needed: 3 },
    });
    expect(promotion(twoGone())).toMatchObject({
      reserve: { epoch: 2, node: 'n4', on: ['n3', 'n4'], needed: 2 },
    });
  });
});

describe('failover: the candidate', () => {
  it('is the furthest; among equals the one of higher priority, then the first', () => {
    expect(promoted(withoutLeader())).toBe('n4');
    expect(promoted(unreachable(withoutLeader(), 'n4'), { acceptMinority: true })).toBe('n2');
    expect(promoted(advanced(withoutLeader(), 'n3', 1))).toBe('n3');
  });

  it('never is a replica that is copying, of unknown position, or of another epoch', () => {
    const ahead = advanced(withoutLeader(), 'n3', 100);
    const sub = (
      how: (one: ReachableNode['subscriptions'][number]) => ReachableNode['subscriptions'][number],
    ) => promoted(edit(ahead, 'n3', (node) => ({ ...node, subscriptions: node.subscriptions.map(how) })));
    expect(sub((one) => ({ ...one, appliedLsn: null }))).toBe('n4');
    expect(
      sub((one) => ({ ...one, tables: one.tables.map((table) => ({ ...table, state: 'd' as const })) })),
    ).toBe('n4');
    expect(promoted(edit(ahead, 'n3', (node) => ({ ...node, epochs: [] })))).toBe('n4');
  });

  it('may be named; one that is behind leads after the most advanced one', () => {
    expect(promoted(withoutLeader(), { target: 'n2' })).toBe('n2');
    const ahead = advanced(withoutLeader(), 'n3', 8);
    expect(promoted(ahead, { target: 'n2' })).toBe('n3');
    const planned = planFailover(ahead, config, { ...request, target: 'n2' });
    expect(planned.kind === 'plan' && planned.plan.then).toBe('n2');
    expect(planned.kind === 'plan' && planned.plan.notes.join()).toContain('n2 is 8 bytes of WAL behind n3');
    const equal = planFailover(withoutLeader(), config, { ...request, target: 'n2' });
    expect(equal.kind === 'plan' && equal.plan.then).toBe(undefined);
    expect(promoted(unreachable(withoutLeader(), 'n2'), { target: 'n2', acceptMinority: true })).toBe(
      'not-a-candidate',
    );
  });
});

describe('failover: refusals', () => {
  const hearing = (seconds: number, receivedLsn: string | null = '0/1000'): Snapshot =>
    edit(withoutLeader(), 'n2', (node) => ({
      ...node,
      serverTime: '2026-01-01T00:10:00.000Z',
      subscriptions: node.subscriptions.map((one) => ({
        ...one,
        receivedLsn,
        lastMessageAt: new Date(Date.parse('2026-01-01T00:10:00.000Z') - seconds * 1000).toISOString(),
      })),
    }));

  const silentTo = (snapshot: Snapshot, name: string): Snapshot => ({
    ...snapshot,
    nodes: snapshot.nodes.map((node) => (node.reachable ? node : { ...node, silentTo: [name] })),
  });

  function refusing(): Snapshot {
    const snapshot = withoutLeader();
    return {
      ...snapshot,
      nodes: snapshot.nodes.map((node) =>
        node.reachable ? node : { ...node, code: 'too-many-connections' },
      ),
    };
  }

  it.each<[string, Snapshot, Partial<FailoverRequest>, string]>([
    ['the leader answers', healthy(), {}, 'leader-alive'],
    ['a name nobody has', withoutLeader(), { target: 'n9' }, 'unknown-node'],
    ['the leader itself', withoutLeader(), { target: 'n1' }, 'target-is-leader'],
    ['no majority', unreachable(unreachable(withoutLeader(), 'n2'), 'n3'), {}, 'no-majority'],
    [
      'no majority, accepted',
      unreachable(unreachable(withoutLeader(), 'n2'), 'n3'),
      { acceptMinority: true },
      'n4',
    ],
    ['a replica heard the leader a second ago', hearing(1), {}, 'leader-heard'],
    [
      'a silent but living connection: an idle leader says nothing for half a minute',
      hearing(31),
      {},
      'leader-heard',
    ],
    ['the same, and that replica could not log in there either', silentTo(hearing(31), 'n2'), {}, 'n4'],
    ['it could not log in, but had a message just now', silentTo(hearing(0.1), 'n2'), {}, 'leader-heard'],
    ["the replica's clock is an hour behind what it noted", hearing(-3600), {}, 'leader-heard'],
    ['the same, and it could not log in either', silentTo(hearing(-3600), 'n2'), {}, 'n4'],
    [
      'clocks an hour apart',
      edit(withoutLeader(), 'n2', (node) => ({
        ...node,
        clockOffsetMs: 3_600_000,
        serverTime: '2026-01-01T01:00:00.000Z',
      })),
      {},
      'n4',
    ],
    [
      'named: unreachable',
      unreachable(withoutLeader(), 'n2'),
      { target: 'n2', acceptMinority: true },
      'not-a-candidate',
    ],
    [
      'named: detached',
      edit(withoutLeader(), 'n2', (node) => ({ ...node, subscriptions: [] })),
      { target: 'n2' },
      'not-a-candidate',
    ],
    [
      'named: of another epoch',
      edit(withoutLeader(), 'n2', (node) => ({ ...node, epochs: [] })),
      { target: 'n2' },
      'not-a-candidate',
    ],
    [
      'named: still copying',
      edit(withoutLeader(), 'n2', (node) => ({
        ...node,
        subscriptions: node.subscriptions.map((one) => ({
          ...one,
          tables: one.tables.map((table) => ({ ...table, state: 'd' as const })),
        })),
      })),
      { target: 'n2' },
      'not-a-candidate',
    ],
    ['the same, but the operator knows better', hearing(1), { leaderIsDead: true }, 'n4'],
    ['a worker whose last message is old', hearing(45), {}, 'n4'],
    ['a worker that was started again and not let in', hearing(1, null), {}, 'n4'],
    ['the leader lets nobody in', refusing(), {}, 'leader-answers'],
    ['the same, but the operator knows better', refusing(), { leaderIsDead: true }, 'n4'],
    ['nobody knows an epoch', { ...healthy(), nodes: [bareNode('n1', 1)] }, {}, 'not-created'],
    [
      'nobody answers: a cluster that is down is not to be made anew',
      ['n2', 'n3', 'n4'].reduce((state, name) => unreachable(state, name), withoutLeader()),
      {},
      'node-unreachable,node-unreachable,node-unreachable,node-unreachable',
    ],
    [
      'nobody is a candidate',
      ['n2', 'n3', 'n4'].reduce(
        (state, name) => edit(state, name, (node) => ({ ...node, subscriptions: [] })),
        withoutLeader(),
      ),
      {},
      'no-candidate',
    ],
  ])('%s', (_, snapshot, over, expected) => {
    expect(promoted(snapshot, over)).toBe(expected);
  });

  it('nobody is told to make a cluster while some do not answer', () => {
    const alone = { ...withoutLeader(), nodes: [bareNode('n2', 1), ...withoutLeader().nodes.slice(0, 1)] };
    const planned = planFailover(alone, config, request);
    expect(planned.kind === 'refused' && planned.refusal.findings[0]).toMatchObject({
      code: 'not-created',
      message: 'No node that answers knows an epoch of cluster shop; n1 does not answer.',
      fix: 'repctl status',
    });
  });

  it('nor while one of them does not let its records be read', () => {
    const hidden = edit({ ...healthy(), nodes: [bareNode('n1', 1), bareNode('n2', 2)] }, 'n2', (node) => ({
      ...node,
      metadata: 'denied',
    }));
    const planned = planFailover(hidden, config, request);
    expect(planned.kind === 'refused' && planned.refusal.findings).toMatchObject([
      { code: 'privilege-missing', node: 'n2', fix: 'repctl status' },
    ]);
  });

  it('every refusal names what to type next', () => {
    const planned = planFailover(healthy(), config, request);
    expect(
      planned.kind === 'refused' && planned.refusal.findings.every((finding) => finding.fix !== undefined),
    ).toBe(true);
  });

  it('promote is a switchover while the leader answers, else a failover, and says why', () => {
    const promote = (snapshot: Snapshot, target: string) =>
      planPromote(snapshot, config, {
        target,
        failover: request,
        switchover: { without: [], terminateBlockers: false },
      });
    const notes = (snapshot: Snapshot): string | undefined => {
      const planned = promote(snapshot, 'n2');
      return planned.kind === 'plan' ? planned.plan.notes[0] : JSON.stringify(planned.refusal.findings);
    };
    expect(notes(healthy())).toBe('switchover, because n1, the leader, answers: nothing is lost');
    expect(notes(unreachable(healthy(), 'n1'))).toMatch(/^failover, because n1, the leader, does not answer/);
    const same = promote(healthy(), 'n1');
    expect(same.kind === 'refused' && same.refusal.findings[0]?.code).toBe('target-is-leader');
    const unknown = promote(healthy(), 'n9');
    expect(unknown.kind === 'refused' && unknown.refusal.findings[0]?.code).toBe('unknown-node');
  });
});

describe('failover: siblings', () => {
  const notes = (snapshot: Snapshot): string => {
    const planned = planFailover(snapshot, config, { ...request, acceptMinority: true });
    return planned.kind === 'plan' ? planned.plan.notes.join('\n') : 'refused';
  };

  it.each<[string, Snapshot, RegExp]>([
    ['down now', unreachable(withoutLeader(), 'n3'), /n3 does not answer; when it is back: repctl rewire n3/],
    [
      'slot lost',
      edit(withoutLeader(), 'n4', (node) => ({
        ...node,
        slots: node.slots.map((slot) => (slot.name === 'repctl_n3' ? { ...slot, walStatus: 'lost' } : slot)),
      })),
      /n3 stays detached: slot repctl_n3 on n4 is invalidated/,
    ],
    [
      'slot missing',
      edit(withoutLeader(), 'n4', (node) => ({
        ...node,
        slots: node.slots.filter((slot) => slot.name !== 'repctl_n3'),
      })),
      /n3 stays detached: n4 has no slot repctl_n3/,
    ],
    [
      'slot begins after what the sibling has',
      edit(withoutLeader(), 'n4', (node) => ({
        ...node,
        standbyBases: node.standbyBases.map((base) => ({ ...base, baseLsn: '0/FFFF' })),
      })),
      /begins after 0\/FFFF/,
    ],
    [
      'slot of another epoch',
      edit(withoutLeader(), 'n4', (node) => ({
        ...node,
        standbyBases: node.standbyBases.map((base) => ({ ...base, epoch: 0 })),
      })),
      /not known to be complete in epoch 1/,
    ],
  ])('%s', (_, snapshot, expected) => {
    expect(notes(snapshot)).toMatch(expected);
  });
});

describe('failover: what is at risk', () => {
  const seen = { epoch: 1, leader: 'n1', lsn: '0/FFFFF', at: '2025-12-31T23:59:50.000Z' };
  const unapplied = { transactions: 57, upTo: '0/FF000', since: '2025-12-31T23:59:09.000Z' };
  const risk = (snapshot: Snapshot, over: Partial<FailoverRequest> = {}) => {
    const planned = planFailover(snapshot, config, { ...request, acceptMinority: true, ...over });
    return planned.kind === 'plan' ? (planned.plan.data?.['risk'] as Record<string, unknown>) : undefined;
  };
  const synced = (k: number, names: readonly string[]): Snapshot => ({
    ...withoutLeader(),
    nodes: withoutLeader().nodes.map((node) =>
      node.reachable
        ? { ...node, syncRecord: { mode: 'any' as const, k, names, epoch: 1, at: seen.at } }
        : node,
    ),
  });

  it('says how far the leader had been seen, and when', () => {
    expect(risk(withoutLeader(), { lastSeen: seen })).toMatchObject({
      lastKnownLsn: '0/FFFFF',
      seenAt: seen.at,
      seenMsAgo: 10_000,
      knownTransactions: 0,
    });
    expect(risk(withoutLeader(), { lastSeen: { ...seen, epoch: 0 } })).toMatchObject({
      seenAt: null,
      seenMsAgo: null,
      knownBytes: 0,
    });
  });

  it('WAL that nobody proved to be writes is told, not refused', () => {
    expect(promoted(withoutLeader(), { lastSeen: seen })).toBe('n4');
  });

  it.each<[string, Snapshot, Partial<FailoverRequest>, string]>([
    ['transactions counted and applied by nobody', withoutLeader(), {}, 'data-loss'],
    ['the same, accepted', withoutLeader(), { acceptDataLoss: true }, 'n4'],
    ['the same, shown to somebody who is asked', withoutLeader(), { shown: true }, 'n4'],
    ['they have arrived since', advanced(withoutLeader(), 'n3', 0xff_000), {}, 'n3'],
    [
      'they were received, and the drain may bring them',
      edit(withoutLeader(), 'n3', (node) => ({
        ...node,
        subscriptions: node.subscriptions.map((one) => ({ ...one, receivedLsn: '0/FF100' })),
      })),
      {},
      'n4',
    ],
  ])('%s', (_, snapshot, over, expected) => {
    expect(promoted(snapshot, { lastSeen: { ...seen, unapplied }, ...over })).toBe(expected);
  });

  it('the figures stand in the plan, for the question and for --json', () => {
    expect(risk(withoutLeader(), { lastSeen: { ...seen, unapplied }, shown: true })).toMatchObject({
      knownTransactions: 57,
      knownSince: unapplied.since,
    });
  });

  it.each<[string, Snapshot, boolean]>([
    ['async', withoutLeader(), false],
    ['any 1 of three, all there', synced(1, ['n2', 'n3', 'n4']), true],
    ['any 1 of three, one down', unreachable(synced(1, ['n2', 'n3', 'n4']), 'n2'), false],
    ['any 2 of three, one down', unreachable(synced(2, ['n2', 'n3', 'n4']), 'n2'), true],
    ['any 2 of three, two down', unreachable(unreachable(synced(2, ['n2', 'n3', 'n4']), 'n2'), 'n3'), false],
    ['all', unreachable(unreachable(synced(3, ['n2', 'n3', 'n4']), 'n2'), 'n3'), true],
    [
      'any 1, but one of those there cannot say how far it is',
      edit(synced(1, ['n2', 'n3', 'n4']), 'n2', (node) => ({
        ...node,
        subscriptions: node.subscriptions.map((one) => ({ ...one, appliedLsn: null })),
      })),
      false,
    ],
  ])('loss impossible under %s: %#', (_, snapshot, impossible) => {
    expect(risk(snapshot)).toMatchObject({ sync: { impossible } });
    const planned = planFailover(snapshot, config, { ...request, acceptMinority: true });
    const notes = planned.kind === 'plan' ? planned.plan.notes.join('\n') : '';
    expect(notes).toMatch(impossible ? /at risk: nothing/ : /how many only n1 knows/);
  });
});

describe('failover: a drain that need not be waited for', () => {
  const behind = { applied: '0/100', received: '0/180', final: false };
  const rival = { applied: '0/200', received: null, final: true };
  it.each<[string, boolean, Parameters<typeof hasAllOf>]>([
    ['the rival has all that was received', true, [behind, rival]],
    ['the rival may still move', false, [behind, { ...rival, final: false }]],
    ['something beyond was received', false, [{ ...behind, received: '0/201' }, rival]],
    [
      'no further than it: the open transaction may be this one alone',
      false,
      [behind, { ...rival, applied: '0/100' }],
    ],
    ['the rival cannot be read', false, [behind, undefined]],
    ['its own position cannot be read', false, [{ ...behind, applied: null }, rival]],
  ])('%s', (_, expected, [own, other]) => {
    expect(hasAllOf(own, other)).toBe(expected);
  });
});
