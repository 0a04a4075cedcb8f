/** What is known of one table on one replica while it is compared. */
import type { DifferenceKind, Judgement, JudgedRow } from './recheck.js';

export interface NodeTally {
  rows: bigint;
  blocks: number;
  blocksDiffering: number;
  /** Blocks (or parts of them) that differ and were not looked into, since so many rows differ already. */
  blocksNotListed: number;
  /** Keys that differed at first sight and are yet to be judged. */
  readonly suspects: Set<string>;
  rechecked: number;
  inFlight: number;
  missing: number;
  extra: number;
  differing: number;
  unverified: number;
  /** The first rows that are proven or undecided. */
  readonly samples: JudgedRow[];
  /** Why this replica could not be read to the end; null when it was. */
  problem: string | null;
}

/** A replica that differs in this many rows is known to have diverged: finding out how many more is not worth it. */
const ENOUGH_DIFFERENCES = 10_000;

export const newTally = (): NodeTally => ({
  rows: 0n,
  blocks: 0,
  blocksDiffering: 0,
  blocksNotListed: 0,
  suspects: new Set(),
  rechecked: 0,
  inFlight: 0,
  missing: 0,
  extra: 0,
  differing: 0,
  unverified: 0,
  samples: [],
  problem: null,
});

export const fullOfDifferences = (tally: NodeTally): boolean =>
  tally.missing + tally.extra + tally.differing + tally.unverified >= ENOUGH_DIFFERENCES;

/** Adds what a sandwich found out of `keys` rows; those of the kind `only` are kept as samples. */
export function addJudgement(
  tally: NodeTally,
  keys: number,
  judgement: Judgement,
  { samples, only }: { readonly samples: number; readonly only?: DifferenceKind | undefined },
): void {
  tally.rechecked += keys;
  tally.inFlight += judgement.inFlight;
  for (const row of judgement.rows) {
    if (row.proven) tally[row.kind] += 1;
    else tally.unverified += 1;
    if (tally.samples.length < samples && (only ?? row.kind) === row.kind) tally.samples.push(row);
  }
}
