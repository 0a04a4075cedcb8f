/** Recorded histories with one fault planted into each: the judge that is there for it must say so, and nobody else. */
import { describe, expect, it } from 'vitest';
import { type Line, sorted } from '../../../src/drill/history.js';
import { judgeGuarantees, staleReads } from '../../../src/drill/judge/guarantees.js';
import { judgeLag } from '../../../src/drill/judge/lag.js';
import { type Measurements, measure } from '../../../src/drill/judge/measure.js';
import { judgeService, recoveries, windowsOf } from '../../../src/drill/judge/service.js';
import { verdictsOf } from '../../../src/drill/judge/verdicts.js';
import { expectSchema } from '../../../src/drill/scenario.js';
import { changed, final, insert, look, read, sound } from './history.js';

const END = { state: 'healthy', epoch: 1 };
const measured = (history: Parameters<typeof measure>[0]): Measurements => measure(history, 1200, END);
/** The expectations that are not met. */
const broken = (history: Parameters<typeof measure>[0], expectations: object = {}): string[] =>
  verdictsOf(expectSchema.parse(expectations), measured(history), history.steps)
    .filter((verdict) => !verdict.met)
    .map((verdict) => verdict.expectation);

describe('a sound history', () => {
  it('meets everything', () => {
    expect(broken(sorted(sound()))).toEqual([]);
    expect(measured(sorted(sound()))).toMatchObject({
      writes: { operations: 10, ok: 10, availability: 1, latency: { p50: 10, max: 10 }, pauseMs: 190 },
      rpo: { rows: 0, bytes: 0, lost: [] },
      readsByNode: { n2: 10 },
      staleByLevel: { session: 0 },
      lag: { n2: { max: 0, unanswered: 0 } },
      differing: [],
    });
  });
});

describe('what is planted is found', () => {
  it('a lost row: acknowledged and nowhere', () => {
    const history = changed((line) =>
      line.kind === 'final'
        ? final(line.node, line.leader, {
            present: {
              w1: [
                [1, 6],
                [9, 10],
              ],
            },
          })
        : line,
    );
    expect(broken(history)).toEqual(['rpo']);
    // From before w1/7 to the end of w1/8: 256 + 128 bytes of WAL, 100 ms between the two answers.
    expect(measured(history).rpo).toMatchObject({ rows: 2, lost: ['w1/7', 'w1/8'], bytes: 384, ms: 100 });
    expect(broken(history, { rpo: { rows: 2 } })).toEqual([]);
    expect(broken(history, { rpo: 'any' })).toEqual([]);
  });

  it('a row of unknown fate may be there or not', () => {
    const open = changed((line) =>
      line.kind === 'write' && line.n === 10 ? { ...line, outcome: 'unknown' as const } : line,
    );
    expect(broken(open)).toEqual([]);
    const gone = changed((line) =>
      line.kind === 'write' && line.n === 10
        ? { ...line, outcome: 'unknown' as const }
        : line.kind === 'final'
          ? final(line.node, line.leader, { present: { w1: [[1, 9]] } })
          : line.kind === 'read' && line.seen?.['w1']?.[0] === 10
            ? { ...line, seen: { w1: [9, 9] as const } }
            : line,
    );
    expect(broken(gone)).toEqual([]);
  });

  it('a doubled row', () => {
    const history = changed((line) =>
      line.kind === 'final' && line.node === 'n2'
        ? final('n2', false, { repeated: [['w1', 4, 2]], digest: 'other' })
        : line,
    );
    expect(broken(history)).toEqual(['no row twice', 'equal rows']);
  });

  it('a change of stock that was done twice, and one that was lost', () => {
    const adjusts = [1, 2, 3].map((n) => insert(n, { op: 'adjust', begin: 2000 + n }));
    const twice = sorted([
      ...sound().filter((line) => line.kind !== 'final'),
      ...adjusts,
      final('n1', true, { adjusted: 4 }),
    ]);
    expect(broken(twice)).toEqual(['no row twice']);
    const lost = sorted([
      ...sound().filter((line) => line.kind !== 'final'),
      ...adjusts,
      final('n1', true, { adjusted: 2 }),
    ]);
    expect(broken(lost)).toEqual(['rpo']);
  });

  it('a row that its client was refused, and one that nobody wrote', () => {
    const refused = changed((line) =>
      line.kind === 'write' && line.n === 10
        ? { ...line, outcome: 'refused' as const, code: 'no-majority' }
        : line,
    );
    expect(broken(refused)).toContain('no phantom row');
    const invented = changed((line) =>
      line.kind === 'final' ? final(line.node, line.leader, { present: { w1: [[1, 11]] } }) : line,
    );
    expect(broken(invented)).toEqual(['no phantom row']);
  });

  it('a stale read of its own write', () => {
    const history = changed((line) =>
      line.kind === 'read' && line.seen?.['w1']?.[0] === 10
        ? read(line.begin, 9, { level: 'read-your-writes' })
        : line,
    );
    expect(broken(history)).toEqual(['read-your-writes']);
    expect(judgeGuarantees(history).readYourWrites[0]).toMatch(
      /saw w1 up to 9, though 10 was acknowledged 5 ms/,
    );
    // The same read promised nothing at level eventual, and is counted.
    const eventual = changed((line) =>
      line.kind === 'read' && line.seen?.['w1']?.[0] === 10
        ? read(line.begin, 9, { level: 'eventual' })
        : line,
    );
    expect(broken(eventual)).toEqual([]);
    expect(staleReads(eventual)).toEqual({ session: 0, eventual: 1 });
  });

  it('a read that goes back behind an earlier one of its session', () => {
    const at = (top: number, begin: number) => read(begin, top, { level: 'monotonic' });
    const back = sorted([...sound(), at(10, 1200), at(6, 1300)]);
    expect(broken(back)).toEqual(['monotonic reads']);
    // At once with the other: nobody can say which was first.
    const concurrent = sorted([...sound(), { ...at(10, 1200), end: 1400 }, at(10, 1300)]);
    expect(broken(concurrent)).toEqual([]);
  });

  it('a broken prefix: a later row without an earlier one', () => {
    const history = changed((line) =>
      line.kind === 'read' && line.seen?.['w1']?.[0] === 10
        ? read(line.begin, 10, { seen: { w1: [10, 9] } })
        : line,
    );
    expect(broken(history)).toEqual(['consistent prefix']);
  });

  it('a hole that a loss left is a loss, and no broken prefix', () => {
    const history = changed((line) =>
      line.kind === 'final'
        ? final(line.node, line.leader, {
            present: {
              w1: [
                [1, 4],
                [6, 10],
              ],
            },
          })
        : line.kind === 'read' && (line.seen?.['w1']?.[0] ?? 0) > 5
          ? read(line.begin, line.seen?.['w1']?.[0] ?? 0, {
              seen: { w1: [line.seen?.['w1']?.[0] ?? 0, (line.seen?.['w1']?.[0] ?? 0) - 1] },
            })
          : line.kind === 'read' && line.seen?.['w1']?.[0] === 5
            ? read(line.begin, 4)
            : line,
    );
    expect(broken(history)).toEqual(['rpo']);
  });

  it('rows that a rejoin saved are not held against the reads in between', () => {
    const away = changed((line) =>
      line.kind === 'read' && line.seen?.['w1']?.[0] === 10 ? read(line.begin, 9) : line,
    );
    expect(broken(away)).toEqual(['read-your-writes']);
    const saved = sorted([
      ...sound().map((line) =>
        line.kind === 'read' && line.seen?.['w1']?.[0] === 10 ? read(line.begin, 9) : line,
      ),
      { kind: 'stranded', at: 1500, rows: [['w1', 10]], changes: 1 },
    ]);
    expect(broken(saved)).toEqual([]);
    expect(measured(saved).rpo?.broughtBack).toBe(1);
  });

  it('with rpo: saved, what is gone must be in the file of a rejoin, changes of stock as conflicts', () => {
    const gone = [
      ...sound().filter((line) => line.kind !== 'final'),
      final('n1', true, { present: { w1: [[1, 9]] } }),
    ];
    const file = (rows: [string, number][], conflicts: number): Line => ({
      ...{ kind: 'stranded', at: 1500, changes: rows.length + conflicts },
      ...{ rows, conflicts },
    });
    const unmet = (...lines: Line[]): string[] => broken(sorted(lines), { rpo: 'saved' });
    expect(unmet(...gone)).toContain('what is lost is saved');
    expect(unmet(...gone, file([['w1', 9]], 1))).toContain('what is lost is saved');
    expect(unmet(...gone, file([['w1', 10]], 0))).not.toContain('what is lost is saved');
    const adjusted = [
      ...sound().filter((line) => line.kind !== 'final'),
      ...[1, 2, 3].map((n) => insert(n, { op: 'adjust', begin: 2000 + n })),
      final('n1', true, { adjusted: 1 }),
    ];
    expect(unmet(...adjusted, file([], 1))).toContain('what is lost is saved');
    // The same file is told of after every rejoin: it does not count twice.
    expect(unmet(...adjusted, file([], 1), file([], 1))).toContain('what is lost is saved');
    expect(unmet(...adjusted, file([], 2))).not.toContain('what is lost is saved');
  });

  it('a transfer that was seen half, and a total that is wrong in the end', () => {
    const half = changed((line) =>
      line.kind === 'read' && line.begin > 1000 ? { ...line, total: 7999 } : line,
    );
    expect(broken(half)).toEqual(['whole transfers']);
    const wrong = changed((line) =>
      line.kind === 'final' ? final(line.node, line.leader, { total: 8001 }) : line,
    );
    expect(broken(wrong)).toEqual(['constant total']);
  });

  it('a strong read that misses what another client was acknowledged', () => {
    const history = sorted([...sound(), read(1300, 9, { level: 'strong', session: 'w9', node: 'n1' })]);
    expect(broken(history)).toEqual(['strong reads']);
  });

  it('replicas that differ, a leader that is gone, a cluster that is not well', () => {
    const differ = changed((line) =>
      line.kind === 'final' && !line.leader ? final('n2', false, { digest: 'x' }) : line,
    );
    expect(broken(differ)).toEqual(['equal rows']);
    const gone = changed((line) => (line.kind === 'final' && line.leader ? { ...line, rows: null } : line));
    expect(broken(gone)).toEqual(['rpo', 'no row twice', 'no phantom row', 'constant total', 'equal rows']);
    const history = sorted(sound());
    const unwell = verdictsOf(
      expectSchema.parse({}),
      measure(history, 1200, { state: 'degraded', epoch: 1 }),
      [],
    );
    expect(unwell.filter((one) => !one.met).map((one) => one.expectation)).toEqual(['healthy']);
  });
});

describe('service', () => {
  it('an unavailability hole: from the first failure to the next success', () => {
    const hole = changed((line) =>
      line.kind === 'write' && line.n >= 4 && line.n <= 7
        ? { ...line, outcome: 'refused' as const, code: 'leader-unreachable' }
        : line.kind === 'final'
          ? final(line.node, line.leader, {
              present: {
                w1: [
                  [1, 3],
                  [8, 10],
                ],
              },
            })
          : line.kind === 'read'
            ? undefined
            : line,
    );
    expect(measured(hole).writes).toMatchObject({
      availability: 0.6,
      unavailable: { windows: 1, max: 410 },
      errors: { 'leader-unreachable': 4 },
    });
    expect(broken(hole, { writes: { unavailable: '400ms' } })).toEqual(['writes.unavailable']);
    expect(broken(hole, { writes: { availability: 0.7, errors: 3 } })).toEqual([
      'writes.availability',
      'writes.errors',
    ]);
  });

  it('a stall is time without service although nothing failed, and shows in the latency', () => {
    // Frozen from 300 ms to 5300 ms: what was due then is answered at its end.
    const writes = Array.from({ length: 60 }, (_, index) => {
      const due = index * 100;
      return insert(index + 1, { due, begin: due, end: due >= 300 && due < 5300 ? 5300 + index : due + 10 });
    });
    const service = judgeService(writes, 6000);
    expect(service.latency.p99).toBeGreaterThan(4900);
    expect(service.unavailable.max).toBeGreaterThan(4900);
    expect(service.unavailable.windows).toBe(1);
  });

  it('what has not ended lasts to the end', () => {
    expect(windowsOf([insert(1), insert(2, { outcome: 'refused' })])).toEqual([
      { client: 'w1', from: 200, to: null },
    ]);
  });

  it('recovery: from the fault to the first write that was sent after it', () => {
    const fault = {
      kind: 'step',
      index: 0,
      title: 'kill -9 n1',
      action: 'kill',
      nodes: ['n1'],
      leader: 'n1',
    } as const;
    const lines = [
      { ...fault, phase: 'began' as const, at: 350 },
      { ...fault, phase: 'ended' as const, at: 420, ok: true },
      // Sent before the fault had struck, answered after it: no recovery.
      insert(1, { begin: 400, end: 430 }),
      insert(2, { begin: 450, end: 900, outcome: 'refused' }),
      insert(3, { begin: 950, end: 1000, node: 'n2' }),
      // A client on the far side.
      insert(1, { client: 's1', begin: 430, end: 440 }),
    ];
    expect(recoveries(sorted(lines))).toEqual([{ step: 'kill -9 n1', ms: 650 }]);
    expect(recoveries(sorted(lines.slice(0, 4)))).toEqual([{ step: 'kill -9 n1', ms: null }]);
    const replica = lines.map((line) => (line.kind === 'step' ? { ...line, nodes: ['n3'] } : line));
    expect(recoveries(sorted(replica))).toEqual([]);
  });

  it('a step that failed, or was never over, is a verdict', () => {
    const step = {
      kind: 'step',
      index: 0,
      title: 'repctl failover',
      action: 'failover',
      nodes: [],
      leader: 'n1',
      at: 1,
    } as const;
    const history = sorted([
      ...sound(),
      { ...step, phase: 'began' },
      { ...step, phase: 'ended', ok: false, exit: 6, detail: 'refused' },
    ]);
    expect(broken(history)).toEqual(['every step done']);
    expect(broken(sorted([...sound(), { ...step, phase: 'began' }]))).toEqual(['every step done']);
  });
});

describe('lag', () => {
  it('counts from the acknowledgement of the oldest row that was not shown', () => {
    const history = sorted([...sound(), look(1500, 8), look(1600, 10, { node: 'n3', seen: null })]);
    const lag = judgeLag(history);
    // w1/9 was acknowledged at 910.
    expect(lag['n2']?.max).toBe(590);
    expect(lag['n3']).toMatchObject({ looks: 1, unanswered: 1, max: null });
  });
});
