/**
 * Nobody leads under a number under which somebody else may lead, whoever dies before others have heard of it: a model
 * of promotions, each seen by some majority only, against the functions that choose the number.
 */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { Epoch, ReachableNode } from '../../../src/cluster/model.js';
import type { ClusterConfig } from '../../../src/config/schema.js';
import { factsOf, nextEpoch, reservation } from '../../../src/operations/facts.js';
import { bareNode } from '../../support/simulate.js';

const row = (epoch: number, leader: string): Epoch => ({
  ...{ epoch, leader, previousLeader: null, forkPoint: null, previousLsn: null },
  ...{ startedAt: '', operation: 'failover', operator: '', reason: null },
});

/** One attempt: who answers, who is chosen, who can be told, whether it commits, and who hears of it in time. */
const attempt = fc.record({
  answers: fc.infiniteStream(fc.boolean()),
  target: fc.nat(),
  told: fc.infiniteStream(fc.boolean()),
  commits: fc.boolean(),
  hears: fc.infiniteStream(fc.boolean()),
});

it('two nodes never lead the same epoch, as long as each promotion sees a majority', () => {
  fc.assert(
    fc.property(fc.integer({ min: 3, max: 7 }), fc.array(attempt, { maxLength: 30 }), (size, attempts) => {
      const names = Array.from({ length: size }, (_, index) => `n${String(index + 1)}`);
      const nodes = names.map((name) => ({ name, url: `postgres://${name}/shop`, priority: 100 }));
      const config = { cluster: 'shop', nodes } as unknown as ClusterConfig;
      const world = new Map<string, ReachableNode>(
        names.map((name, index) => [name, { ...bareNode(name, index), epochs: [row(1, 'n1')] }]),
      );
      const nodeOf = (name: string): ReachableNode => world.get(name) ?? bareNode(name, 0);
      const leaders = new Map([[1, 'n1']]);
      for (const { answers, target, told, commits, hears } of attempts) {
        const up = names.filter(() => answers.next().value);
        if (up.length * 2 <= size) continue;
        const snapshot = {
          ...{ cluster: 'shop', takenAt: '' },
          nodes: names.map((name) =>
            up.includes(name) ? nodeOf(name) : { name, reachable: false as const, code: '', message: '' },
          ),
        };
        const facts = factsOf(snapshot, config);
        const chosen = up[target % up.length] ?? '';
        const epoch = nextEpoch(facts, facts.epoch?.epoch ?? 0);
        const { on, needed, node } = reservation(facts, epoch, chosen);
        const change = (name: string, how: Partial<ReachableNode>) =>
          world.set(name, { ...nodeOf(name), ...how });
        const noted = on.filter(() => told.next().value);
        for (const name of noted) {
          const before = nodeOf(name).reserved ?? [];
          change(name, { reserved: [...before.filter((one) => one.epoch !== epoch), { epoch, node }] });
        }
        if (noted.length < needed || !commits) continue;
        expect(leaders.get(epoch) ?? chosen).toBe(chosen);
        leaders.set(epoch, chosen);
        const history = [row(epoch, chosen), ...nodeOf(chosen).epochs];
        for (const name of [chosen, ...on.filter(() => hears.next().value)])
          change(name, { epochs: history });
      }
    }),
    { numRuns: 1000 },
  );
});
