/**
 * Why a row may be replaced while the leader takes writes and the stream goes on.
 *
 * Wanted: at a moment T at which the replica's table cannot change, the row as it is after everything that the
 * replica has applied by T, in the order of the leader's WAL. Writing that, and nothing else, is right: what comes
 * after T in the stream was made from precisely that row. An older one would bring a value back that is gone, a newer
 * one would make the stream's own INSERT collide, or its UPDATE be lost.
 *
 *   W  nobody at the leader who had written to the table by now has it open any more (./writers.ts)
 *   A  the leader's row is read; L, the leader's insert position, is taken after it
 *   .  the replica makes everything up to L visible
 *   T  the replica's table is locked in SHARE ROW EXCLUSIVE mode: the apply worker is not in it, and cannot begin
 *   B  the replica's row is read
 *   W  as above, now for those who had written by T
 *   C  the leader's row is read again, in a snapshot from which it is also copied
 *
 * A row that the leader has in A and in C with the same xmin is one and the same version: it was committed before A,
 * hence before L, hence applied by T. A change of it that the replica had applied by T would have been committed in
 * the leader's WAL by T. The leader makes a commit visible later than its record reaches the WAL (in sync mode, until
 * a standby has confirmed it), but it holds its lock on the table until it is visible: the second W waits for that,
 * so C would show it. There is none: A is the row that the replica must have at T.
 *
 * A row that the leader has neither in A nor in C may have come and gone in between, and be there rightly at T. Had it
 * come by the stream, the replica's own row would not be the one that was there before W and A: it is read then too,
 * and must be the same version (xmin) at T. Rows without a key have no identity but their values, so for them both
 * are asked: the leader's set of such rows the same in A and C, the replica's the same before and at T.
 *
 * Whatever is not so is left open and tried again with new readings. A replica that lags never comes to T.
 */
import type { RowReading } from '../blocks.js';

export interface Readings {
  /** The replica's row before the leader was read. */
  readonly before: RowReading | undefined;
  /** The leader's row before and after the replica's table was locked: A and C. */
  readonly first: RowReading | undefined;
  readonly last: RowReading | undefined;
  /** The replica's row under the lock: B. */
  readonly now: RowReading | undefined;
}

/** What may be done about a row: nothing, write what `last` has, or read everything again. */
export type Proof = 'equal' | 'write' | 'open';

const unchanged = (one: RowReading | undefined, other: RowReading | undefined): boolean =>
  one?.hash === other?.hash && one?.version === other?.version;

/** `counted`: rows without a key, whose hash is how many of them there are. */
export function prove({ before, first, last, now }: Readings, counted: boolean): Proof {
  if (!unchanged(first, last)) return 'open';
  if (now?.hash === last?.hash) return 'equal';
  return (counted || last === undefined) && !unchanged(before, now) ? 'open' : 'write';
}
