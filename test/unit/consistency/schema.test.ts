import { describe, expect, it } from 'vitest';
import { compareShapes, holdsAll } from '../../../src/consistency/schema.js';
import type { ColumnShape, TableShape } from '../../../src/consistency/shape.js';
import { column, shape } from './shapes.js';

const typed = (type: string, base = type.replace(/\(.*/, '')): ColumnShape => column('c', base, { type });

describe('whether a type holds all values of another', () => {
  it.each([
    ['int4', 'int8', true],
    ['int8', 'int4', false],
    ['int4', 'float8', false],
    ['varchar(10)', 'varchar(20)', true],
    ['varchar(20)', 'varchar(10)', false],
    ['varchar(20)', 'text', true],
    ['text', 'varchar(20)', false],
    ['numeric(12,2)', 'numeric(14,2)', true],
    ['numeric(12,2)', 'numeric(12,4)', false],
    ['numeric(12,2)', 'numeric', true],
    ['numeric', 'numeric(12,2)', false],
    ['jsonb', 'json', false],
  ])('%s in %s: %s', (leader, node, fits) => {
    expect(holdsAll(typed(leader), typed(node))).toBe(fits);
  });
});

describe('findings', () => {
  const id = column('id', 'int8', { notNull: true });
  const leader = (...columns: ColumnShape[]): TableShape =>
    shape([id, ...columns], { uniques: ['btree (id)'] });
  it.each<[string, TableShape, TableShape | undefined, string[]]>([
    ['the same', leader(column('a', 'text')), leader(column('a', 'text')), []],
    [
      'another physical order',
      leader(column('a', 'text')),
      shape([column('a', 'text'), id], { uniques: ['btree (id)'] }),
      [],
    ],
    ['no table', leader(), undefined, ['error table-missing']],
    ['a column less', leader(column('a', 'text')), leader(), ['error column-missing']],
    [
      'an unpublished column less',
      leader(column('a', 'text', { published: false })),
      leader(),
      ['info column-missing'],
    ],
    ['a column more', leader(), leader(column('a', 'text')), ['info column-extra']],
    [
      'a column more that needs a value',
      leader(),
      leader(column('a', 'text', { notNull: true })),
      ['error column-required'],
    ],
    [
      '… which its default gives',
      leader(),
      leader(column('a', 'int4', { notNull: true, defaultExpression: '0' })),
      ['info column-extra'],
    ],
    [
      'NOT NULL only there',
      leader(column('a', 'text')),
      leader(column('a', 'text', { notNull: true })),
      ['error column-not-null'],
    ],
    [
      'NOT NULL only here',
      leader(column('a', 'text', { notNull: true })),
      leader(column('a', 'text')),
      ['info column-nullable'],
    ],
    [
      'generated there',
      leader(column('a', 'int4')),
      leader(column('a', 'int4', { generated: 's', defaultExpression: '1' })),
      ['error column-generated'],
    ],
    [
      'another default',
      leader(column('a', 'int4', { defaultExpression: '1' })),
      leader(column('a', 'int4')),
      ['warning column-default'],
    ],
    ['another key', leader(), { ...leader(), key: [], keys: [[]] }, ['error key-differs']],
    [
      'a unique index more',
      leader(),
      { ...leader(), uniques: ['btree (a)', 'btree (id)'] },
      ['error unique-extra'],
    ],
    ['a unique index less', leader(), { ...leader(), uniques: [] }, ['warning unique-missing']],
  ])('%s', (_, ours, theirs, expected) => {
    const found = compareShapes(ours, theirs, 'n2');
    expect(found.map(({ severity, code }) => `${severity} ${code}`)).toEqual(expected);
    expect(found.every((finding) => finding.node === 'n2')).toBe(true);
  });
});
