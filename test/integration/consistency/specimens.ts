/** The type zoo: values at the limits of their types, each with the neighbour that a weak digest takes it for. */

export interface Specimen {
  readonly type: string;
  /** SQL expressions, cast to the type. */
  readonly value: string;
  readonly neighbour: string;
}

const quoted = (text: string): string => `'${text.replaceAll("'", "''")}'`;
const of = (type: string, ...pairs: readonly (readonly [string, string])[]): Specimen[] =>
  pairs.map(([value, neighbour]) => ({ type, value: quoted(value), neighbour: quoted(neighbour) }));

const nines = '9'.repeat(999);

/** The types that the specimens need, made in another order on every node: enums have other OIDs there. */
export const typesSql = (place: number): string => `
  ${Array.from({ length: place * 3 }, (_, index) => `create type filler_${String(index)} as enum ('a');`).join('\n')}
  create type mood as enum ('sad', 'ok', 'happy');
  create domain positive as int check (value > 0);
  create type pair as (a int, b text);
  create type span as range (subtype = float8);`;

export const SPECIMENS: readonly Specimen[] = [
  ...of('bool', ['true', 'false']),
  ...of('int2', ['-32768', '-32767'], ['32767', '32766']),
  ...of('int4', ['-2147483648', '-2147483647'], ['2147483647', '2147483646']),
  // The second pair hashes alike under hashint8extended.
  ...of(
    'int8',
    ['-9223372036854775808', '-9223372036854775807'],
    ['1', '4294967296'],
    ['9223372036854775807', '9223372036854775806'],
  ),
  ...of('oid', ['4294967295', '4294967294']),
  ...of(
    'numeric',
    ['1.0', '1.00'],
    ['0', '0.0'],
    ['NaN', 'Infinity'],
    ['Infinity', '-Infinity'],
    [`${nines}9`, `${nines}8`],
    [`0.${nines}9`, `0.${nines}8`],
  ),
  ...of('float4', ['0', '-0'], ['NaN', 'Infinity'], ['1.4e-45', '2.8e-45'], ['0.1', '0.10000001']),
  ...of(
    'float8',
    ['0', '-0'],
    ['NaN', 'Infinity'],
    ['4.9e-324', '1e-323'],
    ['0.30000000000000004', '0.3'],
    ['1.7976931348623157e308', 'Infinity'],
  ),
  // Another NaN than the one that 'NaN' is read as.
  { type: 'float8', value: `'Infinity'::float8 - 'Infinity'::float8`, neighbour: `'-Infinity'` },
  { type: 'float4', value: `'Infinity'::float4 - 'Infinity'::float4`, neighbour: `'-Infinity'` },
  ...of('money', ['-92233720368547758.08', '-92233720368547758.07'], ['1234.56', '1234.57']),
  ...of(
    'text',
    ['', ' '],
    ['\u00e9', 'e\u0301'],
    ['a', 'a '],
    ['a\nb', 'a\r\nb'],
    ['A', 'a'],
    ['NULL', 'null'],
  ),
  { type: 'text', value: `repeat('x', 1048576)`, neighbour: `repeat('x', 1048575) || 'y'` },
  ...of('varchar(20)', ['a', 'a ']),
  // Padding is no part of a bpchar's value: 'a' and 'a ' are one.
  ...of('char(5)', ['a', 'b']),
  ...of('name', ['a', 'b']),
  ...of('bytea', ['\\x', '\\x00'], ['\\x00ff', '\\x00fe']),
  ...of(
    'timestamp',
    ['4713-11-24 00:00:00 BC', '4713-11-24 00:00:00.000001 BC'],
    ['294276-12-31 23:59:59.999999', '294276-12-31 23:59:59.999998'],
    ['infinity', '-infinity'],
  ),
  ...of(
    'timestamptz',
    ['2026-03-29 01:00:00+00', '2026-03-29 01:00:00.000001+00'],
    ['infinity', '-infinity'],
  ),
  ...of(
    'date',
    ['4713-11-24 BC', '4713-11-25 BC'],
    ['5874897-12-31', '5874897-12-30'],
    ['infinity', '-infinity'],
  ),
  ...of('time', ['24:00:00', '00:00:00']),
  ...of('timetz', ['12:00:00+01', '11:00:00+00'], ['00:00:00+15:59', '00:00:00+15:58']),
  ...of('interval', ['1 mon', '30 days'], ['1 day', '24:00:00'], ['178000000 years', '177999999 years']),
  ...of(
    'json',
    ['{"b": 1, "a": 2}', '{"a": 2, "b": 1}'],
    ['{"a":1}', '{"a": 1}'],
    ['{"a":1,"a":2}', '{"a":2}'],
  ),
  ...of('jsonb', ['{"a": 1.0}', '{"a": 1.00}'], ['null', '"null"'], ['[1, 2]', '[2, 1]']),
  ...of('jsonpath', ['$.a', '$.b']),
  ...of('int4[]', ['{{1,2},{3,4}}', '{1,2,3,4}'], ['[0:1]={1,2}', '{1,2}'], ['{}', '{NULL}']),
  ...of('text[]', ['{NULL}', '{"NULL"}'], ['{"a,b"}', '{a,b}']),
  ...of('mood[]', ['{sad,ok}', '{ok,sad}']),
  ...of('mood', ['sad', 'ok']),
  ...of('positive', ['1', '2']),
  ...of('pair', ['(1,)', '(1,"")'], ['(1,"a,b")', '(1,"a,c")']),
  ...of('pair[]', ['{"(1,a)","(2,b)"}', '{"(2,b)","(1,a)"}']),
  ...of('int4range', ['[1,5)', '[1,6)'], ['empty', '(,)']),
  ...of('numrange', ['[1.0,2]', '[1.00,2]'], ['[1,2]', '[1,2)']),
  ...of('tstzrange', ['[2026-01-01 00:00:00+00,)', '[2026-01-01 00:00:00+00,infinity)']),
  ...of('span', ['[0,1)', '[-0,1)']),
  ...of('int4multirange', ['{[1,3),[5,7)}', '{[1,7)}']),
  ...of('inet', ['10.0.0.1/8', '10.0.0.1/9'], ['::1', '::2']),
  ...of('cidr', ['10.0.0.0/8', '10.0.0.0/9']),
  ...of('macaddr', ['08:00:2b:01:02:03', '08:00:2b:01:02:04']),
  ...of('macaddr8', ['08:00:2b:01:02:03:04:05', '08:00:2b:01:02:03:04:06']),
  ...of('bit(3)', ['101', '100']),
  ...of('varbit', ['101', '1010'], ['', '0']),
  ...of('uuid', ['00000000-0000-0000-0000-000000000000', '00000000-0000-0000-0000-000000000001']),
  ...of('tsvector', ['a:1', 'a:1B']),
  ...of('tsquery', ['a & b', 'a | b']),
  ...of('point', ['(0,0)', '(-0,0)']),
  ...of('line', ['{1,2,3}', '{1,2,4}']),
  ...of('lseg', ['[(0,0),(1,1)]', '[(1,1),(0,0)]']),
  ...of('box', ['(1,1),(0,0)', '(1,2),(0,0)']),
  ...of('path', ['[(0,0),(1,1)]', '((0,0),(1,1))']),
  ...of('polygon', ['((0,0),(1,1),(1,0))', '((1,1),(1,0),(0,0))']),
  ...of('circle', ['<(0,0),1>', '<(0,0),1.0000000000000002>']),
  ...of('pg_lsn', ['FFFFFFFF/FFFFFFFF', 'FFFFFFFF/FFFFFFFE']),
  ...of('regclass', ['pg_class', 'pg_type']),
  // A stream leaves the declaration out.
  ...of('xml', ['<a b="1"/>', '<a b="1"></a>'], ['<?xml version="1.0"?>\n<a/>', '<a>1</a>']),
];

/** Of extensions that are on every node. */
export const OF_EXTENSIONS: readonly (Specimen & { readonly extension: string })[] = [
  ...of('public.hstore', ['a=>1', 'a=>"1 "'], ['a=>NULL', 'a=>"NULL"']).map((one) => ({
    ...one,
    extension: 'hstore',
  })),
  ...of('public.citext', ['A', 'a']).map((one) => ({ ...one, extension: 'citext' })),
  ...of('public.ltree', ['a.b', 'a.B']).map((one) => ({ ...one, extension: 'ltree' })),
];
