import { describe, expect, it } from 'vitest';
import {
  cursorOf,
  listStatement,
  parseCursor,
  parseFilter,
  parseLimit,
  parseSort,
} from '../../../src/products/list.js';
import type { ProductTable } from '../../../src/products/table.js';
import { column, products } from './table.js';

describe('parseFilter', () => {
  it.each([
    ['price>=10', 'price', '>=', '10'],
    ['name~mug = x', 'name', '~', 'mug = x'],
    ['sku=', 'sku', '=', ''],
    [`sku!='; drop table products`, 'sku', '!=', `'; drop table products`],
    ['description is null', 'description', 'is null', ''],
    ['description IS NOT NULL', 'description', 'is not null', ''],
  ])('%s', (text, name, operator, value) => {
    expect(parseFilter(products, text)).toMatchObject({ column: { name }, operator, value });
  });

  it('knows columns whose names hold operators and spaces', () => {
    const odd: ProductTable = {
      ...products,
      columns: [column('a', 'text', 'text'), column('a>b c', 'text', 'text')],
    };
    expect(parseFilter(odd, 'a>b c=1')).toMatchObject({
      column: { name: 'a>b c' },
      operator: '=',
      value: '1',
    });
    expect(parseFilter(odd, 'a>b')).toMatchObject({ column: { name: 'a' }, operator: '>', value: 'b' });
  });

  it.each(['nope=1', 'price', 'price>=abc', '', 'name'])('refuses %j', (text) => {
    expect(() => parseFilter(products, text)).toThrow(expect.objectContaining({ exit: 2 }) as Error);
  });
});

describe('parseLimit', () => {
  it.each(['-1', 'abc', '0', '1.5', '', '1e3', '1000001'])('refuses %j', (text) => {
    expect(() => parseLimit(text)).toThrow(/--limit/);
  });
});

describe('listStatement', () => {
  it('orders bytewise, ends with the key, and holds no value', () => {
    const sort = parseSort(products, ['-price']);
    const { sql, params } = listStatement(products, {
      filters: [parseFilter(products, `name~50%_'`)],
      sort,
      columns: [products.key],
      limit: 2,
      after: ['9.99', 'B'],
    });
    expect(sql).toBe(`select "sku" as "sku", array["price"::text, "sku"::text] as "repctl.sort"
from "public"."products"
where "name"::text ilike $1::text
  and ("price" < $2::numeric or "price" = $2::numeric and "sku" collate "C" > $3::text)
order by "price" desc nulls last, "sku" collate "C" asc nulls last
limit 3`);
    expect(params).toEqual([String.raw`%50\%\_'%`, '9.99', 'B']);
  });

  it('goes on after nulls, which come last', () => {
    const sort = parseSort(products, ['description']);
    const request = { filters: [], sort, columns: [products.key], limit: 1, after: [null, 'B'] };
    expect(listStatement(products, request).sql).toContain(
      `(false or "description" is null and "sku" collate "C" > $1::text)`,
    );
  });

  it('cursors come back as they were, for the same order only', () => {
    const sort = parseSort(products, ['-price']);
    const word = cursorOf(products, sort, ['9.99', 'B']);
    expect(parseCursor(products, sort, word)).toEqual(['9.99', 'B']);
    expect(() => parseCursor(products, parseSort(products, ['price']), word)).toThrow(/--after/);
    expect(cursorOf(products, parseSort(products, []), ['B'])).toBe('B');
  });
});
