import { describe, expect, it } from 'vitest';
import { judgeTraffic } from '../../../src/drill/judge/traffic.js';

const line = (at: number, sent: Record<string, number>) => ({ kind: 'traffic', at, sent }) as const;

describe('bytes sent', () => {
  it.each([
    ['nobody looked', [], null],
    ['looked at once', [line(0, { n1: 5 })], null],
    [
      'what came before does not count',
      [line(0, { n1: 500, n2: 7 }), line(9, { n1: 800, n2: 7 })],
      { n1: 300, n2: 0 },
    ],
    ['a proxy that was started again', [line(0, { n1: 500 }), line(9, { n1: 20 })], { n1: 0 }],
  ])('%s', (_, looks, wanted) => {
    expect(judgeTraffic(looks)).toEqual(wanted);
  });
});
