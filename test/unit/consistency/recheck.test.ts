import { describe, expect, it } from 'vitest';
import type { RowReading } from '../../../src/consistency/blocks.js';
import { type SandwichReads, decide, kindOf, sandwich } from '../../../src/consistency/recheck.js';

const row = (hash: string, version = 'v1'): RowReading => ({ key: '1', hash, version });

describe('what one sandwich says', () => {
  it.each<[string, RowReading | undefined, RowReading | undefined, RowReading | undefined, string]>([
    ['B is what the leader had before', row('x'), row('x'), row('y', 'v2'), 'in-flight'],
    ['B is what the leader has after', row('x'), row('y'), row('y', 'v2'), 'in-flight'],
    ['absent everywhere', undefined, undefined, undefined, 'in-flight'],
    ['deleted meanwhile, on the replica already', row('x'), undefined, undefined, 'in-flight'],
    ['inserted meanwhile, not yet on the replica', undefined, undefined, row('x'), 'in-flight'],
    ['the leader did not move, the replica is different', row('x'), row('z'), row('x'), 'suspect'],
    ['missing', row('x'), undefined, row('x'), 'suspect'],
    ['extra', undefined, row('x'), undefined, 'suspect'],
    ['the leader wrote the row again with the same values', row('x'), row('z'), row('x', 'v2'), 'open'],
    ['everything moved', row('x'), row('z'), row('y', 'v2'), 'open'],
  ])('%s', (_, a, b, c, verdict) => {
    expect(decide(a, b, c)).toBe(verdict);
  });

  it.each<[RowReading | undefined, RowReading | undefined, boolean, string]>([
    [row('x'), undefined, false, 'missing'],
    [undefined, row('x'), false, 'extra'],
    [row('x'), row('y'), false, 'differing'],
    // Without a key, "hash" is how many such rows there are.
    [row('3'), row('2'), true, 'missing'],
    [row('2'), row('3'), true, 'extra'],
    [row('2'), undefined, true, 'missing'],
  ])('%j against %j (counted %s) is %s', (leader, node, counted, kind) => {
    expect(kindOf(leader, node, counted)).toBe(kind);
  });
});

/** Plays back what the leader (twice a round) and the replica (once) have of row 1. */
function playback(
  leader: (RowReading | undefined)[],
  node: (RowReading | undefined)[],
  reached: boolean[] = [],
) {
  const calls = { leader: 0, node: 0, waits: 0 };
  const answer = (script: (RowReading | undefined)[], at: number) => {
    const found = script[Math.min(at, script.length - 1)];
    return Promise.resolve(new Map(found ? [['1', found]] : []));
  };
  const reads: SandwichReads = {
    leader: () => answer(leader, calls.leader++),
    node: () => answer(node, calls.node++),
    caughtUp: () => Promise.resolve(reached[calls.waits++] ?? true),
  };
  return { reads, calls };
}

describe('rounds', () => {
  it('prove a difference only when two in a row saw the same', async () => {
    const { reads, calls } = playback([row('x')], [row('z')]);
    expect(await sandwich(['1'], reads)).toMatchObject({
      inFlight: 0,
      rows: [{ kind: 'differing', proven: true }],
    });
    expect(calls.node).toBe(2);
  });

  it('take a suspicion back when the replica has it after all', async () => {
    // The leader shows a commit later than the replica does: synchronous replication.
    const { reads } = playback([row('x'), row('x'), row('y', 'v2')], [row('y')]);
    expect(await sandwich(['1'], reads)).toEqual({ inFlight: 1, rows: [] });
  });

  it('start anew when the row changed between two suspicions', async () => {
    const { reads, calls } = playback(
      [row('x'), row('x'), row('y', 'v2'), row('y', 'v2'), row('y', 'v2'), row('y', 'v2')],
      [row('z')],
    );
    expect(await sandwich(['1'], reads)).toMatchObject({ rows: [{ kind: 'differing', proven: true }] });
    expect(calls.node).toBe(3);
  });

  it('end undecided, never as a difference, when the row never rests', async () => {
    const moving = Array.from({ length: 100 }, (_, i) => row(`x${String(i)}`, `v${String(i)}`));
    const { reads } = playback(moving, [row('old')]);
    expect(await sandwich(['1'], reads, { rounds: 5 })).toMatchObject({
      inFlight: 0,
      rows: [{ kind: 'differing', proven: false }],
    });
  });

  it('prove nothing on a replica that does not catch up', async () => {
    const { reads, calls } = playback([row('x')], [row('z')], [false]);
    expect(await sandwich(['1'], reads)).toMatchObject({ rows: [{ proven: false }] });
    expect(calls.waits).toBe(1);
  });

  it('prove nothing when it falls behind between the rounds', async () => {
    const { reads } = playback([row('x')], [row('z')], [true, false]);
    expect(await sandwich(['1'], reads)).toMatchObject({ rows: [{ proven: false }] });
  });
});
