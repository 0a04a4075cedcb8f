import { describe, expect, it } from 'vitest';
import { analyse } from '../../../src/cluster/analyse.js';
import { lagReport, summarise } from '../../../src/cluster/lag.js';
import { plainStyle } from '../../../src/ui/color.js';
import { renderLag } from '../../../src/ui/lag.js';
import { sparkline } from '../../../src/ui/sparkline.js';
import { healthy, patch, silence } from '../../support/snapshots.js';

const behind = patch(healthy(), 'n1', (node) => ({
  flushLsn: '0/3000',
  senders: [],
  slots: node.slots.map((slot) => ({
    ...slot,
    pendingTransactions: 3,
    pendingSince: '2026-01-02T03:04:03.000Z',
  })),
}));
const report = (snapshot = behind, limits = {}, delays?: ReadonlyMap<string, readonly (number | null)[]>) =>
  lagReport({ ...analyse(snapshot, { cluster: 'shop' }), leader: 'n1' }, snapshot, limits, delays);

describe('lag', () => {
  it('tells bytes, time and transactions', () => {
    expect(report().replicas[0]).toEqual({
      node: 'n2',
      state: 'streaming',
      behindBytes: 4096,
      behindMs: 2000,
      behindTransactions: 3,
      probe: null,
    });
  });

  it('crosses a threshold from above only, and by what is not known', () => {
    const crossed = (limits: object, snapshot = behind) =>
      report(snapshot, limits).crossed.map((it) => `${it.node} ${it.limit}`);
    expect(crossed({ maxBytes: 4096, maxSeconds: 2 })).toEqual([]);
    expect(crossed({ maxBytes: 4095 })).toEqual(['n2 max-bytes', 'n3 max-bytes']);
    expect(crossed({ maxSeconds: 1.9 })).toEqual(['n2 max-seconds', 'n3 max-seconds']);
    expect(crossed({ maxSeconds: 60 }, silence(behind, 'n3'))).toEqual(['n3 max-seconds']);
    expect(crossed({}, silence(behind, 'n3'))).toEqual([]);
  });

  it('counts a probe that did not arrive as a threshold crossed', () => {
    const delays = new Map([
      ['n2', [1, 2]],
      ['n3', [1, null]],
    ]);
    const measured = report(healthy(), { maxSeconds: 5 }, delays);
    expect(measured.crossed).toEqual([{ node: 'n3', limit: 'max-seconds', allowed: 5, actual: null }]);
    expect(renderLag(measured, plainStyle())).toContain(
      '✗ n3 max-seconds: not known, at most 5.0 s is allowed',
    );
  });

  it('takes the nearest rank', () => {
    expect(summarise([5, 1, 3, null, 4, 2])).toEqual({
      samples: 6,
      timeouts: 1,
      minMs: 1,
      p50Ms: 3,
      p95Ms: 5,
      maxMs: 5,
    });
  });

  it('draws', () => {
    const delays = new Map([
      ['n2', [1.25, 2, 40]],
      ['n3', [1, 2, 3000]],
    ]);
    expect(renderLag(report(healthy(), {}, delays), plainStyle(), new Map([['n2', [1, 2, 3]]])))
      .toMatchInlineSnapshot(`
      "shop   leader n1   delay of 3 rows, commit on n1 until visible

      Replica  State      Bytes  Time  Txns     Min     p50      p95      Max  Delay so far
      n2       streaming    0 B  0 ms     0  1.3 ms  2.0 ms  40.0 ms  40.0 ms  ▃▆█
      n3       streaming    0 B  0 ms     0  1.0 ms  2.0 ms    3.0 s    3.0 s"
    `);
    expect(renderLag(report(), plainStyle())).toMatchInlineSnapshot(`
      "shop   leader n1

      Replica  State       Bytes   Time  Txns
      n2       streaming  4.0 kB  2.0 s     3
      n3       streaming  4.0 kB  2.0 s     3"
    `);
  });
});

describe('sparkline', () => {
  it('goes from zero to the highest figure, with gaps where nothing is known', () => {
    expect(sparkline([0, 1, 2, 3, 4, 5, 6, 7], 8)).toBe('▁▂▃▄▅▆▇█');
    expect(sparkline([7, null, 0], 8)).toBe('█ ▁');
    expect(sparkline([0, 0], 8)).toBe('▁▁');
    expect(sparkline([1, 2, 4], 2)).toBe('▅█');
    expect(sparkline([], 5)).toBe('');
  });
});
