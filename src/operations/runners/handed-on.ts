/** What the steps of a switchover hand on to each other. */
import type { TableName } from '../../cluster/model.js';
import type { Lsn } from '../../postgres/lsn.js';
import type { Session } from '../../postgres/session.js';
import type { Reserved } from './reserve.js';
import type { SequenceUse } from '../../replication/sequences.js';

/** Shared by the runners of one run; each field is set by the step that knows it. */
export interface Handover {
  target?: Target;
  fence?: Fenced;
  /** The number of the coming epoch was noted down on other nodes, or on some of them. */
  reserved?: Reserved;
  /** The fence's transaction was sent; whether it committed is another matter. */
  fenceSent?: { readonly leader: string; readonly pid: number };
  /** The promotion's transaction was sent. */
  promotionSent?: boolean;
  promoted?: Promoted;
  /** The target's commits wait for replicas already, as they shall once it leads. */
  armed?: string;
}

/** The coming leader: a session of its own with an open transaction that keeps autovacuum and DDL away. */
export interface Target {
  readonly name: string;
  readonly session: Session;
  readonly pid: number;
  /** The published tables with their partitions. */
  readonly tables: readonly TableName[];
  readonly fencesDown: readonly string[];
  readonly sequences: readonly SequenceUse[];
}

export interface Fenced {
  readonly barrier: string;
  /** Before the barrier's commit, after everything else that was written: in the WAL of the leader. */
  readonly before: Lsn;
  /** After it. */
  readonly after: Lsn;
}

export interface Promoted {
  readonly epoch: number;
  /** In the WAL of the new leader: everything of the epochs before lies before it, the promotion after it. */
  readonly point: Lsn;
  /** Commits wait for replicas. */
  readonly waits: boolean;
}
