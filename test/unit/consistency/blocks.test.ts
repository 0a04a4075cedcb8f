import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  MAX_KEY,
  MIN_KEY,
  type Side,
  type TablePlan,
  bucketCount,
  bucketListSql,
  bucketPartsSql,
  keyParts,
  methodOf,
  nextBlockSql,
  partRange,
  partStarts,
  rangeListSql,
  rowsParams,
  rowsSql,
} from '../../../src/consistency/blocks.js';
import { column, shape } from './shapes.js';

describe('the method by the key', () => {
  it.each([
    ['int8', 'ranges'],
    ['int2', 'ranges'],
    ['text', 'buckets'],
    ['uuid', 'buckets'],
    ['numeric', 'buckets'],
  ])('%s: %s', (base, method) => {
    expect(methodOf(shape([column('id', base)]))).toBe(method);
  });

  it('two integers go into buckets, no key makes a multiset', () => {
    expect(methodOf(shape([column('a', 'int8'), column('b', 'int8')], { key: ['a', 'b'] }))).toBe('buckets');
    expect(methodOf(shape([column('a', 'int8')], { key: [] }))).toBe('multiset');
  });
});

describe('parts of a range', () => {
  const range = fc
    .tuple(fc.bigInt({ min: MIN_KEY, max: MAX_KEY }), fc.bigInt({ min: MIN_KEY, max: MAX_KEY }))
    .map(([a, b]) => (a < b ? { first: a, last: b } : { first: b, last: a }));

  it('cover it exactly once, whatever its ends', () => {
    fc.assert(
      fc.property(range, fc.integer({ min: 1, max: 64 }), (whole, count) => {
        const starts = partStarts(whole, count);
        const parts = Array.from({ length: starts.length + 1 }, (_, part) => partRange(whole, starts, part));
        expect(parts[0]?.first).toBe(whole.first);
        expect(parts.at(-1)?.last).toBe(whole.last);
        for (const [index, part] of parts.entries()) {
          expect(part.first <= part.last).toBe(true);
          if (index > 0) expect(part.first).toBe((parts[index - 1]?.last ?? 0n) + 1n);
        }
      }),
    );
  });

  it('are fewer when there are fewer keys', () => {
    expect(partStarts({ first: 5n, last: 7n }, 64)).toEqual([6n, 7n]);
    expect(partStarts({ first: 5n, last: 5n }, 64)).toEqual([]);
  });
});

describe('buckets', () => {
  it.each([
    [0, 1],
    [64, 1],
    [65, 2],
    [1_000_000, 16_384],
    [1e9, 65_536],
  ])('%d rows: %d', (rows, count) => {
    expect(bucketCount(rows)).toBe(count);
  });
});

const side = (filter: string | null = null, key = ['id']): Side => ({
  shape: shape([column('id', 'int8'), column('code', 'text', { collation: 'pg_catalog."de_DE"' })], { key }),
  filter,
});
const hash =
  'hash_record_extended(row(int8send(hash_record_extended(row((t."code"::text) collate "C", int8send(t."id"::int8)), 0))), 0)';
const columns = [
  { name: 'code', form: 'text' },
  { name: 'id', form: 'int8' },
] as const;
const byId: TablePlan = {
  method: 'ranges',
  columns,
  key: [{ name: 'id', form: 'int8' }],
  flavour: 'hash',
};
const byCode: TablePlan = { ...byId, method: 'buckets', key: [{ name: 'code', form: 'text' }] };
const noKey: TablePlan = { ...byId, method: 'multiset', key: [] };

describe('statements', () => {
  it('blocks begin where the leader has the row so many rows on', () => {
    expect(nextBlockSql(byId, side('t > 1'))).toBe(
      'select t."id"::text as key from only "public"."items" t where (t > 1) and (t."id" >= $1::int8) ' +
        'order by t."id" offset $2::int8 limit 1',
    );
  });

  it('lists of ranges', () => {
    expect(rangeListSql(byId, side())).toBe(
      `select t."id"::text as key, ${hash}::text as hash from unnest($1::int8[], $2::int8[]) r(repctl_first, repctl_last) ` +
        'join only "public"."items" t on t."id" >= r.repctl_first and t."id" <= r.repctl_last',
    );
  });

  it('buckets are by the hash of the key, of the row where there is no key', () => {
    expect(bucketPartsSql(byCode, side())).toContain(
      '(hash_record_extended(row(int8send(hash_record_extended(row((t."code"::text) collate "C"), 0))), 0) & $1::int8)::int4 as b',
    );
    expect(bucketPartsSql(noKey, side())).toContain(`(${hash} & $1::int8)::int4 as b`);
    expect(bucketPartsSql(noKey, side())).toContain('sum(h)');
    expect(bucketListSql(noKey, side())).toContain('count(*)::text as hash');
  });

  it('keys are compared under their own collation, or two of them would clash', () => {
    expect(rowsSql(byCode, side(), false)).toBe(
      `select json_build_array(t."code"::text)::text as key, ${hash}::text as hash, t.xmin::text as version ` +
        'from unnest($1::text[]) k("repctl key 0") join only "public"."items" t on t."code" = k."repctl key 0"::text collate pg_catalog."de_DE" and (t."code"::text) collate "C" = k."repctl key 0"',
    );
  });

  it('keys travel as texts', () => {
    const key = '["a \\"b\\"", "1"]';
    const two = { ...byCode, key: [...byCode.key, ...byId.key] };
    expect(keyParts(two, key)).toEqual(['a "b"', '1']);
    expect(rowsParams(two, [key, '["c", "2"]'])).toEqual([
      ['a "b"', 'c'],
      ['1', '2'],
    ]);
    expect(rowsParams(byId, ['9007199254740993'])).toEqual([['9007199254740993']]);
  });
});
