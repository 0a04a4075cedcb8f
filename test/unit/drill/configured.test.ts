/** Why no drill begins on a configured cluster, and what one that was killed has left there. */
import { describe, expect, it } from 'vitest';
import type { LockHolder } from '../../../src/cluster/lock-sql.js';
import type { ClusterLook, NodeLook } from '../../../src/drill/configured/look.js';
import { leftoverIn, requireFit, requireFree, requireSafe } from '../../../src/drill/configured/refusals.js';
import { markOf, markText } from '../../../src/drill/configured/table.js';
import { loadScenarios } from '../../../src/drill/load.js';
import type { RepctlError } from '../../../src/errors.js';
import { renderDrillPlan } from '../../../src/ui/drill-question.js';

const mark = { run: '20261128T020400Z-planned-switchover-s1', leader: 'alpha' };
const bare = (node: string): NodeLook => ({
  ...{ node, may: true, there: false, comment: null, table: false, strange: 0 },
});
const left = (node: string): NodeLook => ({
  ...bare(node),
  there: true,
  table: true,
  comment: markText(mark),
});
const names = ['alpha', 'beta', 'gamma'];

function look(
  nodes: readonly NodeLook[],
  more: { state?: string; holder?: LockHolder; count?: number } = {},
) {
  const all = Array.from({ length: more.count ?? 3 }, (_, index) => ({ name: names[index] }));
  return {
    snapshot: { nodes: all },
    analysis: { state: more.state ?? 'healthy', leader: 'alpha', findings: [] },
    nodes,
    holder: more.holder,
  } as unknown as ClusterLook;
}

const codeOf = (body: () => unknown): string | undefined => {
  try {
    body();
    return undefined;
  } catch (error) {
    expect((error as RepctlError).exit).toBe(6);
    expect((error as RepctlError).hint).toContain('Nothing was changed.');
    return (error as RepctlError).code;
  }
};
const planned = loadScenarios(['planned-switchover']);

describe('a drill on a configured cluster', () => {
  it('is refused for scenarios that are not safe, all named', () => {
    expect(
      codeOf(() => {
        requireSafe(planned);
      }),
    ).toBeUndefined();
    expect(() => {
      requireSafe(loadScenarios(['leader-killed', 'disk-full']));
    }).toThrow('disk-full: not marked safe');
    expect(
      codeOf(() => {
        requireSafe(loadScenarios(['leader-killed']));
      }),
    ).toBe('drill-not-safe');
  });

  it.each<[string, ClusterLook, string | undefined]>([
    ['nothing is in the way', look(names.map(bare)), undefined],
    ['a drill was killed', look(names.map(left)), undefined],
    ['a schema without mark', look([{ ...bare('beta'), there: true }]), 'drill-table-exists'],
    ['a schema with a strange mark', look([{ ...left('beta'), comment: 'mine' }]), 'drill-table-exists'],
    ['something beside the table', look([{ ...left('beta'), strange: 1 }]), 'drill-table-exists'],
    ['no right', look([bare('alpha'), { ...bare('beta'), may: false }]), 'drill-no-right'],
    [
      'another drill',
      look(names.map(left), {
        holder: {
          ...{ node: 'beta', pid: 1, operator: 'a', host: 'h', clientPid: 2, operation: 'drill' },
          since: '2026-11-28T02:04:00Z',
        },
      }),
      'drill-running',
    ],
  ])('where %s', (_, found, code) => {
    expect(
      codeOf(() => {
        requireFree(found);
      }),
    ).toBe(code);
  });

  it('needs a healthy cluster that it fits', () => {
    expect(requireFit(look([]), planned)).toEqual({ leader: 'alpha' });
    expect(codeOf(() => requireFit(look([], { state: 'degraded' }), planned))).toBe('drill-unhealthy');
    expect(codeOf(() => requireFit(look([], { count: 1 }), planned))).toBe('drill-does-not-fit');
  });

  it('knows what a killed one left, and only that', () => {
    expect(markOf(markText(mark))).toEqual(mark);
    expect(leftoverIn(look(names.map(bare)))).toBeUndefined();
    expect(leftoverIn(look(names.map(left)))).toEqual({ mark, nodes: names, everywhere: true });
    expect(leftoverIn(look([left('alpha'), bare('beta'), bare('gamma')]))).toMatchObject({
      ...{ nodes: ['alpha'], everywhere: false },
    });
    expect(leftoverIn(look([left('alpha'), { ...left('beta'), strange: 1 }]))).toBeUndefined();
  });

  it('says what it will do', () => {
    const survey = { cluster: 'shop', nodes: names, leader: 'alpha', to: 'beta', leftover: undefined };
    const { lines, question } = renderDrillPlan({ survey, scenarios: planned, repeat: 1 });
    expect(`${lines.join('\n')}\n${question}`).toMatchInlineSnapshot(`
      "Against the cluster shop (alpha, beta, gamma), which is in use:
        table    repctl_drill.products is made on every node, replicated, and removed
                 again; no other is written to
        leader   moves from alpha to beta and back, with the hooks of the
                 configuration
        load     planned-switchover: 10 writes and 10 reads a second for 6.0 s at
                 least
      Run it on shop now?"
    `);
  });
});
