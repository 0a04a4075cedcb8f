import { describe, expect, it } from 'vitest';
import {
  canonical,
  digestColumns,
  formOf,
  fromTable,
  rowHash,
  tableDigestSql,
  where,
} from '../../../src/consistency/digest.js';
import { column, shape } from './shapes.js';

describe('canonical column expressions', () => {
  it.each([
    ['int2', 't."c"::int4'],
    ['int4', 't."c"::int4'],
    ['int8', 'int8send(t."c"::int8)'],
    ['numeric', 'numeric_send(t."c")'],
    ['float8', `float8send(case when t."c" = 'NaN' then 'NaN' else t."c" end)`],
    ['xml', `ltrim(textin(xml_out(t."c")), E'\\n') collate "C"`],
    ['timestamptz', 'timestamptz_send(t."c")'],
    ['bytea', 't."c"'],
    ['text', '(t."c"::text) collate "C"'],
    ['bpchar', '(t."c"::text) collate "C"'],
    ['json', '(t."c"::text) collate "C"'],
    ['jsonb', 'jsonb_send(t."c")'],
    // array_send and record_send carry type OIDs, which differ from server to server.
    ['_int4', '(t."c"::text) collate "C"'],
    // A cast to text may be its owner's, and say less than there is.
    ['public.mood', 'textin(enum_out(t."c")) collate "C"', 'textin(enum_out(%s))'],
    // A cast takes the blanks away.
    ['bpchar', 'textin(bpcharout(t."c")) collate "C"', 'textin(bpcharout(%s))'],
    [
      'public.mood',
      'textin(enum_out((t."c")::public.mood)) collate "C"',
      'textin(enum_out((%s)::public.mood))',
    ],
  ])('%s', (base, sql, output: string | null = null) => {
    expect(canonical({ name: 'c', form: formOf({ base, output }) })).toBe(sql);
  });

  it('quotes names', () => {
    expect(canonical({ name: 'a"b', form: 'raw' })).toBe('t."a""b"');
  });

  it('uses no typed hash that calls different values the same', () => {
    expect(rowHash([{ name: 'id', form: 'int8' }])).toBe(
      'hash_record_extended(row(int8send(hash_record_extended(row(int8send(t."id"::int8)), 0))), 0)',
    );
  });
});

describe('columns of a digest', () => {
  it('are the published ones, by name', () => {
    const leader = shape([
      column('id', 'int8'),
      column('b', 'text', { published: false }),
      column('a', 'text'),
    ]);
    expect(digestColumns(leader).map(({ name }) => name)).toEqual(['a', 'id']);
  });

  it('go as int8 or as text on every node where one node has another kind of type', () => {
    const leader = shape([column('f', 'float4'), column('n', 'int4'), column('price', 'numeric')]);
    const wider = shape([column('f', 'float8'), column('n', 'int8'), column('price', 'int4')]);
    expect(digestColumns(leader, [wider])).toEqual([
      { name: 'f', form: 'float' },
      { name: 'n', form: 'int8' },
      { name: 'price', form: 'text' },
    ]);
  });
});

describe('whole tables', () => {
  const table = shape([column('id', 'int8')]);

  it('with a key: count and xor', () => {
    expect(tableDigestSql(table, digestColumns(table))).toBe(
      'select count(*)::text as rows, coalesce(bit_xor(hash_record_extended(row(int8send(' +
        'hash_record_extended(row(int8send(t."id"::int8)), 0))), 0)), 0)::text as digest from only "public"."items" t',
    );
  });

  it('without a key: the sum, since xor cancels a row that is there twice', () => {
    const sql = tableDigestSql(shape([column('id', 'int8')], { key: [] }), digestColumns(table));
    expect(sql).toContain('sum(');
    expect(sql).not.toContain('bit_xor');
  });

  it('reads the partitions of a partitioned table, but not the heirs of an ordinary one', () => {
    expect(fromTable(table)).toBe('from only "public"."items" t');
    expect(fromTable(shape([], { kind: 'p' }))).toBe('from "public"."items" t');
  });

  it('applies the row filter', () => {
    expect(tableDigestSql(table, digestColumns(table), { filter: 'id > 3' })).toMatch(/ t where \(id > 3\)$/);
    expect(where('a', null, 'b')).toBe(' where (a) and (b)');
  });
});
