/** What `repair` is asked, finds and does, as data. */
import type { TableName } from '../../cluster/model.js';
import type { Stall } from '../../consistency/repair/stall.js';
import type { NodeDifferences } from '../../consistency/repair/find.js';
import type { SettleTable } from '../../consistency/repair/settle.js';
import type { DifferenceKind } from '../../consistency/recheck.js';
import type { RowDifference } from '../../consistency/result.js';
import type { Step } from '../../plan/plan.js';

export interface RepairRequest {
  /** Only rows of this kind. */
  readonly only: DifferenceKind | undefined;
  /** Rows per replica; where more differ somebody should look first. */
  readonly maxRows: number;
  readonly found: readonly NodeDifferences[];
  /** Tables that were named; none for all. */
  readonly tables: readonly string[];
  readonly stalled: readonly Stalled[];
  readonly failing: readonly Failing[];
  /** Partitions of tables that were named, which are not published. */
  readonly unpublished: readonly TableName[];
  /** Replicas that were not compared, and why. */
  readonly unreachable: readonly { readonly node: string; readonly message: string }[];
  /** Rows as the operator reads them, to be shown with the plan. */
  readonly shown: readonly string[];
  /** Statements row by row, by node; to be shown with its step. */
  readonly sql: ReadonlyMap<string, readonly string[]>;
}

/** A replica whose apply worker cannot get on, and what stands in its way. */
export interface Stalled {
  readonly node: string;
  readonly stall: Stall;
}

/** A replica whose apply worker fails, for another reason than rows that could be removed. */
export interface Failing {
  readonly node: string;
  /** The transaction it fails on. */
  readonly stall: Stall | undefined;
}

/** Removes what stands in the way of the stream, until the replica has caught up. */
export interface ClearWay {
  readonly kind: 'clear-way';
  readonly node: string;
  readonly leader: string;
  readonly epoch: number;
}

export interface SetRight {
  readonly kind: 'set-right';
  readonly node: string;
  readonly leader: string;
  readonly epoch: number;
  readonly tables: readonly SettleTable[];
  /** What differs can be known only once the stream goes on again: then these tables are compared, none for all. */
  readonly compare?: { readonly tables: readonly string[]; readonly maxRows: number };
}

export type RepairAction =
  | ClearWay
  | SetRight
  | {
      readonly kind: 'record';
      readonly leader: string;
      readonly epoch: number;
      readonly nodes: readonly string[];
      readonly tables: readonly TableName[];
    };

export type RepairStep = Step<RepairAction>;

/** One table on one replica in `data.differences` of --json. */
export interface Differences extends TableName {
  readonly node: string;
  readonly missing: number;
  readonly extra: number;
  readonly differing: number;
  /** Seen to differ, but not yet told from a change in flight. */
  readonly undecided: number;
  readonly problem: string | null;
  readonly rows: readonly RowDifference[];
}

/** What setting one replica right came to; the result of its step. */
export interface SetRightResult {
  readonly inserted: number;
  readonly updated: number;
  readonly deleted: number;
  /** Were equal by the time they were locked. */
  readonly equal: number;
  /** Could not be proven: left as they were. */
  readonly open: number;
  readonly why: string | null;
  /** Of all these rows, looked at once more in the end: what differs still, and what could not be judged. */
  readonly stillDiffering: number;
  readonly unverified: number;
  /** Where the rows are that were replaced or deleted; null when there were none. */
  readonly overwritten: string | null;
}
