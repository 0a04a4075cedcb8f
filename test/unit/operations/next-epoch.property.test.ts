/**
 * Nobody leads under a number under which somebody else may lead, whoever dies before others have heard of it, and
 * however late a promotion commits whose operator is gone: a model of promotions, each of which reaches some majority
 * only, against the functions that choose the number.
 */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { Epoch, ReachableNode } from '../../../src/cluster/model.js';
import type { ClusterConfig } from '../../../src/config/schema.js';
import { factsOf } from '../../../src/operations/facts.js';
import { nextEpoch, reservation } from '../../../src/operations/next-epoch.js';
import { bareNode } from '../../support/simulate.js';

const row = (epoch: number, leader: string): Epoch => ({
  ...{ epoch, leader, previousLeader: null, forkPoint: null, previousLsn: null },
  ...{ startedAt: '', operation: 'failover', operator: '', reason: null },
});

/** One attempt: who answers, who is chosen, who can be told, when it commits, and who hears of it in time. */
const attempt = fc.record({
  answers: fc.infiniteStream(fc.boolean()),
  target: fc.nat(),
  told: fc.infiniteStream(fc.boolean()),
  commits: fc.constantFrom('now', 'later', 'never', 'taken back'),
  hears: fc.infiniteStream(fc.boolean()),
});

it('two nodes never lead the same epoch, as long as each promotion reaches a majority', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(3, 3, 3, 4, 5, 6, 7),
      fc.array(attempt, { maxLength: 30 }),
      (size, attempts) => {
        const names = Array.from({ length: size }, (_, index) => `n${String(index + 1)}`);
        const nodes = names.map((name) => ({ name, url: `postgres://${name}/shop`, priority: 100 }));
        const config = { cluster: 'shop', nodes } as unknown as ClusterConfig;
        const world = new Map<string, ReachableNode>(
          names.map((name, index) => [name, { ...bareNode(name, index), epochs: [row(1, 'n1')] }]),
        );
        const nodeOf = (name: string): ReachableNode => world.get(name) ?? bareNode(name, 0);
        const change = (name: string, how: Partial<ReachableNode>) =>
          world.set(name, { ...nodeOf(name), ...how });
        const leaders = new Map([[1, 'n1']]);
        const promote = (epoch: number, chosen: string, hear: readonly string[]) => {
          expect(leaders.get(epoch) ?? chosen).toBe(chosen);
          leaders.set(epoch, chosen);
          const history = [row(epoch, chosen), ...nodeOf(chosen).epochs.filter((one) => one.epoch < epoch)];
          for (const name of [chosen, ...hear])
            if ((nodeOf(name).epochs[0]?.epoch ?? 0) < epoch) change(name, { epochs: history });
        };
        const onTheirWay: (() => void)[] = [];
        for (const { answers, target, told, commits, hears } of attempts) {
          const up = names.filter(() => answers.next().value);
          if (up.length * 2 <= size) {
            onTheirWay.shift()?.();
            continue;
          }
          const snapshot = {
            ...{ cluster: 'shop', takenAt: '' },
            nodes: names.map((name) =>
              up.includes(name) ? nodeOf(name) : { name, reachable: false as const, code: '', message: '' },
            ),
          };
          const facts = factsOf(snapshot, config);
          const chosen = up[target % up.length] ?? '';
          const epoch = nextEpoch(facts, facts.epoch?.epoch ?? 0, chosen);
          const { on, needed } = reservation(facts, epoch, chosen);
          const free = (name: string) =>
            (nodeOf(name).reserved ?? []).every((one) => one.epoch !== epoch || one.node === chosen);
          const noted = on.filter((name) => told.next().value && free(name));
          const before = new Map(noted.map((name) => [name, nodeOf(name).reserved ?? []]));
          for (const [name, all] of before)
            change(name, {
              reserved: [...all.filter((one) => one.epoch !== epoch), { epoch, node: chosen }],
            });
          if (noted.length < needed) continue;
          const hear = on.filter(() => hears.next().value);
          if (commits === 'now') promote(epoch, chosen, hear);
          if (commits === 'later')
            onTheirWay.push(() => {
              promote(epoch, chosen, []);
            });
          // Under the lock; what an earlier run had noted down stays.
          if (commits === 'taken back') for (const [name, all] of before) change(name, { reserved: all });
        }
      },
    ),
    { numRuns: 5000 },
  );
});
