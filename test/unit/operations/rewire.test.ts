/** Which method rewire chooses, and what it says of it. */
import { describe, expect, it } from 'vitest';
import type { ReachableNode, Snapshot } from '../../../src/cluster/model.js';
import type { ClusterConfig } from '../../../src/config/schema.js';
import { planRejoin } from '../../../src/operations/rejoin.js';
import { type RewireRequest, planRewire } from '../../../src/operations/rewire.js';
import type { Planned } from '../../../src/plan/plan.js';
import { epochRow, nodeOf, slotOf, subscriptionOf, tableOf } from '../../support/snapshots.js';

const MIB = 1024 ** 2;
const nodes = ['n1', 'n2', 'n3'];
const config = {
  cluster: 'shop',
  tables: ['public.products'],
  nodes: nodes.map((name) => ({ name, host: '127.0.0.1', port: 5432, database: 'shop', user: 'app' })),
} as unknown as ClusterConfig;

const snapshotOf = (...all: readonly ReachableNode[]): Snapshot => ({
  cluster: 'shop',
  takenAt: '2026-01-02T03:04:05.000Z',
  nodes: all,
});

/** n2 took over from n1 with everything up to 0/2000, and its slot for n3 holds so many bytes. */
const afterFailover = (retainedBytes: number): Snapshot => {
  const before = epochRow(1, 'n1');
  const now = { ...epochRow(2, 'n2', 'n1'), forkPoint: '0/2000' };
  return snapshotOf(
    nodeOf('n2', {
      epochs: [now, before],
      tables: [tableOf('products', { estimatedRows: 1_000_000 })],
      subscriptions: [subscriptionOf('n2', 1, { enabled: false, slotName: null })],
      slots: [slotOf('n1'), slotOf('n3', { retainedBytes })],
      standbyBases: [{ sibling: 'n3', epoch: 1, baseLsn: '0/1000' }] as ReachableNode['standbyBases'],
    }),
    nodeOf('n3', {
      epochs: [before],
      subscriptions: [subscriptionOf('n3', 1)],
      slots: [slotOf('n1'), slotOf('n2')],
    }),
  );
};

const plan = (snapshot: Snapshot, request: Partial<RewireRequest> = {}) =>
  planRewire(snapshot, config, { node: 'n3', recopy: false, acceptDataLoss: false, ...request });
const methodOf = (planned: Planned<{ readonly kind: string }>): string =>
  planned.kind === 'refused'
    ? planned.refusal.findings.map((finding) => finding.code).join(' ')
    : (planned.plan.notes[0] ?? '');

describe('a node that missed a failover', () => {
  it('is mapped, however much its slot holds', () => {
    expect(methodOf(plan(afterFailover(16 * MIB)))).toBe(
      'method: mapped; no row is copied, the cost grows with what n3 missed',
    );
    expect(methodOf(plan(afterFailover(5000 * MIB)))).toBe(
      'method: mapped; no row is copied, the cost grows with what n3 missed: slot repctl_n3 on n2 holds 5,000 MiB of WAL to be decoded; --reconcile would read about 1,000,000 rows on both nodes instead',
    );
  });

  it('is compared where the operator says so', () => {
    expect(methodOf(plan(afterFailover(5000 * MIB), { reconcile: true }))).toMatch(
      /^method: reconcile, because it was asked for; cost: one digest scan of about 1,000,000 rows/,
    );
  });
});

describe('two sides of a partition that both were forced, and gave one number twice', () => {
  const first = epochRow(1, 'n1');
  const second = epochRow(2, 'n1', 'n1');
  const back = (own: ReachableNode['epochs']): Snapshot =>
    snapshotOf(
      nodeOf('n2', {
        epochs: [{ ...epochRow(3, 'n2', 'n1'), forkPoint: '0/2000' }, second, first],
        subscriptions: [subscriptionOf('n2', 2, { enabled: false, slotName: null })],
        slots: [slotOf('n3')],
        standbyBases: [{ sibling: 'n3', epoch: 2, baseLsn: '0/1000' }] as ReachableNode['standbyBases'],
      }),
      nodeOf('n3', { epochs: own, subscriptions: [subscriptionOf('n3', 2)] }),
    );

  it('who followed the other leader of that number is not mapped', () => {
    expect(methodOf(plan(back([second, first])))).toMatch(/^method: mapped/);
    expect(methodOf(plan(back([epochRow(2, 'n4', 'n1'), first])))).toMatch(
      /^method: reconcile; mapped is not possible: n3 knows n4 as the leader of epoch 2, and n2 knows n1/,
    );
  });

  const rejoin = { node: 'n3', replay: false, directory: '', fenceTimeoutMs: 1, terminateBlockers: false };

  it('who led it may hold rows that nobody else has', () => {
    const led = back([epochRow(2, 'n3', 'n1'), first]);
    expect(methodOf(plan(led, { recopy: true }))).toBe('data-loss');
    expect(planRejoin(led, config, rejoin)).toMatchObject({
      refusal: { findings: [{ code: 'epoch-unknown' }] },
    });
  });
});

describe('a database that was never in the cluster', () => {
  const foreign = snapshotOf(
    nodeOf('n1', { epochs: [epochRow(1, 'n1')] }),
    nodeOf('n3', { identity: null, clusterName: null, publications: [], tables: [], metadata: 'missing' }),
  );
  const products = { schema: 'public', name: 'products' };

  it.each<[string, Partial<RewireRequest>, RegExp]>([
    ['empty', { holding: [] }, /^method: reconcile; mapped is not possible: n3 was never part/],
    ['with rows', { holding: [products] }, /^foreign-rows$/],
    ['with rows, to be emptied', { holding: [products], recopy: true }, /^foreign-rows$/],
    ['with rows, --overwrite', { holding: [products], overwrite: true }, /^method: reconcile/],
    [
      'with rows, --recopy --overwrite',
      { holding: [products], recopy: true, overwrite: true },
      /^method: recopy/,
    ],
  ])('%s', (_, request, expected) => {
    expect(methodOf(plan(foreign, request))).toMatch(expected);
  });

  it('is named with what to type', () => {
    const planned = plan(foreign, { holding: [products, { schema: 'public', name: 'orders' }] });
    expect(planned).toMatchObject({
      kind: 'refused',
      refusal: {
        findings: [
          {
            code: 'foreign-rows',
            node: 'n3',
            message:
              'The database of n3 was never in this cluster and holds rows (public.products and 1 more); those that the leader does not have would be replaced.',
            fix: 'If n3 is the right database: repctl rewire n3 --overwrite',
          },
        ],
      },
    });
  });
});
