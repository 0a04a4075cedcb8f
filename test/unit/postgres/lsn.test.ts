import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compareLsn, lsnDistance, lsnToNumber, numberToLsn } from '../../../src/postgres/lsn.js';

describe('lsn', () => {
  it('reads what PostgreSQL 18 and 19 print', () => {
    expect(lsnToNumber('0/5A3F210')).toBe(0x5a3f210n);
    expect(lsnToNumber('00000001/05A3F210')).toBe(0x1_05a3f210n);
    expect(lsnDistance('0/10', '1/0')).toBe(0xffff_fff0);
  });

  it('compares as numbers, not as text', () => {
    expect(compareLsn('0/9', '0/10')).toBeLessThan(0);
    expect(compareLsn('A/0', '0000000A/00000000')).toBe(0);
  });

  it('refuses what is no LSN', () => {
    for (const text of ['', '0', '0/', 'x/0', '0/123456789', '-0/1'])
      expect(() => lsnToNumber(text)).toThrow(RangeError);
  });

  it('round-trips', () => {
    fc.assert(
      fc.property(fc.bigInt(0n, (1n << 64n) - 1n), (value) => lsnToNumber(numberToLsn(value)) === value),
    );
  });
});
