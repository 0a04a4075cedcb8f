import { describe, expect, it } from 'vitest';
import { recordSequencesSql } from '../../../src/replication/sequence-record.js';
import {
  type SequenceUse,
  relevantSequences,
  sequenceTarget,
  setPastSql,
  syncSequenceSql,
} from '../../../src/replication/sequences.js';

const column = { schema: 'public', name: 'products', column: 'id' };
const sequence = (changes: Partial<SequenceUse> = {}): SequenceUse => ({
  schema: 'public',
  name: 's',
  lastValue: '1',
  isCalled: false,
  increment: '1',
  min: '1',
  max: '9223372036854775807',
  cycle: false,
  columns: [column],
  highestInUse: null,
  ...changes,
});
const set = (value: string) => ({ kind: 'set', value });
const keep = { kind: 'keep' };
const down = { increment: '-1', min: '-9223372036854775808', max: '-1', lastValue: '-1' };

describe('sequenceTarget', () => {
  it.each<[string, Partial<SequenceUse>, number, object]>([
    ['past what is in use, gap included', { highestInUse: '500' }, 1000, set('1500')],
    ['no gap', { highestInUse: '500' }, 0, set('500')],
    ['an empty table', {}, 1000, keep],
    ['past already', { highestInUse: '500', lastValue: '9000', isCalled: true }, 1000, keep],
    ['exactly there', { highestInUse: '500', lastValue: '1500', isCalled: true }, 1000, keep],
    ['there but not handed out', { highestInUse: '500', lastValue: '1500' }, 1000, set('1500')],
    ['rows below its start', { highestInUse: '-5', lastValue: '1' }, 0, keep],
    ['keeps its phase', { highestInUse: '500', increment: '7', lastValue: '3' }, 1000, set('1501')],
    ['descending', { ...down, highestInUse: '-500' }, 1000, set('-1500')],
    [
      'descending, past already',
      { ...down, highestInUse: '-5', lastValue: '-9000', isCalled: true },
      1,
      keep,
    ],
    ['a free one moves on by the gap', { columns: [], lastValue: '40', isCalled: true }, 1000, set('1040')],
    [
      'a free one that the last promotion let begin further on',
      { columns: [], lastValue: '40', isCalled: true, recorded: '1040' },
      1000,
      set('2040'),
    ],
    [
      'a free one that is past what the last promotion set',
      { columns: [], lastValue: '3000', isCalled: true, recorded: '1040' },
      1000,
      set('4000'),
    ],
    [
      'a descending free one that the last promotion let begin further down',
      { ...down, columns: [], lastValue: '-40', isCalled: true, recorded: '-1040' },
      1000,
      set('-2040'),
    ],
    [
      'a record is nothing where the leader can be asked',
      { columns: [], lastValue: '40', isCalled: true, recorded: '1040', handedOut: '1050' },
      1000,
      set('1050'),
    ],
    [
      'a free one near its end, by the record',
      { columns: [], max: '2000', lastValue: '40', isCalled: true, recorded: '1040' },
      1000,
      { kind: 'exhausted', last: '1040', end: '2000' },
    ],
    [
      'a free one goes on where the leader stood',
      { columns: [], lastValue: '40', isCalled: true, handedOut: '9000' },
      1000,
      set('9000'),
    ],
    [
      'a leader that gave out more than rows tell',
      { highestInUse: '500', handedOut: '7000' },
      1000,
      set('7000'),
    ],
    [
      'no more gap for each change',
      { highestInUse: '500', lastValue: '1500', isCalled: true, handedOut: '1500' },
      1000,
      keep,
    ],
    ['no row is left of what was given', { handedOut: '70' }, 1000, set('70')],
    [
      'a leader that is behind',
      { columns: [], lastValue: '40', isCalled: true, handedOut: '30' },
      1000,
      keep,
    ],
    [
      'a free one at its end',
      { columns: [], max: '9', lastValue: '2', isCalled: true, handedOut: '9' },
      5,
      set('9'),
    ],
    [
      'a cycling one goes on where the leader stood, also downwards',
      { cycle: true, lastValue: '9', isCalled: true, handedOut: '3' },
      1000,
      set('3'),
    ],
    [
      'a cycling one that is there',
      { cycle: true, lastValue: '3', isCalled: true, handedOut: '3' },
      1000,
      keep,
    ],
    [
      'descending, as the leader stood',
      { ...down, columns: [], isCalled: true, handedOut: '-77' },
      1000,
      set('-77'),
    ],
    ['bigints stay exact', { highestInUse: '9007199254740993' }, 0, set('9007199254740993')],
    ['a cycling one is left alone', { cycle: true, highestInUse: '5' }, 1000, keep],
    [
      'near its end',
      { highestInUse: '32000', max: '32767' },
      1000,
      { kind: 'exhausted', last: '32000', end: '32767' },
    ],
    [
      'descending, near its end',
      { ...down, min: '-100', highestInUse: '-90' },
      50,
      { kind: 'exhausted', last: '-90', end: '-100' },
    ],
  ])('%s', (_, changes, gap, expected) => {
    expect(sequenceTarget(sequence(changes), gap)).toEqual(expected);
  });
});

it('statements never move backwards', () => {
  const past = setPastSql(
    [
      sequence({ highestInUse: '5' }),
      sequence({ ...down, name: 'down', highestInUse: '-5' }),
      sequence({ name: 'short', max: '10', highestInUse: '9' }),
    ],
    10,
  );
  expect(past.sql).toEqual([
    `select setval('"public"."s"', greatest(15, last_value)) from "public"."s"`,
    `select setval('"public"."down"', least(-15, last_value)) from "public"."down"`,
  ]);
  expect(past.exhausted).toEqual([{ schema: 'public', name: 'short', last: '9', end: '10' }]);
});

it('a promotion records where free sequences begin, and nothing of others', () => {
  const about = { epoch: 3, node: 'n2', operator: 'me', gap: 1000 };
  const free = { columns: [], lastValue: '40', isCalled: true };
  const of = (...sequences: SequenceUse[]) => recordSequencesSql({ ...about, sequences }).at(-1);
  const sql = of(
    sequence({ highestInUse: '5' }),
    sequence({ ...free, name: 'free' }),
    sequence({ ...free, name: 'Odd', handedOut: '77' }),
    sequence({ ...free, name: 'round', cycle: true }),
  );
  expect(sql).toContain(`values (3, 'sequences', 'n2', 'me', `);
  expect(sql).toContain(`{"began":{"public.free":"1040",`);
  expect(sql).toContain(`Odd`);
  expect(sql).toContain(`"77"}}`);
  expect(of(sequence({ highestInUse: '5' }))).toBeUndefined();
});

it('sync brings a replica to the leader, never back', () => {
  const leader = sequence({ lastValue: '50', isCalled: true });
  expect(syncSequenceSql(sequence(), leader)).toBe(
    `select setval('"public"."s"', greatest(50, last_value)) from "public"."s"`,
  );
  expect(syncSequenceSql(sequence({ lastValue: '60', isCalled: true }), leader)).toBeNull();
  expect(syncSequenceSql(leader, leader)).toBeNull();
  expect(syncSequenceSql(sequence(), sequence())).toBeNull();
});

it('which sequences matter', () => {
  const free = sequence({ name: 'free', columns: [] });
  const other = sequence({ name: 'other', columns: [{ ...column, name: 'unpublished' }] });
  expect(relevantSequences([sequence(), free, other], [column]).map((one) => one.name)).toEqual([
    's',
    'free',
  ]);
});
