import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type OriginMessage, lsnOfHex, mapPoint, mappingObstacle } from '../../../src/replication/mapping.js';
import { lsnToNumber, numberToLsn } from '../../../src/postgres/lsn.js';

const O = (lsn: string, origin = 'pg_1'): OriginMessage => ({ kind: 'O', lsn, origin });
const C = (lsn: string): OriginMessage => ({ kind: 'C', lsn });
const E: OriginMessage = { kind: 'E' };
const replicated = (at: string, end: string, origin?: string) => [O(at, origin), C(end)];

describe('mapPoint', () => {
  const stream = [
    ...replicated('0/100', '0/1'),
    ...replicated('0/200', '0/2'),
    ...replicated('0/300', '0/3'),
  ];

  it.each([
    ['before all', '0/99', null, 3],
    ['exactly at one', '0/200', '0/2', 1],
    ['between two: an empty transaction moved the sibling on', '0/250', '0/2', 1],
    ['past all', '0/900', '0/3', 0],
    ['compared as numbers: 19 pads', '0/00000200', '0/2', 1],
  ])('%s', (_, applied, mapped, missing) => {
    expect(mapPoint(stream, applied)).toMatchObject({ mapped, missing, foreign: 0, transactions: 3 });
  });

  it('an empty slot', () => {
    expect(mapPoint([], '0/100')).toEqual({
      mapped: null,
      mappedOrigin: null,
      missing: 0,
      foreign: 0,
      foreignAhead: 0,
      transactions: 0,
      lastOrigin: null,
    });
  });

  it('says what the slot is then based on', () => {
    expect(mapPoint(stream, '0/250')).toMatchObject({ mappedOrigin: '0/200', lastOrigin: '0/300' });
  });

  it('counts local transactions before the promotion as foreign, those after it not', () => {
    const messages = [
      ...replicated('0/100', '0/1'),
      C('0/2'),
      ...replicated('0/200', '0/3'),
      C('0/4'),
      E,
      C('0/5'),
      C('0/6'),
      C('0/7'),
    ];
    expect(mapPoint(messages, '0/100')).toMatchObject({
      mapped: '0/1',
      missing: 1,
      foreign: 2,
      foreignAhead: 2,
    });
    expect(mapPoint(messages, '0/200')).toMatchObject({ mapped: '0/3', foreign: 2, foreignAhead: 1 });
  });

  it('a replicated epoch row is no promotion of this node', () => {
    expect(mapPoint([O('0/100'), E, C('0/1'), C('0/2')], '0/100')).toMatchObject({ foreign: 1 });
  });

  it("another origin's LSNs are of another WAL", () => {
    const messages = [...replicated('9/0', '0/1', 'pg_7'), ...replicated('0/100', '0/2', 'pg_1')];
    expect(mapPoint(messages, '0/100', 'pg_1')).toMatchObject({ mapped: '0/2', foreign: 1, missing: 0 });
    expect(mapPoint(messages, '0/50', 'pg_1')).toMatchObject({ mapped: null, foreign: 1, missing: 1 });
  });

  it('loses nothing and doubles nothing, whatever the position', () => {
    fc.assert(
      fc.property(
        fc.array(fc.bigInt({ min: 1n, max: 1000n }), { maxLength: 30 }),
        fc.bigInt({ min: 0n, max: 31_000n }),
        (gaps, applied) => {
          let at = 0n;
          const origins = gaps.map((gap) => (at += gap));
          const messages = origins.flatMap((origin, i) =>
            replicated(numberToLsn(origin), numberToLsn(BigInt(i + 1))),
          );
          const { mapped, missing } = mapPoint(messages, numberToLsn(applied));
          const kept = mapped === null ? origins : origins.slice(Number(lsnToNumber(mapped)));
          expect(kept).toEqual(origins.filter((origin) => origin > applied));
          expect(missing).toBe(kept.length);
        },
      ),
    );
  });
});

describe('mappingObstacle', () => {
  it.each([
    ['no row', '0/10', 1, undefined, 'no-base'],
    ['row of another epoch', '0/10', 2, { epoch: 1, baseLsn: '0/5' }, 'other-epoch'],
    ['behind', '0/4', 1, { epoch: 1, baseLsn: '0/5' }, 'behind-base'],
    ['at', '0/5', 1, { epoch: 1, baseLsn: '0/5' }, null],
  ])('%s', (_, applied, epoch, base, expected) => {
    expect(mappingObstacle({ applied, epoch, base })).toBe(expected);
  });
});

it('reads positions of the wire', () => {
  expect(lsnOfHex('00000000015a3f210'.slice(1))).toBe('0/15A3F210');
  expect(lsnOfHex('0000002a00000000')).toBe('2A/0');
});
