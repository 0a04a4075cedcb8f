import { describe, expect, it } from 'vitest';
import { type Situation, judge, leftBy } from '../../../src/replication/stranded/judge.js';
import type { StrandedLine, Values } from '../../../src/replication/stranded/model.js';
import { rowDigest } from '../../../src/replication/stranded/rows.js';
import { keySet } from '../../../src/replication/stranded/touched.js';

const forked: Values = { id: '1', name: 'old', body: 'long' };
const line = (more: Partial<StrandedLine>): StrandedLine => ({
  transaction: 1,
  change: 1,
  xid: 1,
  lsn: '0/1',
  at: '',
  schema: 'public',
  table: 't',
  op: 'update',
  key: { id: '1' },
  row: { id: '1', name: 'new', body: 'long' },
  fetched: ['body'],
  base: rowDigest(forked),
  ...more,
});
const situation = (more: Partial<Situation>): Situation => ({
  line: line({}),
  current: forked,
  currentOfNewKey: forked,
  left: undefined,
  ...more,
});
const verdict = (more: Partial<Situation>): string => {
  const found = judge(situation(more));
  return found.kind === 'conflict' ? found.code : found.kind;
};
const without = ({ base, ...rest }: StrandedLine): StrandedLine => (base === undefined ? rest : { ...rest });
const noBase = without(line({}));
const insert = line({ op: 'insert', base: 'absent', fetched: [] });
const insertNoBase = without(insert);
const gone = line({ op: 'delete', row: undefined as never });

describe('a stranded change is applied', () => {
  it.each<[string, Partial<Situation>]>([
    ['to a row that is as it was at the fork', {}],
    ['as an insert where nothing is', { line: insert, current: undefined }],
    ['as a delete of a row as it was', { line: gone }],
    ['to a row that equals the whole old row', { line: { ...noBase, old: forked } }],
    [
      'to a row that is what an earlier line left',
      {
        line: noBase,
        current: { ...forked, name: 'between' },
        left: leftBy(line({}), { ...forked, name: 'between' }),
      },
    ],
    [
      'again as an insert after a delete of the same file',
      { line: insertNoBase, current: undefined, left: { kind: 'absent' } },
    ],
    ['to a row whose key it changes', { line: line({ oldKey: { id: '0' } }), currentOfNewKey: undefined }],
  ])('%s', (_, more) => {
    expect(verdict(more)).toBe('apply');
  });
});

describe('nothing is left to do', () => {
  it.each<[string, Partial<Situation>]>([
    [
      'where the row is so already, though it was touched',
      { line: noBase, current: { ...forked, name: 'new' } },
    ],
    [
      'where the same row was inserted',
      { line: insertNoBase, current: { id: '1', name: 'new', body: 'long' } },
    ],
    ['where the row to delete is gone', { line: { ...gone, base: 'x' }, current: undefined }],
  ])('%s', (_, more) => {
    expect(verdict(more)).toBe('already');
  });
});

describe('a conflict is', () => {
  it.each<[string, string, Partial<Situation>]>([
    ['row-changed', 'a row changed since the file was made', { current: { ...forked, body: 'other' } }],
    ['row-changed', 'a row that was changed before that', { line: noBase }],
    ['row-gone', 'a row that is not there any more', { current: undefined }],
    [
      'row-exists',
      'an insert where another row is',
      { line: insert, current: { ...forked, name: 'theirs' } },
    ],
    [
      'row-exists',
      'an insert of a key that was used and given up',
      { line: insertNoBase, current: { ...forked } },
    ],
    [
      'key-taken',
      'a new key that somebody else has',
      { line: line({ oldKey: { id: '0' } }), currentOfNewKey: { ...forked } },
    ],
    ['earlier-conflict', 'a row of which an earlier change was not applied', { left: { kind: 'conflict' } }],
    [
      'row-changed',
      'a row that is not what the earlier line left',
      { left: leftBy(line({}), { ...forked, name: 'x' }) },
    ],
    ['truncate', 'a TRUNCATE', { line: line({ op: 'truncate', key: {} }) }],
    ['no-key', 'a row without a key', { line: line({ key: {} }) }],
  ])('%s: %s', (code, _, more) => {
    expect(verdict(more)).toBe(code);
  });
});

describe('keys that were touched', () => {
  const change = (key: Values) => ({ schema: 'public', table: 't', op: 'update' as const, key });
  const table = { schema: 'public', table: 't' };

  it('are known by every text that may be the same value', () => {
    const set = keySet();
    set.add(change({ id: '1.50' }));
    set.add({ ...change({ id: 'Ab ' }), oldKey: { id: '7' } });
    expect(['1.5', '1.500', 'aB', '7'].map((id) => set.has(table, { id }))).toEqual([true, true, true, true]);
    expect(['15', '1.51', '70', 'abc'].map((id) => set.has(table, { id }))).toEqual([
      false,
      false,
      false,
      false,
    ]);
    expect(set.has({ schema: 'public', table: 'other' }, { id: '7' })).toBe(false);
    expect(set.size).toBe(3);
  });

  it('are all of them after a TRUNCATE, or when there are too many', () => {
    const truncated = keySet();
    truncated.add({ ...change({}), op: 'truncate' });
    expect(truncated.has(table, { id: '1' })).toBe(true);
    const many = keySet(2);
    for (const id of ['1', '1', '2', '3']) many.add(change({ id }));
    expect([many.overflow, many.size, many.has(table, { id: '9' })]).toEqual([true, 2, true]);
  });
});
