/** From where on a figure is worth a word. */
export interface Limits {
  /** A replica further behind than this is catching up, no longer streaming. */
  readonly streamingBytes: number;
  readonly streamingMs: number;
  /** A replica further behind than this is reported. */
  readonly behindBytes: number;
  readonly behindMs: number;
  /** WAL that a slot may keep before it is reported. */
  readonly slotBytes: number;
  /** WAL that a standby slot may keep: it is cheap to advance, and costs decoding at a failover. */
  readonly standbyBytes: number;
  readonly transactionMs: number;
  readonly clockMs: number;
  /** A table that is not ready, with nobody working on it, may wait this long for its turn. */
  readonly syncMs: number;
  /** A failing worker comes back to its slot every wal_retrieve_retry_interval, 5 s by default. */
  readonly retryMs: number;
  /** An operation that holds the lock for longer may be stuck (or copy big tables). */
  readonly operationMs: number;
}

const MB = 1024 * 1024;

export const DEFAULT_LIMITS: Limits = {
  streamingBytes: MB,
  streamingMs: 5_000,
  behindBytes: 64 * MB,
  behindMs: 30_000,
  slotBytes: 1024 * MB,
  standbyBytes: 256 * MB,
  transactionMs: 60_000,
  clockMs: 1_000,
  syncMs: 15_000,
  retryMs: 20_000,
  operationMs: 1_800_000,
};
