/**
 * Whatever was done to a cluster, and in what order: when an operation is finished, every attached replica can take
 * over at once and feed everybody else without a copy; and nobody who was away can read a slot that begins later.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { analyse } from '../../../src/cluster/analyse.js';
import { currentEpoch } from '../../../src/cluster/epochs.js';
import type { NodeSnapshot, ReachableNode, Snapshot } from '../../../src/cluster/model.js';
import { slotName, subscriptionEpoch } from '../../../src/cluster/names.js';
import type { ClusterConfig } from '../../../src/config/schema.js';
import type { Action } from '../../../src/operations/actions.js';
import { planCreate } from '../../../src/operations/create.js';
import { planNodeRemove } from '../../../src/operations/destroy.js';
import { hasStandbySlots, isAttached, ownSubscriptions } from '../../../src/operations/facts.js';
import { planFailover } from '../../../src/operations/failover.js';
import { planNodeAdd } from '../../../src/operations/node-add.js';
import { planRejoin } from '../../../src/operations/rejoin.js';
import { planRewire } from '../../../src/operations/rewire.js';
import { planSwitchover } from '../../../src/operations/switchover.js';
import type { Planned } from '../../../src/plan/plan.js';
import { bareNode, nodeIn, simulate, unreachable } from '../../support/simulate.js';

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

interface World {
  readonly snapshot: Snapshot;
  readonly config: ClusterConfig;
  /** What nodes that are down hold. */
  readonly asleep: Readonly<Record<string, ReachableNode>>;
  /** Operations so far; a node that cannot be attached is a refusal, which throws. */
  readonly log: readonly string[];
}

const tables = [{ schema: 'public', name: 'products' }];

function done(world: World, what: string, planned: Planned<Action>): World {
  const log = [...world.log, what];
  if (planned.kind === 'refused')
    throw new Error(
      `${log.join(', ')}: ${planned.refusal.findings.map(({ code, message }) => `${code} ${message}`).join('; ')}`,
    );
  const snapshot = planned.plan.steps.reduce((state, step) => simulate(state, step.action), world.snapshot);
  const end = { ...world, snapshot, log };
  expectReady(end);
  return end;
}

const epochIn = ({ snapshot }: World): number => currentEpoch(snapshot)?.epoch ?? 0;
const leaderIn = ({ snapshot }: World): string => currentEpoch(snapshot)?.leader ?? '';
const up = ({ snapshot }: World): ReachableNode[] =>
  snapshot.nodes.filter((node): node is ReachableNode => node.reachable);
const attachedIn = (world: World): ReachableNode[] =>
  up(world).filter((node) => node.name !== leaderIn(world) && isAttached(node, epochIn(world)));

function expectReady(world: World): void {
  const epoch = epochIn(world);
  const leader = leaderIn(world);
  const attached = attachedIn(world);
  const about = world.log.join(', ');
  for (const node of attached)
    for (const sibling of [leader, ...attached.map(({ name }) => name)].filter((name) => name !== node.name))
      expect(hasStandbySlots(node, [sibling], epoch), `${about}: ${node.name} for ${sibling}`).toBe(true);
  const { findings } = analyse(world.snapshot, world.config);
  expect(
    findings.filter(({ code }) => code.startsWith('standby-slot')),
    about,
  ).toEqual([]);
  // Who is away may come back at any time, and go on with the slot of its name on whom it follows.
  for (const away of [...up(world), ...Object.values(world.asleep)])
    for (const { name, enabled, slotName: slot } of ownSubscriptions(away)) {
      const of = subscriptionEpoch(name) ?? 0;
      const upstream = nodeIn(world.snapshot, leader).epochs.find((row) => row.epoch === of)?.leader;
      const there = up(world).find((node) => node.name === upstream);
      if (!enabled || slot === null || of === epoch || there === undefined) continue;
      expect(
        there.slots.map((one) => one.name),
        `${about}: ${away.name} would go on from ${there.name}`,
      ).not.toContain(slotName(away.name));
    }
}

const replaced = (world: World, node: NodeSnapshot): Snapshot => ({
  ...world.snapshot,
  nodes: world.snapshot.nodes.map((one) => (one.name === node.name ? node : one)),
});

function crash(world: World, name: string): World {
  const asleep = { ...world.asleep, [name]: nodeIn(world.snapshot, name) };
  const down = {
    ...world,
    asleep,
    snapshot: unreachable(world.snapshot, name),
    log: [...world.log, `${name} down`],
  };
  if (leaderIn(world) !== name) return down;
  const followed = attachedIn(world).length;
  const after = done(
    down,
    'failover',
    planFailover(down.snapshot, down.config, { leaderIsDead: false, acceptMinority: true }),
  );
  // Everybody who followed follows on, without a copy.
  expect(attachedIn(after).length, after.log.join(', ')).toBe(followed - 1);
  return after;
}

type Method = 'plain' | 'reconcile' | 'recopy';

function comeBack(world: World, name: string, method: Method): World {
  const { [name]: node, ...asleep } = world.asleep;
  if (node === undefined) return world;
  const leader = nodeIn(world.snapshot, leaderIn(world));
  if (isAttached(node, epochIn(world))) {
    // It goes on by itself; nothing was done for it while it was away.
    const { epochs, events } = leader;
    const applied = up(world).find((one) => isAttached(one, epochIn(world)))?.subscriptions[0]?.appliedLsn;
    const subscriptions = node.subscriptions.map((one) => ({
      ...one,
      appliedLsn: applied ?? one.appliedLsn,
    }));
    const snapshot = replaced(world, { ...node, epochs, events, subscriptions });
    const here = { ...world, asleep, snapshot, log: [...world.log, `${name} up`] };
    return done(
      here,
      `rewire ${name}`,
      planRewire(snapshot, here.config, { node: name, recopy: false, acceptDataLoss: false }),
    );
  }
  const here = { ...world, asleep, snapshot: replaced(world, node), log: [...world.log, `${name} up`] };
  const led = node.epochs[0]?.leader === name;
  return led && method === 'plain'
    ? done(
        here,
        `rejoin ${name}`,
        planRejoin(here.snapshot, here.config, {
          ...{ node: name, directory: '/state', replay: false },
          ...{ fenceTimeoutMs: 1000, terminateBlockers: false },
        }),
      )
    : done(
        here,
        `rewire ${name} (${method})`,
        planRewire(here.snapshot, here.config, {
          ...{ node: name, recopy: method === 'recopy', reconcile: method === 'reconcile' },
          acceptDataLoss: true,
        }),
      );
}

function switchOver(world: World, target: string, left: readonly string[] = []): World {
  const members = [leaderIn(world), ...attachedIn(world).map(({ name }) => name)];
  const without = world.config.nodes
    .map(({ name }) => name)
    .filter((name) => !members.includes(name) || left.includes(name));
  return done(
    world,
    `switchover ${target}${without.length > 0 ? ` without ${without.join(' ')}` : ''}`,
    planSwitchover(world.snapshot, world.config, { target, without, terminateBlockers: false }),
  );
}

function add(world: World, name: string): World {
  const config = configOf([...world.config.nodes.map((node) => node.name), name]);
  const nodes = [...world.snapshot.nodes, bareNode(name, 9)];
  const wider = { ...world, config, snapshot: { ...world.snapshot, nodes } };
  return done(wider, `add ${name}`, planNodeAdd(wider.snapshot, config, { name, prefilled: false }));
}

function remove(world: World, name: string): World {
  const planned = planNodeRemove(world.snapshot, world.config, name);
  if (planned.kind === 'refused') return world;
  const config = configOf(world.config.nodes.map((node) => node.name).filter((one) => one !== name));
  const snapshot = planned.plan.steps.reduce((state, step) => simulate(state, step.action), world.snapshot);
  const end = {
    ...world,
    config,
    snapshot: { ...snapshot, nodes: snapshot.nodes.filter((node) => node.name !== name) },
    log: [...world.log, `remove ${name}`],
  };
  expectReady(end);
  return end;
}

const moves = fc.record({
  kind: fc.constantFrom('switch', 'switch', 'leave-out', 'crash', 'crash', 'back', 'back', 'add', 'remove'),
  who: fc.nat({ max: 59 }),
  method: fc.constantFrom<Method>('plain', 'plain', 'reconcile', 'recopy'),
});

describe('standby slots', () => {
  it('are complete on every replica after every operation, and never lie in wait for who was away', () => {
    let operations = 0;
    fc.assert(
      fc.property(
        fc.integer({ min: 3, max: 5 }),
        fc.array(moves, { minLength: 1, maxLength: 14 }),
        (count, list) => {
          const names = Array.from({ length: count }, (_, i) => `n${String(i + 1)}`);
          const config = configOf(names);
          const bare = names.map((name, index) => bareNode(name, index));
          let world: World = {
            ...{ config, asleep: {}, log: [] },
            snapshot: { cluster: 'shop', takenAt: '2026-01-01T00:00:00.000Z', nodes: bare },
          };
          world = done(
            world,
            'create',
            planCreate(world.snapshot, config, { tables, products: true, prefilled: [] }),
          );
          let added = 0;
          for (const { kind, who, method } of list) {
            const attached = attachedIn(world).map(({ name }) => name);
            const target = attached[who % attached.length];
            const down = Object.keys(world.asleep);
            const spare = (world.config.nodes.length - down.length - 1) * 2 > world.config.nodes.length;
            const member = [leaderIn(world), ...attached][who % (attached.length + 1)] ?? '';
            const sleeper = down[who % Math.max(1, down.length)];
            const other = attached.find((name) => name !== target);
            const all = attached.length + 1 + down.length === world.config.nodes.length;
            if (kind === 'switch' && target !== undefined) world = switchOver(world, target);
            // Left out, and brought back by a rewire.
            if (kind === 'leave-out' && target !== undefined && other !== undefined && all) {
              world = switchOver(world, target, [other]);
              world = comeBack(
                { ...world, asleep: { ...world.asleep, [other]: nodeIn(world.snapshot, other) } },
                other,
                method,
              );
            }
            if (kind === 'crash' && spare && attached.length > 1) world = crash(world, member);
            if (kind === 'back' && sleeper !== undefined) world = comeBack(world, sleeper, method);
            if (kind === 'add' && added < 2) world = add(world, `m${String((added += 1))}`);
            if (kind === 'remove' && target !== undefined && attached.length > 2 && spare)
              world = remove(world, target);
          }
          operations += world.log.length;
        },
      ),
      { numRuns: 100 },
    );
    expect(operations).toBeGreaterThan(200);
  }, 60_000);
});
