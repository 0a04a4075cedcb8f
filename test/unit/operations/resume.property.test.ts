/**
 * The specification of every plan: after any prefix of its steps, planning again on what is then observed gives
 * the rest. Generated clusters, generated interruptions, generated failures of nodes.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { currentEpoch } from '../../../src/cluster/epochs.js';
import type { ReachableNode, Snapshot } from '../../../src/cluster/model.js';
import type { ClusterConfig } from '../../../src/config/schema.js';
import type { Action, OperationStep } from '../../../src/operations/actions.js';
import { planCreate } from '../../../src/operations/create.js';
import { planDestroy, planNodeRemove } from '../../../src/operations/destroy.js';
import { planFailover } from '../../../src/operations/failover.js';
import { factsOf } from '../../../src/operations/facts.js';
import { planNodeAdd } from '../../../src/operations/node-add.js';
import { planRejoin } from '../../../src/operations/rejoin.js';
import { planRewire } from '../../../src/operations/rewire.js';
import { planSwitchover } from '../../../src/operations/switchover.js';
import { planSync } from '../../../src/operations/sync.js';
import type { SyncRequest } from '../../../src/cluster/sync.js';
import type { Planned } from '../../../src/plan/plan.js';
import { advanced, bareNode, nodeIn, simulate, unreachable } from '../../support/simulate.js';

type Planner = (snapshot: Snapshot) => Planned<Action>;

const names = (count: number): string[] => Array.from({ length: count }, (_, i) => `n${String(i + 1)}`);

const configOf = (nodes: readonly string[]): ClusterConfig => ({
  cluster: 'shop',
  tables: ['public.products'],
  nodes: nodes.map((name) => ({ name, url: `postgres://${name}/shop`, priority: 100 })),
  sequenceGap: 1000,
  connectTimeoutMs: 1000,
  statementTimeoutMs: 1000,
  drainTimeoutMs: 1000,
  source: 'test',
});

const bare = (nodes: readonly string[], twins: boolean): Snapshot => ({
  cluster: 'shop',
  takenAt: '2026-01-01T00:00:00.000Z',
  nodes: nodes.map((name, index) => bareNode(name, twins ? 0 : index)),
});

const tables = [{ schema: 'public', name: 'products' }];
const createPlanner =
  (config: ClusterConfig, prefilled: readonly string[] = []): Planner =>
  (snapshot) =>
    planCreate(snapshot, config, { tables, products: true, prefilled });
const failoverPlanner =
  (config: ClusterConfig): Planner =>
  (snapshot) =>
    planFailover(snapshot, config, { leaderIsDead: false, acceptMinority: true });

const switchoverPlanner =
  (config: ClusterConfig, target: string, without: readonly string[] = []): Planner =>
  (snapshot) =>
    planSwitchover(snapshot, config, { target, without, terminateBlockers: false });
const syncPlanner =
  (config: ClusterConfig, wanted: SyncRequest): Planner =>
  (snapshot) =>
    planSync(snapshot, config, { wanted, acceptWaiting: true, acceptUnrecorded: true });

const stepsOf = (planned: Planned<Action>): readonly OperationStep[] | 'refused' =>
  planned.kind === 'plan' ? planned.plan.steps : 'refused';

const run = (snapshot: Snapshot, steps: readonly OperationStep[]): Snapshot =>
  steps.reduce((state, step) => simulate(state, step.action), snapshot);

/** Runs the planner's plan to its end and returns the state. */
function complete(snapshot: Snapshot, planner: Planner): Snapshot {
  const planned = planner(snapshot);
  if (planned.kind === 'refused')
    throw new Error(planned.refusal.findings.map((finding) => finding.message).join('; '));
  return run(snapshot, planned.plan.steps);
}

/** The property itself; returns the number of steps so that a test can see that it was not vacuous. */
function resumable(snapshot: Snapshot, planner: Planner, atTheEnd: 'empty' | 'refused' = 'empty'): number {
  const steps = stepsOf(planner(snapshot));
  if (steps === 'refused') throw new Error('refused at the start');
  for (let done = 0; done < steps.length; done += 1) {
    const state = run(snapshot, steps.slice(0, done));
    const rest = stepsOf(planner(state));
    expect(
      rest === 'refused' ? rest : rest.map((step) => step.action),
      `after ${String(done)} steps`,
    ).toEqual(steps.slice(done).map((step) => step.action));
  }
  const end = stepsOf(planner(run(snapshot, steps)));
  expect(end === 'refused' ? 'refused' : end.map((step) => step.id)).toEqual(
    atTheEnd === 'empty' ? [] : 'refused',
  );
  return steps.length;
}

const clusters = fc.record({
  count: fc.integer({ min: 2, max: 5 }),
  twins: fc.boolean(),
  /** How far each replica is ahead of where `create` left it. */
  positions: fc.array(fc.integer({ min: 0, max: 1000 }), { minLength: 5, maxLength: 5 }),
  /** Replicas that are down during the failover. */
  down: fc.array(fc.integer({ min: 2, max: 5 }), { maxLength: 3 }),
  prefilled: fc.subarray(['n2', 'n3', 'n4', 'n5']),
});

const spread = (snapshot: Snapshot, nodes: readonly string[], positions: readonly number[]): Snapshot =>
  nodes.slice(1).reduce((state, name, index) => advanced(state, name, positions[index] ?? 0), snapshot);

describe('plans can be resumed after any prefix', () => {
  it('create', () => {
    fc.assert(
      fc.property(clusters, ({ count, twins, prefilled }) => {
        const nodes = names(count);
        const here = prefilled.filter((name) => nodes.includes(name));
        expect(resumable(bare(nodes, twins), createPlanner(configOf(nodes), here))).toBeGreaterThan(count);
      }),
    );
  });

  it('failover, with replicas down and unequal', () => {
    fc.assert(
      fc.property(clusters, ({ count, twins, positions, down }) => {
        const nodes = names(count);
        const config = configOf(nodes);
        const healthy = spread(complete(bare(nodes, twins), createPlanner(config)), nodes, positions);
        const survivors = nodes
          .slice(1)
          .filter((name) => !down.some((index) => name === `n${String(index)}`));
        fc.pre(survivors.length > 0);
        const gone = nodes.filter((name) => !survivors.includes(name));
        const broken = gone.reduce<Snapshot>((state, name) => unreachable(state, name), healthy);
        expect(resumable(broken, failoverPlanner(config), 'refused')).toBeGreaterThan(2);
      }),
    );
  });

  it('switchover, named and not, with replicas left out, round and round', () => {
    fc.assert(
      fc.property(clusters, fc.integer({ min: 2, max: 5 }), ({ count, twins, positions, down }, named) => {
        const nodes = names(count);
        const config = configOf(nodes);
        const healthy = spread(complete(bare(nodes, twins), createPlanner(config)), nodes, positions);
        const target = `n${String(Math.min(named, count))}`;
        const without = [...new Set(down.map((index) => `n${String(index)}`))].filter(
          (name) => nodes.includes(name) && name !== target,
        );
        const broken = without.reduce<Snapshot>((state, name) => unreachable(state, name), healthy);
        // A majority must be there.
        fc.pre((count - without.length) * 2 > count);
        const to = (name: string, ...left: string[]): Planner => switchoverPlanner(config, name, left);
        expect(resumable(broken, to(target, ...without), 'refused')).toBeGreaterThan(4);
        if (without.length > 0) return;
        const moved = complete(healthy, to(target));
        for (const node of moved.nodes)
          if (node.reachable) expect(node.subscriptions.filter((one) => one.slotName === null)).toEqual([]);
        expect(resumable(moved, to('n1'), 'refused')).toBeGreaterThan(4);
      }),
    );
  });

  it('rewire of a replica that missed the failover: mapped, and recopy', () => {
    fc.assert(
      fc.property(clusters, fc.boolean(), ({ count, twins, positions }, recopy) => {
        fc.pre(count >= 3);
        const nodes = names(count);
        const config = configOf(nodes);
        const healthy = spread(complete(bare(nodes, twins), createPlanner(config)), nodes, positions);
        const late = healthy.nodes[2];
        const after = complete(unreachable(unreachable(healthy, 'n1'), 'n3'), failoverPlanner(config));
        const back: Snapshot = {
          ...after,
          nodes: after.nodes.map((node) => (node.name === 'n3' && late ? late : node)),
        };
        const planner: Planner = (snapshot) =>
          planRewire(snapshot, config, { node: 'n3', recopy, acceptDataLoss: false });
        const first = planner(back);
        // A node that had more than the new leader must not be attached in silence.
        if (first.kind === 'refused') expect(first.refusal.findings[0]?.code).toBe('not-mappable');
        else resumable(back, recopy ? untilAttached(planner) : planner);
      }),
    );
  });

  it('sync: set, strengthened, weakened, and kept over a failover and a rewire', () => {
    const modes = fc.constantFrom<SyncRequest>(
      { mode: 'async' },
      { mode: 'any', k: 1 },
      { mode: 'any', k: 2 },
      { mode: 'all' },
    );
    fc.assert(
      fc.property(clusters, fc.array(modes, { minLength: 1, maxLength: 3 }), ({ count, down }, changes) => {
        fc.pre(count >= 3);
        const nodes = names(count);
        const config = configOf(nodes);
        let state = complete(bare(nodes, false), createPlanner(config));
        for (const wanted of changes) {
          const planner = syncPlanner(config, wanted);
          resumable(state, planner);
          state = complete(state, planner);
        }
        const gone = ['n1', ...down.map((index) => `n${String(index)}`)].filter((name) => name !== 'n2');
        const broken = gone
          .filter((name) => nodes.includes(name))
          .reduce<Snapshot>((one, name) => unreachable(one, name), state);
        resumable(broken, failoverPlanner(config), 'refused');
        const after = complete(broken, failoverPlanner(config));
        const leader = nodeIn(after, factsOf(after, config).epoch?.leader ?? '');
        const last = changes.at(-1);
        expect(leader.settings['synchronous_standby_names'] === '').toBe(last?.mode === 'async');
        if (last?.mode !== 'async') expect(leader.syncRecord).toMatchObject({ mode: last?.mode, epoch: 2 });
        const late = nodes.find((name) => gone.includes(name) && name !== 'n1');
        const back = state.nodes.find((node) => node.name === late);
        if (late === undefined || back === undefined) return;
        const again: Snapshot = {
          ...after,
          nodes: after.nodes.map((node) => (node.name === late ? back : node)),
        };
        const planner: Planner = (snapshot) =>
          planRewire(snapshot, config, { node: late, recopy: false, acceptDataLoss: false });
        resumable(again, planner);
        const end = complete(again, planner);
        if (last?.mode === 'all')
          expect(nodeIn(end, leader.name).settings['synchronous_standby_names']).toContain(late);
      }),
    );
  });

  it('recopy of a former leader, after which no tombstone is left', () => {
    const nodes = names(4);
    const config = configOf(nodes);
    const healthy = complete(bare(nodes, false), createPlanner(config));
    const old = healthy.nodes[0];
    const after = complete(unreachable(healthy, 'n1'), failoverPlanner(config));
    const back: Snapshot = {
      ...after,
      nodes: after.nodes.map((node) => (node.name === 'n1' && old ? old : node)),
    };
    const refusedFirst = planRewire(back, config, { node: 'n1', recopy: true, acceptDataLoss: false });
    expect(refusedFirst.kind === 'refused' && refusedFirst.refusal.findings[0]?.code).toBe('data-loss');
    const planner = untilAttached((snapshot) =>
      planRewire(snapshot, config, { node: 'n1', recopy: true, acceptDataLoss: true }),
    );
    expect(resumable(back, planner)).toBe(6);
    const end = complete(back, planner);
    for (const node of end.nodes)
      if (node.reachable) expect(node.subscriptions.filter((one) => one.slotName === null)).toEqual([]);
  });

  it('rejoin of a former leader: with its slots and without, fenced or not, replayed or not', () => {
    fc.assert(
      fc.property(
        clusters,
        fc.record({ slots: fc.boolean(), fenced: fc.boolean(), replay: fc.boolean(), others: fc.boolean() }),
        ({ count, twins, positions }, { slots, fenced, replay, others }) => {
          fc.pre(count >= 3);
          const nodes = names(count);
          const config = configOf(nodes);
          const healthy = spread(complete(bare(nodes, twins), createPlanner(config)), nodes, positions);
          const old = nodeIn(healthy, 'n1');
          const gone = others ? ['n1'] : ['n1', 'n3'];
          const after = complete(
            gone.reduce<Snapshot>((state, name) => unreachable(state, name), healthy),
            failoverPlanner(config),
          );
          const returned: ReachableNode = {
            ...old,
            slots: slots ? old.slots : [],
            tables: old.tables.map((table) => ({ ...table, fence: fenced ? 'enabled' : 'disabled' })),
          };
          const back: Snapshot = {
            ...after,
            nodes: after.nodes.map((node) => (node.name === 'n1' ? returned : node)),
          };
          const planner: Planner = (snapshot) =>
            planRejoin(snapshot, config, {
              node: 'n1',
              directory: '/state',
              replay,
              fenceTimeoutMs: 1000,
              terminateBlockers: false,
            });
          expect(resumable(back, planner)).toBeGreaterThan(2);
        },
      ),
    );
  });

  describe('rewire by reconcile', () => {
    const reconciling = (
      config: ClusterConfig,
      node: string,
      more: { readonly reconcile?: boolean; readonly acceptDataLoss?: boolean } = {},
    ): Planner => {
      return (snapshot) =>
        planRewire(snapshot, config, { node, recopy: false, acceptDataLoss: false, ...more });
    };
    const change = (
      snapshot: Snapshot,
      name: string,
      how: (node: ReachableNode) => ReachableNode,
    ): Snapshot => ({
      ...snapshot,
      nodes: snapshot.nodes.map((node) => (node.name === name && node.reachable ? how(node) : node)),
    });
    const method = (snapshot: Snapshot, planner: Planner): string => {
      const planned = planner(snapshot);
      return planned.kind === 'plan' ? (planned.plan.notes[0] ?? '') : 'refused';
    };
    /** Steps; and nothing of the former life is left over. */
    const comesHome = (snapshot: Snapshot, planner: Planner): number => {
      expect(method(snapshot, planner)).toMatch(/^method: reconcile/);
      const steps = resumable(snapshot, planner);
      for (const node of complete(snapshot, planner).nodes)
        if (node.reachable && node.name !== 'n1')
          expect(node.subscriptions.every((one) => one.slotName !== null)).toBe(true);
      return steps;
    };

    it('slot gone, slot invalidated, subscription left without a slot by a run that was killed', () => {
      fc.assert(
        fc.property(clusters, fc.constantFrom('gone', 'lost', 'stopped'), ({ count, twins }, how) => {
          const nodes = names(count);
          const config = configOf(nodes);
          const healthy = complete(bare(nodes, twins), createPlanner(config));
          const broken =
            how === 'stopped'
              ? change(healthy, 'n2', (node) => ({
                  ...node,
                  slots: [],
                  standbyBases: [],
                  subscriptions: node.subscriptions.map((one) => ({
                    ...one,
                    enabled: false,
                    slotName: null,
                  })),
                }))
              : change(healthy, 'n1', (node) => ({
                  ...node,
                  slots: node.slots.flatMap((slot) =>
                    slot.name !== 'repctl_n2'
                      ? [slot]
                      : how === 'gone'
                        ? []
                        : [{ ...slot, walStatus: 'lost' }],
                  ),
                }));
          expect(comesHome(broken, reconciling(config, 'n2'))).toBe(3);
        }),
      );
    });

    it('a database that was never in the cluster', () => {
      const nodes = names(4);
      const small = configOf(nodes.slice(0, 3));
      const healthy = complete(bare(nodes.slice(0, 3), false), createPlanner(small));
      const joined: Snapshot = { ...healthy, nodes: [...healthy.nodes, bareNode('n4', 9)] };
      // prepare, publish, reconcile, verify, standby slots: its own, and for it on both its siblings
      expect(comesHome(joined, reconciling(configOf(nodes), 'n4'))).toBe(7);
    });

    it('a node that missed two changes of leader, and one whose standby slot begins too late', () => {
      fc.assert(
        fc.property(clusters, fc.boolean(), ({ twins, positions }, twice) => {
          const nodes = names(5);
          const config = configOf(nodes);
          const healthy = spread(complete(bare(nodes, twins), createPlanner(config)), nodes, positions);
          const late = healthy.nodes[4];
          let after = complete(
            ['n1', 'n5'].reduce<Snapshot>((state, name) => unreachable(state, name), healthy),
            failoverPlanner(config),
          );
          const leader = after.nodes.find((node) => node.reachable)?.name ?? '';
          const now = currentEpoch(after)?.leader ?? leader;
          if (twice) after = complete(unreachable(after, now), failoverPlanner(config));
          else after = change(after, now, (node) => ({ ...node, standbyBases: [] }));
          const back: Snapshot = {
            ...after,
            nodes: after.nodes.map((node) => (node.name === 'n5' && late ? late : node)),
          };
          const planner = reconciling(config, 'n5');
          expect(method(back, planner)).toMatch(/^method: reconcile/);
          resumable(back, planner);
        }),
      );
    });

    it('a former leader, only when its writes may be thrown away; a replica when it is asked for', () => {
      const nodes = names(4);
      const config = configOf(nodes);
      const healthy = complete(bare(nodes, false), createPlanner(config));
      const old = healthy.nodes[0];
      const after = complete(unreachable(healthy, 'n1'), failoverPlanner(config));
      const back: Snapshot = {
        ...after,
        nodes: after.nodes.map((node) => (node.name === 'n1' && old ? old : node)),
      };
      const careful = reconciling(config, 'n1')(back);
      expect(careful.kind === 'refused' && careful.refusal.findings[0]?.code).toBe('rejoin-needed');
      // publish (its fence), reconcile, verify, the tombstone of the new leader, standby slots
      expect(comesHome(back, reconciling(config, 'n1', { acceptDataLoss: true }))).toBe(5);
      expect(resumable(healthy, untilAttached(reconciling(config, 'n3', { reconcile: true })))).toBe(4);
    });
  });

  it('node add, node remove, destroy', () => {
    fc.assert(
      fc.property(clusters, fc.boolean(), ({ count, twins }, prefilled) => {
        const nodes = names(count);
        const config = configOf(nodes);
        const wider = configOf([...nodes, 'n9']);
        const healthy = complete(bare(nodes, twins), createPlanner(config));
        const joined: Snapshot = { ...healthy, nodes: [...healthy.nodes, bareNode('n9', 9)] };
        const add: Planner = (snapshot) => planNodeAdd(snapshot, wider, { name: 'n9', prefilled });
        resumable(joined, add);
        const full = complete(joined, add);
        resumable(full, (snapshot) => planNodeRemove(snapshot, wider, 'n9'));
        resumable(full, (snapshot) => planDestroy(snapshot, wider, { withoutUnreachable: false }));
      }),
    );
  });
});

/** `rewire --recopy` (`--reconcile`) on a node that is attached and complete means: do it again. Once, here. */
function untilAttached(planner: Planner): Planner {
  let last: readonly OperationStep[] = [];
  return (snapshot) => {
    const planned = planner(snapshot);
    if (planned.kind === 'plan') {
      const again = last.length === 1 && planned.plan.steps[0]?.action.kind === 'unsubscribe';
      last = planned.plan.steps;
      if (again) return { kind: 'plan', plan: { ...planned.plan, steps: [] } };
    }
    return planned;
  };
}
