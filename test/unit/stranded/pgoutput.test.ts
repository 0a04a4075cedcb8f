import { describe, expect, it } from 'vitest';
import { readMessage } from '../../../src/postgres/pgoutput.js';
import { changeReader } from '../../../src/replication/stranded/decode.js';

const u8 = (n: number) => Buffer.from([n]);
const u16 = (n: number) => {
  const b = Buffer.alloc(2);
  b.writeUInt16BE(n);
  return b;
};
const u32 = (n: number) => {
  const b = Buffer.alloc(4);
  b.writeUInt32BE(n);
  return b;
};
const u64 = (n: bigint) => {
  const b = Buffer.alloc(8);
  b.writeBigUInt64BE(n);
  return b;
};
const tag = (letter: string) => Buffer.from(letter);
const cstring = (text: string) => Buffer.concat([Buffer.from(text), u8(0)]);
const tuple = (...values: (string | null | undefined)[]) =>
  Buffer.concat([
    u16(values.length),
    ...values.map((value) =>
      value === undefined
        ? tag('u')
        : value === null
          ? tag('n')
          : Buffer.concat([tag('t'), u32(Buffer.byteLength(value)), Buffer.from(value)]),
    ),
  ]);
const message = (...parts: Buffer[]) => readMessage(Buffer.concat(parts));

const relation = (identity: string, flags: number[], oid = 7) =>
  message(
    tag('R'),
    u32(oid),
    cstring('public'),
    cstring('t'),
    tag(identity),
    u16(flags.length),
    ...flags.map((flag, i) => Buffer.concat([u8(flag), cstring(`c${String(i)}`), u32(25), u32(0xffffffff)])),
  );
const begin = (lsn: bigint) => message(tag('B'), u64(lsn), u64(1_000_001n), u32(42));

describe('messages of pgoutput', () => {
  it('reads begin and commit: positions, and times with microseconds', () => {
    expect(begin(0x1_0000_00ffn)).toEqual({
      kind: 'begin',
      commitLsn: '1/FF',
      at: '2000-01-01T00:00:01.000001Z',
      xid: 42,
    });
    expect(message(tag('C'), u8(0), u64(1n), u64(2n), u64(0xffff_ffff_ffff_ffffn))).toMatchObject({
      endLsn: '0/2',
      at: '1999-12-31T23:59:59.999999Z',
    });
  });

  it('tells null, empty and unchanged values apart', () => {
    expect(message(tag('I'), u32(7), tag('N'), tuple('ü', '', null, undefined))).toEqual({
      kind: 'insert',
      oid: 7,
      row: ['ü', '', null, { unchanged: true }],
    });
  });

  it('reads TRUNCATE and logical messages', () => {
    expect(message(tag('T'), u32(2), u8(3), u32(7), u32(8))).toEqual({
      kind: 'truncate',
      oids: [7, 8],
      cascade: true,
      restartIdentity: true,
    });
    expect(message(tag('M'), u8(1), u64(5n), cstring('repctl'), u32(2), Buffer.from('ok'))).toMatchObject({
      prefix: 'repctl',
      content: 'ok',
    });
  });

  it('refuses what is cut off or unknown', () => {
    expect(() => message(tag('I'), u32(7), tag('N'), u16(1), tag('t'), u32(9), Buffer.from('x'))).toThrow(
      RangeError,
    );
    expect(() => message(tag('?'))).toThrow(RangeError);
  });
});

describe('changes', () => {
  const reader = (identity: string, flags: number[], from?: string) => {
    const changes = changeReader(() => ['c0'], from);
    changes.next(relation(identity, flags));
    return changes;
  };

  it('take the replica identity as key, and the primary key where that is the whole row', () => {
    const byIndex = reader('i', [0, 1]);
    byIndex.next(begin(9n));
    const [insert] = byIndex.next(message(tag('I'), u32(7), tag('N'), tuple('1', 'a')));
    expect(insert?.change.key).toEqual({ c1: 'a' });
    const full = reader('f', [1, 1]);
    full.next(begin(9n));
    const [update] = full.next(
      message(tag('U'), u32(7), tag('O'), tuple('1', 'long'), tag('N'), tuple('1', undefined)),
    );
    expect(update?.change).toEqual({
      schema: 'public',
      table: 't',
      op: 'update',
      key: { c0: '1' },
      row: { c0: '1', c1: 'long' },
      old: { c0: '1', c1: 'long' },
    });
  });

  it('of partitions are those of the published table, a TRUNCATE of all of them is one', () => {
    const root = { schema: 'public', name: 'whole' };
    const changes = changeReader(() => ['c0'], undefined, new Map([7, 8].map((oid) => [oid, root])));
    changes.next(relation('d', [1, 0]));
    changes.next(begin(9n));
    const [insert] = changes.next(message(tag('I'), u32(7), tag('N'), tuple('1', 'a')));
    expect(insert?.change).toMatchObject({ schema: 'public', table: 'whole', key: { c0: '1' } });
    changes.next(relation('d', [1, 0], 8));
    const truncates = changes.next(message(tag('T'), u32(2), u8(0), u32(7), u32(8)));
    expect(truncates.map(({ change }) => [change.table, change.op])).toEqual([['whole', 'truncate']]);
  });

  it('name the old key only when it changed', () => {
    const changes = reader('d', [1, 0]);
    changes.next(begin(9n));
    const [moved] = changes.next(
      message(tag('U'), u32(7), tag('K'), tuple('1', null), tag('N'), tuple('2', 'x')),
    );
    expect(moved?.change).toMatchObject({ key: { c0: '2' }, oldKey: { c0: '1' } });
    const [same] = changes.next(message(tag('U'), u32(7), tag('N'), tuple('2', undefined)));
    expect(same?.change).toMatchObject({ key: { c0: '2' }, row: { c0: '2' }, unchanged: ['c1'] });
    expect(same?.change).not.toHaveProperty('oldKey');
  });

  it('leave out what commits before the position, and what repctl itself set right', () => {
    const changes = reader('d', [1], '0/20');
    const insert = message(tag('I'), u32(7), tag('N'), tuple('1'));
    changes.next(begin(0x1fn));
    expect(changes.next(insert)).toEqual([]);
    changes.next(begin(0x20n));
    expect(changes.next(insert)).toHaveLength(1);
    changes.next(begin(0x30n));
    changes.next({ kind: 'message', prefix: 'repctl', content: 'rejoin' });
    expect(changes.next(insert)).toEqual([]);
    changes.next(begin(0x40n));
    changes.next({ kind: 'message', prefix: 'repctl', content: 'flush' });
    changes.next({ kind: 'origin', lsn: '0/1', name: 'pg_1' });
    expect(changes.next(insert)).toMatchObject([{ origin: 'pg_1', transaction: { lsn: '0/40' } }]);
  });
});
