/**
 * `publication add` and `publication drop`: what a running cluster replicates, changed on every node alike.
 *
 * A row in repctl.event marks the beginning, another the end: what lies between is unfinished, whoever asks, and
 * any later run takes it up. After any prefix of its steps, planning again gives the rest.
 */
import type { FenceState, TableName, TableSyncState } from '../../cluster/model.js';
import type { Lsn } from '../../postgres/lsn.js';

/** One table as one node has it. */
export interface NodeTable extends TableName {
  /** `r`, `p`, or what else the catalog says. */
  readonly kind: string;
  readonly permanent: boolean;
  /** A partitioned table above it, if one is published or asked for in its stead. */
  readonly ancestors: readonly TableName[];
  /** `name type` of each column, generated ones left out. */
  readonly columns: readonly string[];
  /** Changed rows can be named: a primary key, a replica identity index, or FULL. */
  readonly identifiable: boolean;
  /** Listed in publication repctl. */
  readonly published: boolean;
  /** Of the table and all its partitions; `missing` if any lacks it. */
  readonly fence: FenceState;
  /** In the node's own subscription: the least advanced of its partitions, null when one is not in it. */
  readonly sync: TableSyncState | null;
  /** Some partition (or the table) is in the subscription. */
  readonly subscribed: boolean;
  /** Read only where the table is not subscribed yet. */
  readonly empty: boolean;
}

export interface NodeTables {
  readonly name: string;
  readonly tables: readonly NodeTable[];
  /** Its enabled subscription to the present leader. */
  readonly subscription: string | null;
  readonly bases: readonly { readonly sibling: string; readonly epoch: number; readonly baseLsn: Lsn }[];
}

export type TableVerb = 'add' | 'drop';

/** A row of repctl.event of kind `publication-<verb>` or `publication-<verb>-begin`. */
export interface TableEvent {
  readonly verb: TableVerb;
  readonly phase: 'begin' | 'end';
  /** tableKey()s. */
  readonly tables: readonly string[];
  readonly epoch: number;
  /** Of an end: a position of the leader's WAL after all copies; standby slots must begin past it. */
  readonly lsn: Lsn | null;
}

export interface TablesState {
  readonly epoch: number;
  readonly leader: string;
  /** Every configured node. */
  readonly nodes: readonly NodeTables[];
  /** Oldest first. */
  readonly events: readonly TableEvent[];
}
