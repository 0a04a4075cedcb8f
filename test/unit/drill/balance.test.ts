/** Reads spread over replicas: what counts as even, and who is compared. */
import { describe, expect, it } from 'vitest';
import { type Line, sorted } from '../../../src/drill/history.js';
import { judgeBalance } from '../../../src/drill/judge/balance.js';
import { measure } from '../../../src/drill/judge/measure.js';
import { verdictsOf } from '../../../src/drill/judge/verdicts.js';
import { expectSchema } from '../../../src/drill/scenario.js';
import { insert, look, read } from './history.js';

/** n1 leads; so many reads answered by each node, every one of which is looked at. */
function history(reads: Readonly<Record<string, number>>, more: readonly Line[] = []) {
  const nodes = ['n1', ...Object.keys(reads)];
  return sorted([
    insert(1),
    ...nodes.map((node, index) => look(index, 1, { node })),
    ...Object.entries(reads).flatMap(([node, count]) =>
      Array.from({ length: count }, (_, index) => read(300 + index, 1, { node })),
    ),
    ...more,
  ]);
}

describe('balance of reads', () => {
  it.each<[string, ReturnType<typeof history>, Record<string, number>, number | null]>([
    ['even', history({ n2: 10, n3: 10, n4: 10 }), { n2: 10, n3: 10, n4: 10 }, 1],
    ['one answers half', history({ n2: 10, n3: 5 }), { n2: 10, n3: 5 }, 0.5],
    ['one is never asked', history({ n2: 10, n3: 0 }), { n2: 10, n3: 0 }, 0],
    ['the leader answers other reads', history({ n2: 4, n3: 4, n1: 90 }), { n2: 4, n3: 4 }, 1],
    [
      'one led later',
      history({ n2: 4, n3: 4, n4: 1 }, [insert(2, { node: 'n4', epoch: 2 })]),
      { n2: 4, n3: 4 },
      1,
    ],
    [
      'reads that failed',
      history({ n2: 4, n3: 4 }, [read(900, 0, { node: 'n3', outcome: 'refused' })]),
      { n2: 4, n3: 4 },
      1,
    ],
    ['a single replica', history({ n2: 4 }), { n2: 4 }, null],
    ['no reads', history({ n2: 0, n3: 0 }), { n2: 0, n3: 0 }, null],
  ])('%s', (_, lines, byReplica, share) => {
    expect(judgeBalance(lines)).toEqual({ byReplica, share });
  });

  it('is an expectation that can be missed', () => {
    const verdict = (lines: ReturnType<typeof history>, balance: number) =>
      verdictsOf(
        expectSchema.parse({ reads: { balance } }),
        measure(lines, 1200, { state: 'healthy', epoch: 1 }),
        lines.steps,
      ).find((one) => one.expectation === 'reads.balance');
    expect(verdict(history({ n2: 10, n3: 6 }), 0.5)).toMatchObject({ met: true, measured: 0.6, limit: 0.5 });
    expect(verdict(history({ n2: 10, n3: 4 }), 0.5)).toMatchObject({ met: false, measured: 0.4 });
    expect(verdict(history({ n2: 0, n3: 0 }), 0.5)).toMatchObject({ met: false, measured: null });
  });
});
