import { describe, expect, it } from 'vitest';
import type { RowReading } from '../../../../src/consistency/blocks.js';
import { prove } from '../../../../src/consistency/repair/prove.js';

const row = (hash: string, version = '1'): RowReading => ({ key: '7', hash, version });
const none = undefined;

/** before: the replica's row, then the leader's twice, then the replica's under lock. */
const CASES = [
  ['the same everywhere', [row('a'), row('a'), row('a'), row('a', '9')], 'equal', 'equal'],
  ['differing, the leader’s unchanged', [row('x'), row('a'), row('a'), row('x')], 'write', 'write'],
  [
    'differing, and it came to differ just now',
    [row('a'), row('a'), row('a'), row('x', '2')],
    'write',
    'open',
  ],
  ['missing', [none, row('a'), row('a'), none], 'write', 'write'],
  ['only here', [row('x'), none, none, row('x')], 'write', 'write'],
  ['only here, but not the row that was here before', [row('x'), none, none, row('x', '2')], 'open', 'open'],
  ['only here, and not here before', [none, none, none, row('x')], 'open', 'open'],
  ['changed at the leader in between', [row('x'), row('a'), row('b', '2'), row('x')], 'open', 'open'],
  [
    'written at the leader in between with the same values',
    [row('x'), row('a'), row('a', '2'), row('x')],
    'open',
    'open',
  ],
  ['changed at the leader, and here already', [row('a'), row('a'), row('b', '2'), row('b')], 'open', 'open'],
  ['inserted at the leader in between', [row('x'), none, row('a'), row('x')], 'open', 'open'],
  ['deleted at the leader in between', [row('x'), row('a'), none, row('x')], 'open', 'open'],
  ['gone on both sides', [row('x'), none, none, none], 'equal', 'equal'],
] as const;

describe('prove', () => {
  it.each(CASES)('%s', (_, [before, first, last, now], keyed, counted) => {
    expect(prove({ before, first, last, now }, false)).toBe(keyed);
    expect(prove({ before, first, last, now }, true)).toBe(counted);
  });
});
