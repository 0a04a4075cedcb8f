import { expect, it } from 'vitest';
import { fineRows } from '../../../src/consistency/compare/ranges.js';

it.each([
  ['nothing known yet', 0, 0, 20],
  ['nothing differs', 1_000_000, 0, 50],
  ['few rows', 1_000_000, 100, 50],
  ['one of a hundred', 1_000_000, 10_000, 10],
  ['every other part', 1_000_000, 100_000, 4],
])('parts of a block: %s', (_, rows, parts, expected) => {
  expect(fineRows({ rows, parts })).toBe(expected);
});
