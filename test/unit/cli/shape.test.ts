import { describe, expect, it } from 'vitest';
import { mergeShapes, mismatches, shapeOf, shapesIn } from '../../support/shape.js';

describe('shapeOf', () => {
  it('names types and merges the elements of lists', () => {
    expect(
      shapeOf({ a: [{ x: 1, y: '0/1BBC108' }, { x: null }], t: '2026-11-23T10:00:00.5Z', e: [] }),
    ).toEqual({ a: [{ x: 'null | number', 'y?': 'lsn' }], t: 'time', e: [] });
    expect(mergeShapes({ a: 'number' }, { 'a?': 'string' })).toEqual({ 'a?': 'number | string' });
  });
});

describe('mismatches', () => {
  it.each<[unknown, Parameters<typeof mismatches>[1], string[]]>([
    [{ a: 1 }, { a: 'number' }, []],
    [{ a: '0/1' }, { a: 'lsn | null' }, []],
    [{ a: 'x' }, { a: 'lsn | null' }, ['$.a: is string, not lsn | null']],
    [{ a: 1, b: 2 }, { a: 'number' }, ['$.b: is not in docs/json.md']],
    [{}, { a: 'number', 'b?': 'number' }, ['$.a: is missing']],
    [{ a: [1, 'x'] }, { a: ['number'] }, ['$.a[1]: is string, not number']],
    [{ a: null }, { a: { b: 'number' } }, ['$.a: is null, not an object']],
    [{ a: { b: 1 } }, { a: 'number' }, ['$.a: is an object, not number']],
    [{ a: null }, { 'a | null': { b: 'number' }, 'c? | null': { d: 'any' } }, []],
    [{ a: 1 }, { 'a | null': { b: 'number' } }, ['$.a: is a number, not an object']],
    [{ x: 1, y: 'z' }, { '*': 'number' }, ['$.y: is string, not number']],
  ])('%j against %j', (value, shape, expected) => {
    expect(mismatches(value, shape)).toEqual(expected);
  });
});

describe('shapesIn', () => {
  it('reads the blocks below headings, and never one of the next heading', () => {
    const text =
      '## A\n\n### `one, two x`\n\nwords\n\n```json\n{ "a": "number" }\n```\n\n### `three`\n\n### `four`\n\n```json\n["any"]\n```\n';
    expect([...shapesIn(text)]).toEqual([
      ['one', { a: 'number' }],
      ['two x', { a: 'number' }],
      ['four', ['any']],
    ]);
  });
});
