/**
 * The messages of pgoutput, protocol version 1, as pg_logical_slot_peek_binary_changes returns them.
 *
 * Our own reader, not that of pg-logical-replication: that one turns values into JavaScript's through pg's global
 * type parsers (a timestamp loses its microseconds, json its spelling, a float its digits), makes an unchanged
 * TOAST value look like a missing one, and is not exported by its package. Here every value stays the server's
 * text, which is what is written down and sent back.
 */
import { type Lsn, numberToLsn } from './lsn.js';

/** Text as the server printed it, null, or the note that an update did not touch a value stored out of line. */
export type ColumnValue = string | null | { readonly unchanged: true };

export interface RelationColumn {
  readonly name: string;
  /** Part of the replica identity; with REPLICA IDENTITY FULL every column is. */
  readonly identity: boolean;
}

export interface Relation {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  /** d, n, f, i as pg_class.relreplident. */
  readonly replicaIdentity: string;
  readonly columns: readonly RelationColumn[];
}

/** Values in the order of the relation's columns. */
export type Tuple = readonly ColumnValue[];

export type PgoutputMessage =
  | { readonly kind: 'begin'; readonly commitLsn: Lsn; readonly at: string; readonly xid: number }
  | { readonly kind: 'commit'; readonly commitLsn: Lsn; readonly endLsn: Lsn; readonly at: string }
  | { readonly kind: 'origin'; readonly lsn: Lsn; readonly name: string }
  | { readonly kind: 'relation'; readonly relation: Relation }
  | { readonly kind: 'insert'; readonly oid: number; readonly row: Tuple }
  /** `key`: the old identity, sent when it changed. `old`: the whole old row, with REPLICA IDENTITY FULL. */
  | {
      readonly kind: 'update';
      readonly oid: number;
      readonly key: Tuple | null;
      readonly old: Tuple | null;
      readonly row: Tuple;
    }
  | { readonly kind: 'delete'; readonly oid: number; readonly key: Tuple | null; readonly old: Tuple | null }
  | {
      readonly kind: 'truncate';
      readonly oids: readonly number[];
      readonly cascade: boolean;
      readonly restartIdentity: boolean;
    }
  | { readonly kind: 'message'; readonly prefix: string; readonly content: string }
  | { readonly kind: 'type' };

const UNCHANGED: ColumnValue = { unchanged: true };

/** 2000-01-01 in Unix time, microseconds: where PostgreSQL counts from. */
const POSTGRES_EPOCH_US = 946_684_800_000_000n;

/** RFC 3339 in UTC with microseconds. */
function timeOf(microseconds: bigint): string {
  const unix = microseconds + POSTGRES_EPOCH_US;
  const fraction = ((unix % 1_000_000n) + 1_000_000n) % 1_000_000n;
  const second = new Date(Number((unix - fraction) / 1000n)).toISOString().slice(0, 19);
  return `${second}.${fraction.toString().padStart(6, '0')}Z`;
}

/** Reads one message. Throws RangeError for what is no message of protocol version 1. */
export function readMessage(data: Buffer): PgoutputMessage {
  const reader = readerOf(data);
  const tag = String.fromCharCode(reader.byte());
  switch (tag) {
    case 'B':
      return { kind: 'begin', commitLsn: reader.lsn(), at: reader.time(), xid: reader.uint32() };
    case 'C':
      reader.byte();
      return { kind: 'commit', commitLsn: reader.lsn(), endLsn: reader.lsn(), at: reader.time() };
    case 'O':
      return { kind: 'origin', lsn: reader.lsn(), name: reader.text() };
    case 'R':
      return { kind: 'relation', relation: relationOf(reader) };
    case 'I': {
      const oid = reader.uint32();
      reader.byte();
      return { kind: 'insert', oid, row: reader.tuple() };
    }
    case 'U': {
      const oid = reader.uint32();
      const { key, old, next } = oldOf(reader, reader.byte());
      if (next === undefined) reader.byte();
      return { kind: 'update', oid, key, old, row: reader.tuple() };
    }
    case 'D': {
      const oid = reader.uint32();
      const { key, old } = oldOf(reader, reader.byte());
      return { kind: 'delete', oid, key, old };
    }
    case 'T': {
      const count = reader.uint32();
      const flags = reader.byte();
      const oids = Array.from({ length: count }, () => reader.uint32());
      return { kind: 'truncate', oids, cascade: (flags & 1) !== 0, restartIdentity: (flags & 2) !== 0 };
    }
    case 'M': {
      reader.byte();
      reader.lsn();
      const prefix = reader.text();
      return { kind: 'message', prefix, content: reader.bytes(reader.uint32()).toString('utf8') };
    }
    case 'Y':
      return { kind: 'type' };
    default:
      throw new RangeError(`no pgoutput message begins with ${JSON.stringify(tag)}`);
  }
}

type Reader = ReturnType<typeof readerOf>;

function readerOf(data: Buffer) {
  let at = 0;
  const step = (bytes: number): number => {
    if (at + bytes > data.length) throw new RangeError('a pgoutput message ends too early');
    at += bytes;
    return at - bytes;
  };
  const byte = () => data.readUInt8(step(1));
  const uint16 = () => data.readUInt16BE(step(2));
  const uint32 = () => data.readUInt32BE(step(4));
  const bytes = (length: number) => {
    const start = step(length);
    return data.subarray(start, start + length);
  };
  const value = (): ColumnValue => {
    const kind = String.fromCharCode(byte());
    if (kind === 'n') return null;
    if (kind === 'u') return UNCHANGED;
    if (kind === 't') return bytes(uint32()).toString('utf8');
    throw new RangeError(`no column value begins with ${JSON.stringify(kind)}`);
  };
  return {
    byte,
    uint16,
    uint32,
    bytes,
    lsn: () => numberToLsn(data.readBigUInt64BE(step(8))),
    time: () => timeOf(data.readBigInt64BE(step(8))),
    text: () => {
      const end = data.indexOf(0, at);
      if (end < 0) throw new RangeError('a text in a pgoutput message has no end');
      const text = data.toString('utf8', at, end);
      at = end + 1;
      return text;
    },
    tuple: (): Tuple => Array.from({ length: uint16() }, value),
  };
}

function relationOf(reader: Reader): Relation {
  const oid = reader.uint32();
  // The empty text stands for pg_catalog, which no publication holds.
  const schema = reader.text();
  const name = reader.text();
  const replicaIdentity = String.fromCharCode(reader.byte());
  const columns = Array.from({ length: reader.uint16() }, () => {
    const identity = (reader.byte() & 1) !== 0;
    const column = { name: reader.text(), identity };
    reader.bytes(8);
    return column;
  });
  return { oid, schema, name, replicaIdentity, columns };
}

/** K: the old key, O: the whole old row; N: neither, the new row follows. */
function oldOf(reader: Reader, tag: number): { key: Tuple | null; old: Tuple | null; next?: 'N' } {
  if (tag === 0x4b) return { key: reader.tuple(), old: null };
  if (tag === 0x4f) return { key: null, old: reader.tuple() };
  return { key: null, old: null, next: 'N' };
}
