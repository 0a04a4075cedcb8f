/**
 * What a session remembers, and whether a node shows at least that. All pure.
 *
 * A mark is a place in one leader's WAL. LSNs of different epochs are never compared: a later epoch is judged
 * by its fork point, the position in the previous leader's WAL up to which the new leader had everything.
 */
import { type Lsn, compareLsn, maxLsn } from '../postgres/lsn.js';

export interface Mark {
  readonly epoch: number;
  readonly leader: string;
  /** The leader's WAL position before the commit; equal to `after` for something read, not written. */
  readonly before: Lsn;
  /** At or past the end of the commit record. */
  readonly after: Lsn;
}

/** Past every position: a write whose end could not be asked for any more. */
export const UNKNOWN_END: Lsn = 'FFFFFFFF/FFFFFFFF';

export interface EpochRow {
  readonly epoch: number;
  readonly leader: string;
  readonly previousLeader: string | null;
  readonly forkPoint: Lsn | null;
}

/** What routing knows of a node that answered. */
export interface NodeView {
  readonly name: string;
  /** repctl.node; null when the database belongs to no cluster. */
  readonly identity: string | null;
  /** When epoch 1 began: tells this cluster from an earlier one of the same name. */
  readonly born: string | null;
  /** Newest first. */
  readonly epochs: readonly EpochRow[];
  /** Whether repctl.request is there, so that a write can be sent twice and happen once. */
  readonly requests: boolean;
  /** Its subscription: live (worker heard from lately), gone (no worker), copying (a table is not ready), none. */
  readonly feed: 'live' | 'gone' | 'copying' | 'none';
  /** The visible position: everything of that epoch's leader up to `lsn` is applied and can be read. */
  readonly position: { readonly epoch: number; readonly lsn: Lsn } | null;
}

export type Satisfaction = 'yes' | 'behind' | 'lost' | 'uncertain';

export const newestEpoch = (view: NodeView): EpochRow | undefined => view.epochs[0];

/** Whether the node is the leader in its own eyes. */
export const isLeader = (view: NodeView): boolean => newestEpoch(view)?.leader === view.name;

/**
 * Whether what the mark stands for can be read at this node.
 *
 * In a later epoch the node has that epoch's row, and rows travel in commit order, so it has all that the new
 * leader had at its promotion: the fork point alone decides. `lost`: the write ended past the fork.
 * `uncertain`: the fork lies between before and after, or an epoch in between is not known here.
 */
export function satisfies(mark: Mark, view: NodeView): Satisfaction {
  const newest = newestEpoch(view);
  if (newest === undefined || newest.epoch < mark.epoch) return 'behind';
  if (newest.epoch === mark.epoch) {
    if (newest.leader === view.name) return 'yes';
    if (view.position?.epoch !== mark.epoch) return 'behind';
    return compareLsn(view.position.lsn, mark.after) >= 0 ? 'yes' : 'behind';
  }
  const next = view.epochs.filter((row) => row.epoch > mark.epoch).at(-1);
  if (next?.previousLeader !== mark.leader || next.forkPoint === null) return 'uncertain';
  if (compareLsn(next.forkPoint, mark.after) >= 0) return 'yes';
  return compareLsn(next.forkPoint, mark.before) < 0 ? 'lost' : 'uncertain';
}

/** The later of two marks; within an epoch the one that ends later. */
export function laterMark(a: Mark | null, b: Mark | null): Mark | null {
  if (a === null || b === null) return a ?? b;
  if (a.epoch !== b.epoch) return a.epoch > b.epoch ? a : b;
  if (a.after === b.after) return { ...a, before: maxLsn(a.before, b.before) };
  return compareLsn(a.after, b.after) > 0 ? a : b;
}

export interface SessionState {
  /** The cluster it belongs to, see NodeView.born. */
  readonly born: string | null;
  /** This session's last write. */
  readonly written: Mark | null;
  /** The newest state that this session has read. */
  readonly seen: Mark | null;
}

export const EMPTY_SESSION: SessionState = { born: null, written: null, seen: null };

/** What two concurrent runs remember, together. Of another cluster's memory nothing is kept. */
export function mergeSessions(old: SessionState, add: SessionState): SessionState {
  if (old.born !== add.born) return add;
  return {
    born: add.born,
    written: laterMark(old.written, add.written),
    seen: laterMark(old.seen, add.seen),
  };
}
