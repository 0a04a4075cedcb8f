/** What a former leader committed and nobody else got, as data. */
import type { Lsn } from '../../postgres/lsn.js';

/** Column name → the server's text, or null. */
export type Values = Readonly<Record<string, string | null>>;

/** One row's change in a decoded transaction, or one table's TRUNCATE. */
export interface RowChange {
  readonly schema: string;
  readonly table: string;
  readonly op: 'insert' | 'update' | 'delete' | 'truncate';
  /** The row's replica identity after the change (for a delete: before it); empty for a TRUNCATE. */
  readonly key: Values;
  /** The identity before an update that changed it. */
  readonly oldKey?: Values;
  /** The row after an insert or update; unchanged TOAST values are not in it, see `unchanged`. */
  readonly row?: Values;
  /** The whole row before it, with REPLICA IDENTITY FULL. */
  readonly old?: Values;
  /** Columns that an update did not touch and whose value is therefore not in the WAL (TOAST). */
  readonly unchanged?: readonly string[];
  readonly cascade?: boolean;
  readonly restartIdentity?: boolean;
}

/** The transaction that a change belongs to. */
export interface TransactionHead {
  readonly xid: number;
  /** Position of its commit record. */
  readonly lsn: Lsn;
  /** Commit time, RFC 3339 UTC with microseconds. */
  readonly at: string;
}

/** First line of a stranded file. */
export interface StrandedHeader {
  readonly repctl: 'stranded';
  readonly version: 1;
  readonly cluster: string;
  /** The former leader, and the epoch in which it led. */
  readonly node: string;
  readonly epoch: number;
  /** Who took over, in which epoch, and up to where it had the former leader's WAL. */
  readonly successor: string;
  readonly successorEpoch: number;
  readonly forkPoint: Lsn;
  /** `wal`: decoded, transaction by transaction; `diff`: rows that differ, where no slot reaches back far enough. */
  readonly source: 'wal' | 'diff';
}

/** A line between header and trailer. */
export interface StrandedLine extends TransactionHead, RowChange {
  /** Number of the transaction, from 1, and of the change in it, from 1. */
  readonly transaction: number;
  readonly change: number;
  /** Columns of `row` whose value was read from the node's row as it stood when the file was made. */
  readonly fetched?: readonly string[];
  /** Columns whose value is not known any more: that row is gone from the node. */
  readonly missing?: readonly string[];
  /**
   * The new leader's row of this key (of the old key, where it changed) when the file was made, if it was untouched
   * since the fork: a digest of it, or `absent`. Left out when the row was changed there: then this is a conflict.
   */
  readonly base?: string;
}

/** Last line of a stranded file. */
export interface StrandedTrailer {
  readonly end: true;
  readonly transactions: number;
  readonly changes: number;
  /** Position of the last transaction's commit record; null without any. */
  readonly lastLsn: Lsn | null;
  /** Of every byte before this line. */
  readonly sha256: string;
}

export interface TableCount {
  readonly schema: string;
  readonly table: string;
  readonly inserts: number;
  readonly updates: number;
  readonly deletes: number;
  readonly truncates: number;
}

/** What is stranded, in figures. */
export interface StrandedCounts {
  readonly transactions: number;
  readonly changes: number;
  readonly tables: readonly TableCount[];
  /** Commit times of the first and last transaction; null without any. */
  readonly firstAt: string | null;
  readonly lastAt: string | null;
  readonly lastLsn: Lsn | null;
}

/** Adds up changes; `add` is told of each in the order of the stream. */
export interface Counter {
  add(transaction: TransactionHead, change: RowChange): void;
  result(): StrandedCounts;
}

const COUNTS = { insert: 'inserts', update: 'updates', delete: 'deletes', truncate: 'truncates' } as const;

export function counter(): Counter {
  const tables = new Map<string, { -readonly [Key in keyof TableCount]: TableCount[Key] }>();
  let transactions = 0;
  let changes = 0;
  let last: TransactionHead | undefined;
  let firstAt: string | null = null;
  return {
    add(transaction, { schema, table, op }) {
      if (last?.lsn !== transaction.lsn) transactions += 1;
      firstAt ??= transaction.at;
      last = transaction;
      changes += 1;
      const name = JSON.stringify([schema, table]);
      const count = tables.get(name) ?? { schema, table, inserts: 0, updates: 0, deletes: 0, truncates: 0 };
      count[COUNTS[op]] += 1;
      tables.set(name, count);
    },
    result: () => ({
      transactions,
      changes,
      tables: [...tables.values()],
      firstAt,
      lastAt: last?.at ?? null,
      lastLsn: last?.lsn ?? null,
    }),
  };
}
