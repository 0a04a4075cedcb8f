import { describe, expect, it } from 'vitest';
import { conninfoPair, ident, literal } from '../../../src/postgres/quote.js';

describe('quote', () => {
  it.each([
    ['products', '"products"'],
    ['Weird "name".x', '"Weird ""name"".x"'],
    ['ação', '"ação"'],
  ])('identifier %s', (name, quoted) => {
    expect(ident(name)).toBe(quoted);
  });

  it.each([
    ["it's", "'it''s'"],
    ['back\\slash', "E'back\\\\slash'"],
  ])('literal %s', (text, quoted) => {
    expect(literal(text)).toBe(quoted);
  });

  it('connection strings', () => {
    expect(conninfoPair('password', `a b'c\\d`)).toBe(`password='a b\\'c\\\\d'`);
  });

  it('refuses NUL', () => {
    expect(() => ident('a\0b')).toThrow(RangeError);
    expect(() => literal('a\0b')).toThrow(RangeError);
  });
});
