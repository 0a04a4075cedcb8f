import { describe, expect, it } from 'vitest';
import { analyse } from '../../../src/cluster/analyse.js';
import type { Severity, Snapshot, SubscriptionInfo } from '../../../src/cluster/model.js';
import {
  epochRow,
  healthy,
  nodeOf,
  patch,
  silence,
  slotOf,
  subscriptionOf,
  tableOf,
} from '../../support/snapshots.js';

const config = { cluster: 'shop' };
const MB = 1024 * 1024;

/** n2's subscription changed. */
const sub = (change: Partial<SubscriptionInfo>): Snapshot =>
  patch(healthy(), 'n2', { subscriptions: [subscriptionOf('n2', 1, change)] });
/** n1's slot for n2 changed. */
const feed = (snapshot: Snapshot, change: Parameters<typeof slotOf>[1]): Snapshot =>
  patch(snapshot, 'n1', (node) => ({
    slots: node.slots.map((slot) => (slot.name === 'repctl_n2' ? { ...slot, ...change } : slot)),
  }));
const setting = (name: string, key: string, value: string): Snapshot =>
  patch(healthy(), name, (node) => ({ settings: { ...node.settings, [key]: value } }));
/** n3 leads epoch 2, n2 follows it, n1 is back as it was. */
const failedOver = (fence: 'enabled' | 'disabled'): Snapshot => {
  const epochs = [epochRow(2, 'n3', 'n1'), epochRow(1, 'n1')];
  let snapshot = patch(healthy(), 'n3', (node) => ({
    epochs,
    tables: [tableOf('products', { fence: 'disabled' })],
    subscriptions: [subscriptionOf('n3', 1, { slotName: null, enabled: false, workerPid: null })],
    slots: node.slots.map((slot) => ({ ...slot, active: slot.name === 'repctl_n2' })),
  }));
  snapshot = patch(snapshot, 'n2', { epochs, subscriptions: [subscriptionOf('n2', 2)] });
  return patch(snapshot, 'n1', { tables: [tableOf('products', { fence })] });
};

interface Case {
  readonly what: string;
  readonly snapshot: Snapshot;
  readonly code: string;
  readonly severity: Severity;
  readonly node?: string;
  readonly state: 'healthy' | 'degraded' | 'critical';
  readonly says?: RegExp;
}

const cases: readonly Case[] = [
  {
    what: 'a replica that does not answer',
    snapshot: silence(healthy(), 'n2'),
    code: 'node-unreachable',
    severity: 'error',
    node: 'n2',
    state: 'degraded',
  },
  {
    what: 'a leader that does not answer',
    snapshot: silence(healthy(), 'n1'),
    code: 'leader-unreachable',
    severity: 'critical',
    node: 'n1',
    state: 'critical',
  },
  {
    what: 'records that may not be read',
    snapshot: ['n1', 'n2', 'n3'].reduce(
      (all, name) => patch(all, name, { identity: null, metadata: 'denied', epochs: [] }),
      healthy(),
    ),
    code: 'no-leader',
    severity: 'critical',
    state: 'critical',
    says: /may not be read on n1, n2, n3/,
  },
  {
    what: 'too few nodes',
    snapshot: silence(silence(healthy(), 'n2'), 'n3'),
    code: 'no-majority',
    severity: 'error',
    state: 'degraded',
  },
  {
    what: 'bare databases',
    snapshot: {
      ...healthy(),
      nodes: [nodeOf('n1', { identity: null, clusterName: null, metadata: 'missing', tables: [] })],
    },
    code: 'no-leader',
    severity: 'critical',
    state: 'critical',
    says: /not been created/,
  },
  {
    what: 'a bare database, and others that do not answer',
    snapshot: silence(
      patch(silence(healthy(), 'n2'), 'n1', {
        identity: null,
        clusterName: null,
        metadata: 'missing',
        epochs: [],
      }),
      'n3',
    ),
    code: 'no-leader',
    severity: 'critical',
    state: 'critical',
    says: /n2, n3 may/,
  },
  {
    what: 'an epoch that names a stranger',
    snapshot: patch(healthy(), 'n2', { epochs: [epochRow(2, 'n9', 'n1')] }),
    code: 'no-leader',
    severity: 'critical',
    state: 'critical',
    says: /n9/,
  },
  {
    what: 'a fenced leader',
    snapshot: patch(healthy(), 'n1', { tables: [tableOf('products')] }),
    code: 'leader-fenced',
    severity: 'critical',
    node: 'n1',
    state: 'critical',
  },
  {
    what: 'a read-only leader',
    snapshot: setting('n1', 'default_transaction_read_only', 'on'),
    code: 'leader-read-only',
    severity: 'critical',
    node: 'n1',
    state: 'critical',
  },
  {
    what: 'a leader that still subscribes',
    snapshot: patch(healthy(), 'n1', { subscriptions: [subscriptionOf('n1', 1)] }),
    code: 'leader-subscribed',
    severity: 'error',
    node: 'n1',
    state: 'degraded',
  },
  {
    what: 'a replica without its fence',
    snapshot: patch(healthy(), 'n2', { tables: [tableOf('products', { fence: 'disabled' })] }),
    code: 'two-writable-nodes',
    severity: 'critical',
    state: 'critical',
    says: /n1 and n2/,
  },
  {
    what: 'a replica without its fence',
    snapshot: patch(healthy(), 'n2', { tables: [tableOf('products', { fence: 'disabled' })] }),
    code: 'fence-down',
    severity: 'error',
    node: 'n2',
    state: 'critical',
  },
  {
    what: 'a fence dropped on a replica',
    snapshot: patch(healthy(), 'n2', { tables: [tableOf('products', { fence: 'missing' })] }),
    code: 'fence-missing',
    severity: 'error',
    node: 'n2',
    state: 'critical',
  },
  {
    what: 'a fence dropped on the leader',
    snapshot: patch(healthy(), 'n1', { tables: [tableOf('products', { fence: 'missing' })] }),
    code: 'fence-missing',
    severity: 'warning',
    node: 'n1',
    state: 'healthy',
  },
  {
    what: 'an old leader that came back, unfenced',
    snapshot: failedOver('disabled'),
    code: 'stale-leader-unfenced',
    severity: 'critical',
    node: 'n1',
    state: 'critical',
  },
  {
    what: 'an old leader that came back, fenced',
    snapshot: failedOver('enabled'),
    code: 'stale-leader',
    severity: 'error',
    node: 'n1',
    state: 'degraded',
  },
  {
    what: 'a sibling that follows the old leader',
    snapshot: patch(failedOver('enabled'), 'n2', {
      epochs: [epochRow(1, 'n1')],
      subscriptions: [subscriptionOf('n2', 1)],
    }),
    code: 'follows-old-leader',
    severity: 'error',
    node: 'n2',
    state: 'degraded',
    says: /n1/,
  },
  {
    what: 'an epoch row on its way',
    snapshot: patch(failedOver('enabled'), 'n2', { epochs: [epochRow(1, 'n1')] }),
    code: 'epoch-behind',
    severity: 'info',
    node: 'n2',
    state: 'degraded',
  },
  {
    what: 'a failing apply worker',
    snapshot: sub({ workerPid: null, applyErrors: 12, conflicts: { insert_exists: 12 } }),
    code: 'apply-error',
    severity: 'error',
    node: 'n2',
    state: 'degraded',
    says: /12 tries, insert_exists/,
  },
  {
    what: 'a worker that lost its connection',
    snapshot: sub({ workerPid: null, applyErrors: 1, conflicts: { insert_exists: 0, update_missing: 2 } }),
    code: 'worker-down',
    severity: 'error',
    node: 'n2',
    state: 'degraded',
  },
  {
    what: 'a worker that fails on rows of a kind that no counter names',
    snapshot: sub({ workerPid: null, applyErrors: 3, conflicts: {} }),
    code: 'apply-error',
    severity: 'error',
    node: 'n2',
    state: 'degraded',
  },
  {
    what: 'synchronous_commit of a copy that was not set back',
    snapshot: sub({ synchronousCommit: 'local' }),
    code: 'commits-locally',
    severity: 'info',
    node: 'n2',
    state: 'healthy',
  },
  {
    what: 'no worker',
    snapshot: sub({ workerPid: null }),
    code: 'worker-down',
    severity: 'error',
    node: 'n2',
    state: 'degraded',
  },
  {
    what: 'a disabled subscription',
    snapshot: sub({ enabled: false, workerPid: null }),
    code: 'subscription-disabled',
    severity: 'error',
    node: 'n2',
    state: 'degraded',
  },
  {
    what: 'no subscription',
    snapshot: patch(healthy(), 'n2', { subscriptions: [] }),
    code: 'subscription-missing',
    severity: 'error',
    node: 'n2',
    state: 'degraded',
  },
  {
    what: 'a subscription with origin none',
    snapshot: sub({ origin: 'none' }),
    code: 'origin-none',
    severity: 'error',
    node: 'n2',
    state: 'degraded',
  },
  {
    what: 'a published table nobody subscribed',
    snapshot: sub({ tables: [] }),
    code: 'table-not-subscribed',
    severity: 'error',
    node: 'n2',
    state: 'degraded',
    says: /products/,
  },
  {
    what: 'a copy that fails',
    snapshot: sub({ tables: [{ schema: 'public', name: 'products', state: 'd' }], syncErrors: 3 }),
    code: 'table-sync-stuck',
    severity: 'error',
    node: 'n2',
    state: 'degraded',
    says: /3 tries/,
  },
  {
    what: 'a copy that nobody does',
    snapshot: sub({ tables: [{ schema: 'public', name: 'products', state: 'f' }] }),
    code: 'table-sync-stuck',
    severity: 'error',
    node: 'n2',
    state: 'degraded',
  },
  {
    what: 'an unreadable position',
    snapshot: sub({ appliedLsn: null, appliedUnknown: 'it has no idle slot to read' }),
    code: 'position-unknown',
    severity: 'info',
    node: 'n2',
    state: 'healthy',
  },
  {
    what: 'conflicts of the past',
    snapshot: sub({ conflicts: { update_missing: 2 } }),
    code: 'conflicts',
    severity: 'info',
    node: 'n2',
    state: 'healthy',
  },
  {
    what: 'a slot that is gone',
    snapshot: patch(healthy(), 'n1', (node) => ({ slots: node.slots.slice(1) })),
    code: 'slot-missing',
    severity: 'error',
    node: 'n1',
    state: 'degraded',
    says: /repctl_n2/,
  },
  {
    what: 'an invalidated slot',
    snapshot: feed(healthy(), { active: false, walStatus: 'lost', invalidReason: 'wal_removed' }),
    code: 'slot-invalidated',
    severity: 'error',
    node: 'n1',
    state: 'degraded',
    says: /wal_removed/,
  },
  {
    what: 'an invalidated standby slot',
    snapshot: patch(healthy(), 'n2', (node) => ({
      slots: node.slots.map((slot) => ({ ...slot, invalidReason: 'wal_removed' })),
    })),
    code: 'slot-invalidated',
    severity: 'warning',
    node: 'n2',
    state: 'healthy',
  },
  {
    what: 'a slot nobody reads',
    snapshot: feed(silence(healthy(), 'n2'), { active: false, activePid: null }),
    code: 'slot-inactive',
    severity: 'warning',
    node: 'n1',
    state: 'degraded',
  },
  {
    what: 'a slot that holds much',
    snapshot: feed(healthy(), { retainedBytes: 3000 * MB }),
    code: 'slot-retains-wal',
    severity: 'warning',
    node: 'n1',
    state: 'healthy',
    says: /2\.9 GB/,
  },
  {
    what: 'a slot about to die',
    snapshot: feed(healthy(), { walStatus: 'unreserved', safeWalBytes: -5 }),
    code: 'slot-retains-wal',
    severity: 'error',
    node: 'n1',
    state: 'degraded',
    says: /about to/,
  },
  {
    what: 'a slot of a stranger node',
    snapshot: patch(healthy(), 'n1', (node) => ({ slots: [...node.slots, slotOf('n7')] })),
    code: 'slot-orphaned',
    severity: 'warning',
    node: 'n1',
    state: 'healthy',
    says: /repctl_n7/,
  },
  {
    what: 'a heavy standby slot',
    snapshot: patch(healthy(), 'n2', (node) => ({
      slots: node.slots.map((slot) => ({ ...slot, retainedBytes: 300 * MB })),
    })),
    code: 'standby-slot-stale',
    severity: 'warning',
    node: 'n2',
    state: 'healthy',
    says: /300 MB/,
  },
  {
    what: 'a standby slot of another epoch',
    snapshot: patch(failedOver('enabled'), 'n1', (node) => node),
    code: 'standby-slot-stale',
    severity: 'warning',
    node: 'n2',
    state: 'degraded',
    says: /epoch 1/,
  },
  {
    what: 'no standby slot',
    snapshot: patch(healthy(), 'n2', { slots: [] }),
    code: 'standby-slot-missing',
    severity: 'warning',
    node: 'n2',
    state: 'healthy',
    says: /n1, n3/,
  },
  {
    what: 'all slots taken',
    snapshot: setting('n1', 'max_replication_slots', '2'),
    code: 'slots-exhausted',
    severity: 'warning',
    node: 'n1',
    state: 'healthy',
  },
  {
    what: 'all senders taken',
    snapshot: setting('n1', 'max_wal_senders', '2'),
    code: 'senders-exhausted',
    severity: 'warning',
    node: 'n1',
    state: 'healthy',
  },
  {
    what: 'no logical decoding',
    snapshot: setting('n2', 'wal_level', 'replica'),
    code: 'wal-level',
    severity: 'error',
    node: 'n2',
    state: 'degraded',
  },
  {
    what: 'an old version',
    snapshot: patch(healthy(), 'n2', { version: '14.9', versionNum: 140009 }),
    code: 'version-unsupported',
    severity: 'error',
    node: 'n2',
    state: 'degraded',
  },
  {
    what: 'a column missing',
    snapshot: patch(healthy(), 'n2', {
      tables: [tableOf('products', { columns: [{ name: 'id', type: 'bigint', notNull: true }] })],
    }),
    code: 'schema-drift',
    severity: 'error',
    node: 'n2',
    state: 'degraded',
    says: /sku is missing/,
  },
  {
    what: 'another type',
    snapshot: patch(healthy(), 'n2', {
      tables: [
        tableOf('products', {
          columns: [
            { name: 'id', type: 'integer', notNull: true },
            { name: 'sku', type: 'text', notNull: true },
          ],
        }),
      ],
    }),
    code: 'schema-drift',
    severity: 'error',
    node: 'n2',
    state: 'degraded',
    says: /integer, not bigint/,
  },
  {
    what: 'another publication',
    snapshot: patch(healthy(), 'n2', { tables: [tableOf('orders')] }),
    code: 'publication-drift',
    severity: 'warning',
    node: 'n2',
    state: 'healthy',
    says: /lacks products and has orders/,
  },
  {
    what: 'a long transaction',
    snapshot: patch(healthy(), 'n1', {
      longTransactions: [
        { pid: 7, user: 'bob', applicationName: 'psql', seconds: 90, state: 'idle in transaction' },
      ],
    }),
    code: 'long-transaction',
    severity: 'warning',
    node: 'n1',
    state: 'healthy',
    says: /bob.*90 s/,
  },
  {
    what: 'a prepared transaction',
    snapshot: patch(healthy(), 'n1', {
      preparedTransactions: 1,
      prepared: [{ gid: "a'b", database: 'shop', owner: 'bob', seconds: 5 }],
    }),
    code: 'prepared-transaction',
    severity: 'warning',
    node: 'n1',
    state: 'healthy',
  },
  {
    what: 'a replica far behind',
    snapshot: patch(patch(sub({ appliedLsn: '0/2000' }), 'n1', { flushLsn: '0/8000000' }), 'n1', (node) => ({
      senders: [],
      slots: node.slots.map((slot) => ({ ...slot, confirmedFlushLsn: '0/2000' })),
    })),
    code: 'replica-behind',
    severity: 'warning',
    node: 'n2',
    state: 'degraded',
    says: /128 MB/,
  },
  {
    what: 'a clock that is off',
    snapshot: patch(healthy(), 'n2', { clockOffsetMs: -5000 }),
    code: 'clock-drift',
    severity: 'warning',
    node: 'n2',
    state: 'healthy',
    says: /behind/,
  },
  {
    what: 'two names for one database',
    snapshot: patch(healthy(), 'n2', { identity: 'n1', systemIdentifier: '7000n1' }),
    code: 'same-database-twice',
    severity: 'error',
    node: 'n2',
    state: 'degraded',
  },
  {
    what: 'swapped URLs',
    snapshot: patch(healthy(), 'n2', { identity: 'n3' }),
    code: 'identity-mismatch',
    severity: 'error',
    node: 'n2',
    state: 'degraded',
  },
  {
    what: "another cluster's database",
    snapshot: patch(healthy(), 'n2', { clusterName: 'blog' }),
    code: 'other-cluster',
    severity: 'error',
    node: 'n2',
    state: 'degraded',
  },
  {
    what: 'a bare database among them',
    snapshot: patch(healthy(), 'n2', { identity: null, metadata: 'missing', tables: [], epochs: [] }),
    code: 'node-not-created',
    severity: 'error',
    node: 'n2',
    state: 'degraded',
  },
  {
    what: 'metadata that may not be read',
    snapshot: patch(healthy(), 'n2', { identity: null, metadata: 'denied' }),
    code: 'privilege-missing',
    severity: 'error',
    node: 'n2',
    state: 'degraded',
    says: /app/,
  },
  {
    what: 'a tombstone nobody needs',
    snapshot: patch(
      patch(failedOver('enabled'), 'n1', (node) => ({
        subscriptions: [subscriptionOf('n1', 2)],
        epochs: [epochRow(2, 'n3', 'n1'), ...node.epochs],
      })),
      'n3',
      (node) => node,
    ),
    code: 'tombstone-left',
    severity: 'info',
    node: 'n3',
    state: 'healthy',
  },
  {
    what: "somebody else's subscription",
    snapshot: patch(healthy(), 'n2', (node) => ({
      subscriptions: [...node.subscriptions, subscriptionOf('n2', 1, { name: 'theirs', own: false })],
    })),
    code: 'foreign-subscription',
    severity: 'info',
    node: 'n2',
    state: 'healthy',
  },
  {
    what: "somebody else's publication",
    snapshot: patch(healthy(), 'n2', {
      publications: [{ name: 'theirs', allTables: true, tables: [], own: false }],
    }),
    code: 'foreign-publication',
    severity: 'info',
    node: 'n2',
    state: 'healthy',
  },
  {
    what: 'a publication of the leader that sends no deletes',
    snapshot: patch(healthy(), 'n1', (node) => ({
      publications: node.publications.map((it) => ({ ...it, withholds: ['delete'] })),
    })),
    code: 'publication-withholds',
    severity: 'error',
    node: 'n1',
    state: 'degraded',
  },
  {
    what: "somebody else's slot",
    snapshot: patch(healthy(), 'n1', (node) => ({
      slots: [...node.slots, slotOf('x', { name: 'debezium', own: false })],
    })),
    code: 'foreign-slot',
    severity: 'info',
    node: 'n1',
    state: 'healthy',
  },
];

describe('analyse', () => {
  it('finds nothing in a healthy cluster', () => {
    const analysis = analyse(healthy(4), config);
    expect(analysis.findings).toEqual([]);
    expect(analysis).toMatchObject({ state: 'healthy', epoch: 1, leader: 'n1' });
    expect(analysis.nodes.map((node) => node.state)).toEqual([
      'leading',
      'streaming',
      'streaming',
      'streaming',
    ]);
    expect(analysis.nodes[1]).toMatchObject({
      behindBytes: 0,
      behindMs: 0,
      lastMessageMs: 200,
      upstream: 'n1',
    });
  });

  it.each(cases)('$code: $what', ({ snapshot, code, severity, node, state, says }) => {
    const analysis = analyse(snapshot, config);
    const found = analysis.findings.find((it) => it.code === code && it.node === node);
    expect(found, JSON.stringify(analysis.findings, null, 1)).toMatchObject({ code, severity });
    if (says) expect(found?.message).toMatch(says);
    if (severity !== 'info') expect(found?.fix).toBeTruthy();
    expect(analysis.state).toBe(state);
  });

  it('finds each code only where it belongs', () => {
    // A finder that always speaks would pass its own case.
    const said = cases.map(({ code, snapshot }) => ({
      code,
      codes: new Set(analyse(snapshot, config).findings.map((it) => it.code)),
    }));
    for (const code of new Set(cases.map((it) => it.code))) {
      const silent = said.filter((it) => it.code !== code);
      const spoken = silent.filter(({ codes }) => codes.has(code));
      expect(spoken.length, code).toBeLessThan(silent.length / 2);
    }
  });

  it('asks for no standby slot that is made only when its sibling is attached', () => {
    const stale = (snapshot: Snapshot) =>
      analyse(snapshot, { cluster: 'shop' }).findings.find(
        ({ code, node }) => code === 'standby-slot-stale' && node === 'n2',
      )?.message;
    const now = failedOver('enabled');
    expect(stale(now)).toContain('n1');
    const led = patch(now, 'n3', (node) => ({ epochs: [...node.epochs, epochRow(0, 'n2')] }));
    expect(stale(led) ?? '').not.toContain('n1');
  });

  it('puts the gravest finding first, then goes by node', () => {
    const snapshot = patch(silence(healthy(), 'n1'), 'n2', { clockOffsetMs: 9000, subscriptions: [] });
    const { findings } = analyse(snapshot, config);
    expect(findings.map((it) => it.severity)).toEqual(['critical', 'error', 'warning']);
  });

  it('tells the states of nodes apart', () => {
    const stateOf = (snapshot: Snapshot, name = 'n2') =>
      analyse(snapshot, config).nodes.find((node) => node.name === name)?.state;
    expect(stateOf(silence(healthy(), 'n2'))).toBe('unreachable');
    expect(stateOf(sub({ enabled: false }))).toBe('detached');
    expect(stateOf(sub({ workerPid: null }))).toBe('stalled');
    expect(
      stateOf(sub({ tables: [{ schema: 'public', name: 'products', state: 'd', syncing: true }] })),
    ).toBe('copying');
    expect(stateOf(failedOver('enabled'), 'n1')).toBe('stale');
    const late = patch(
      feed(sub({}), { pendingSince: '2026-01-02T03:03:55.000Z', pendingTransactions: 3 }),
      'n1',
      { flushLsn: '0/2100' },
    );
    expect(stateOf(late)).toBe('catching-up');
    expect(analyse(late, config).nodes[1]).toMatchObject({ behindBytes: 256, behindMs: 10_000 });
  });

  it('takes a worker that was started a moment ago, after failures, for one that fails', () => {
    const young = { applyErrors: 4, workerStartedAt: '2026-01-02T03:04:04.900Z' };
    const behind = patch(sub(young), 'n1', { flushLsn: '0/2100' });
    expect(analyse(behind, config).nodes[1]?.state).toBe('stalled');
    expect(analyse(sub(young), config).nodes[1]?.state).toBe('streaming');
  });

  it('never compares positions of different leaders', () => {
    const snapshot = patch(failedOver('enabled'), 'n2', {
      subscriptions: [subscriptionOf('n2', 1, { appliedLsn: '0/5' })],
    });
    expect(analyse(snapshot, config).nodes[1]).toMatchObject({
      appliedLsn: '0/5',
      behindBytes: null,
      behindMs: null,
    });
  });

  it('compares positions as numbers', () => {
    const snapshot = patch(healthy(), 'n1', (node) => ({
      flushLsn: '0/10000',
      senders: [],
      slots: node.slots.map((slot) => ({ ...slot, confirmedFlushLsn: '0/9000' })),
    }));
    expect(analyse(snapshot, config).nodes[1]?.behindBytes).toBe(0x7000);
  });
});
