import { describe, expect, it } from 'vitest';
import { type RawRecord, readRecords } from '../../../src/products/records.js';
import { type Row, rowReader } from '../../../src/products/rows.js';
import { products } from './table.js';

async function* chunks(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield await Promise.resolve(bytes.subarray(at, at + size));
}

async function parse(input: string | Uint8Array, size = 1 << 16, max = 1000): Promise<RawRecord[]> {
  const bytes = typeof input === 'string' ? new TextEncoder().encode(input) : input;
  const all: RawRecord[] = [];
  for await (const batch of readRecords(chunks(bytes, size), 'csv', max)) all.push(...batch);
  return all;
}

const fields = (records: RawRecord[]): unknown[] =>
  records.map((record) => ('fields' in record ? record.fields : record));

describe('readRecords', () => {
  const cases: [string, string, unknown[]][] = [
    [
      'plain',
      'a,b\n1,2\n',
      [
        ['a', 'b'],
        ['1', '2'],
      ],
    ],
    [
      'no newline at the end',
      'a,b\n1,2',
      [
        ['a', 'b'],
        ['1', '2'],
      ],
    ],
    ['a byte order mark', '\uFEFFa,b\n', [['a', 'b']]],
    [
      'CRLF',
      'a,b\r\n1,"2"\r\n',
      [
        ['a', 'b'],
        ['1', '2'],
      ],
    ],
    [
      'quotes across lines',
      '"a\nb","c""d",e\nx,y,z\n',
      [
        ['a\nb', 'c"d', 'e'],
        ['x', 'y', 'z'],
      ],
    ],
    ['null and empty', ',"",x\n', [[null, '', 'x']]],
    ['blank lines', '\na\n\r\n\nb\n', [['a'], ['b']]],
    ['unicode', 'ü,日本,🍵\n', [['ü', '日本', '🍵']]],
    ['an open quote', 'a\n"b\n', [['a'], { line: 2, problem: 'a quote is not closed' }]],
    [
      'a quote inside, then a good line',
      'a"b,c\nd\n',
      [{ line: 1, problem: 'a quote stands inside a field that does not begin with one' }, ['d']],
    ],
    ['text after a quote', '"a"b\nc\n', [{ line: 1, problem: 'text follows a closing quote' }, ['c']]],
  ];
  it.each(cases)('%s, however the bytes are cut', async (_, input, expected) => {
    for (const size of [1, 2, 3, 7, 1000]) expect(fields(await parse(input, size))).toEqual(expected);
  });

  it('counts lines through quoted newlines', async () => {
    expect((await parse('"a\nb"\nc\n\nd\n')).map((record) => record.line)).toEqual([1, 3, 5]);
  });

  it('gives up a record that is too long and goes on after it', async () => {
    for (const size of [10, 5000]) {
      const records = await parse(`a\n${'x'.repeat(3000)}\nb\n`, size);
      expect(fields(records)).toEqual([
        ['a'],
        { line: 2, problem: expect.stringContaining('longer than') as unknown },
        ['b'],
      ]);
    }
  });

  it.each([
    ['latin1', Uint8Array.from([0x61, 0xfc, 0x0a])],
    ['UTF-16', Uint8Array.from([0xff, 0xfe, 0x61, 0x00])],
    ['cut in the middle of a character', Uint8Array.from([0x61, 0xc3])],
  ])('refuses %s', async (_, bytes) => {
    await expect(parse(bytes)).rejects.toMatchObject({ code: 'encoding-invalid', exit: 2 });
  });

  it('an empty input has no records', async () => {
    expect(await parse('')).toEqual([]);
  });
});

describe('rowReader', () => {
  const csv = (header: string[], ...row: (string | null)[]): Row =>
    rowReader(products, 'csv', { line: 1, fields: header }).read({ line: 2, fields: row });
  const json = (first: string, text = first): Row =>
    rowReader(products, 'ndjson', { line: 1, text: first }).read({ line: 2, text });

  it('leaves to the server what it keeps', () => {
    const reader = rowReader(products, 'csv', { line: 1, fields: ['id', 'sku', 'version', 'name', 'price'] });
    expect(reader.ignored).toEqual(['id', 'version']);
    expect(reader.read({ line: 2, fields: ['7', 'A', '3', 'a', '1'] })).toEqual({
      line: 2,
      values: ['A', 'a', '1'],
    });
  });

  it.each([
    ['ragged', csv(['sku', 'name'], 'A'), 'it has 1 fields, the header has 2'],
    ['no sku', csv(['sku', 'name'], null, 'a'), 'sku is empty'],
    ['no name', csv(['sku', 'name'], 'A', null), 'name is empty'],
    ['bad JSON', json('{"sku":"A","price":1}', '{'), 'it is no valid JSON'],
    ['no object', json('{"sku":"A"}', '[1]'), 'it is no JSON object'],
    [
      'a missing key',
      json('{"sku":"A","price":1}', '{"sku":"A"}'),
      'price is missing; the first line has it',
    ],
    [
      'an extra key',
      json('{"sku":"A"}', '{"sku":"A","name":"b"}'),
      'name is not among the keys of the first line',
    ],
    [
      '1e400',
      json('{"sku":"A","price":1e400}'),
      'price is a number that JSON cannot carry exactly; write it as a string',
    ],
  ])('%s', (_, row, problem) => {
    expect(row).toEqual({ line: 2, problem });
  });

  it.each([
    [['A-1', 'Mug', '9.99'], 'unknown-column'],
    [['sku;name;price'], 'unknown-column'],
    [['name', 'price'], 'import-invalid'],
    [['sku', 'sku'], 'import-invalid'],
  ])('refuses the header %j', (header, code) => {
    expect(() => rowReader(products, 'csv', { line: 1, fields: header })).toThrow(
      expect.objectContaining({ code, exit: 2 }) as Error,
    );
  });
});
