import { describe, expect, it } from 'vitest';
import { parseDuration } from '../../../src/cli/duration.js';

describe('parseDuration', () => {
  it.each([
    ['500ms', 500],
    ['5s', 5000],
    ['2m', 120_000],
    ['1h', 3_600_000],
    ['1.5', 1500],
    [' 3s ', 3000],
  ])('%s', (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  });

  it.each(['', '0', '-1', 'abc', '5 s', '1e9', 'NaN', '5d'])('refuses %j', (text) => {
    expect(() => parseDuration(text, '--wait')).toThrow(/^--wait takes a duration/);
  });

  it('refuses what no timer can hold', () => {
    expect(parseDuration('24h')).toBe(86_400_000);
    expect(() => parseDuration('99999h')).toThrow(/at most 24 days/);
  });
});
