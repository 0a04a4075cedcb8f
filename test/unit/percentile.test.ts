import { describe, expect, it } from 'vitest';
import { percentile } from '../../src/percentile.js';

describe('percentile', () => {
  const hundred = Array.from({ length: 100 }, (_, index) => index + 1);
  it.each([
    [[], 0.5, null],
    [[7], 0, 7],
    [[7], 0.95, 7],
    [[1, 2], 0.5, 1],
    [[1, 2, 3], 0.5, 2],
    [hundred, 0.99, 99],
    [hundred, 1, 100],
    [hundred, 0.991, 100],
  ])('is the nearest rank: %#', (ascending, share, wanted) => {
    expect(percentile(ascending, share)).toBe(wanted);
  });
});
