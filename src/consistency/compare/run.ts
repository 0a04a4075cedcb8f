/** One comparison under way: whom it asks, what it counts, and which replicas it goes on asking. */
import type { Session } from '../../postgres/session.js';
import type { PartDigest, Side, TablePlan } from '../blocks.js';
import type { DifferenceKind, JudgedRow } from '../recheck.js';
import { fullOfDifferences, type NodeTally } from '../tally.js';
import { problemOf } from './problem.js';

/** Sessions of one worker: one on the leader, one on each replica. */
export interface Lane {
  readonly leader: Session;
  readonly nodes: ReadonlyMap<string, Session>;
}

export const sessionsOf = (lanes: readonly Lane[]): Session[] =>
  lanes.flatMap((lane) => [lane.leader, ...lane.nodes.values()]);

export interface CompareRequest {
  readonly plan: TablePlan;
  readonly leader: Side;
  /** The replicas to compare, and their tables. */
  readonly nodes: ReadonlyMap<string, Side>;
  readonly lanes: readonly Lane[];
  readonly blockRows: number;
  /** How many differing rows are kept, with their values, per replica. */
  readonly samples: number;
  /** Values are read of rows of this kind alone. */
  readonly only?: DifferenceKind | undefined;
  /** Whether so many rows of a replica differ that it is not looked into further; by default 10,000. */
  readonly enough?: (node: string) => boolean;
  /** Takes every row that is proven to differ or stays undecided, as soon as it is, those without values too. */
  readonly onJudged?: (node: string, rows: readonly JudgedRow[]) => void | Promise<void>;
  /** Read the values of all rows that are judged, however many: for whoever takes them as they come. */
  readonly allValues?: boolean;
  /** Waits until the replica shows what the leader has now; false when it does not (in time). */
  readonly caughtUp: (node: string, lane: Lane) => Promise<boolean>;
  /** Called with the number of leader's rows read since the last call. */
  readonly onRows?: (rows: number) => void;
  readonly signal?: AbortSignal;
  /**
   * Takes rows that differ instead of the judge, all of them: right where nothing is in flight, since every session
   * sees one snapshot that does not change.
   */
  readonly collect?: (node: string, rows: readonly DifferingRow[]) => Promise<void>;
  /** Every session sees one snapshot that does not change: nothing is in flight, and one look proves a difference. */
  readonly still?: boolean;
  /** Bounds how fast rows are read; see {@link Pace}. */
  readonly pace?: Pace;
  /** Where it goes on, and where it is noted down how far it is; ranges of keys alone, others are read as a whole. */
  readonly points?: Points;
}

export interface Points {
  readonly from: ComparePoint | undefined;
  readonly due: () => boolean;
  /** Called while nothing is being read. */
  readonly note: (point: ComparePoint) => Promise<void>;
}

/** Everything before a key, compared. */
export interface ComparePoint extends CompareResult {
  /** The first key that is not compared yet. */
  readonly next: bigint;
}

export interface Pace {
  /** Rows that are to be read at once. */
  readonly portion: number;
  /** Waits until `node` may read on. */
  readonly ready: (node: string) => Promise<void>;
  /** What it has read. */
  readonly read: (node: string, rows: number) => void;
}

/** The hash on either side (without a key: how often the row is there); undefined where there is no such row. */
export interface DifferingRow {
  readonly key: string;
  readonly leader: string | undefined;
  readonly node: string | undefined;
}

export interface CompareResult {
  readonly rows: bigint;
  readonly blocks: number;
  readonly nodes: ReadonlyMap<string, NodeTally>;
}

export interface Run extends CompareRequest {
  readonly tallies: ReadonlyMap<string, NodeTally>;
  readonly total: { rows: bigint; blocks: number };
}

export type Read<T> = (session: Session, side: Side) => Promise<T>;

/** Replicas that are still worth asking. */
export const live = (run: Run): string[] =>
  [...run.tallies].filter(([, tally]) => tally.problem === null).map(([node]) => node);

/** Asks a replica; undefined, and the reason in its tally, when it fails. */
export async function ask<T>(run: Run, lane: Lane, node: string, read: Read<T>): Promise<T | undefined> {
  const tally = run.tallies.get(node);
  const session = lane.nodes.get(node);
  const side = run.nodes.get(node);
  if (!tally || !session || !side) return undefined;
  try {
    return await read(session, side);
  } catch (error) {
    run.signal?.throwIfAborted();
    // Whoever sets rows right must know all of them.
    if (run.collect) throw error;
    tally.problem ??= problemOf(error);
    return undefined;
  }
}

/** The same question to the leader and some replicas, at once. */
export async function askAll<T>(
  run: Run,
  lane: Lane,
  nodes: readonly string[],
  read: Read<T>,
): Promise<{ leader: T; nodes: Map<string, T> }> {
  run.signal?.throwIfAborted();
  const answers = new Map<string, T>();
  const [leader] = await Promise.all([
    read(lane.leader, run.leader),
    ...nodes.map(async (node) => {
      const answer = await ask(run, lane, node, read);
      if (answer !== undefined) answers.set(node, answer);
    }),
  ]);
  return { leader, nodes: answers };
}

export const differs = (a: PartDigest | undefined, b: PartDigest | undefined): boolean =>
  (a?.rows ?? '0') !== (b?.rows ?? '0') || (a?.digest ?? '0') !== (b?.digest ?? '0');

const isEnough = (run: Run, node: string, tally: NodeTally): boolean =>
  run.enough?.(node) ?? fullOfDifferences(tally);

/** Counts a block; the replicas on which it differs and has to be looked into. */
export function noteBlock(run: Run, leader: PartDigest, nodes: ReadonlyMap<string, PartDigest>): string[] {
  run.total.rows += BigInt(leader.rows);
  run.total.blocks += 1;
  const suspects: string[] = [];
  for (const [node, digest] of nodes) {
    const tally = run.tallies.get(node);
    if (!tally) continue;
    tally.rows += BigInt(digest.rows);
    tally.blocks += 1;
    if (!differs(leader, digest)) continue;
    tally.blocksDiffering += 1;
    if (isEnough(run, node, tally)) tally.blocksNotListed += 1;
    else suspects.push(node);
  }
  return suspects;
}

/** Those that are looked into further; where one is not, that is said. */
export function stillOpen(run: Run, nodes: readonly string[]): string[] {
  return nodes.filter((node) => {
    const tally = run.tallies.get(node);
    if (tally?.problem !== null) return false;
    if (!isEnough(run, node, tally)) return true;
    tally.blocksNotListed += 1;
    return false;
  });
}
