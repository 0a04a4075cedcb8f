/**
 * One table on the leader and on all replicas at once: block by block, the leader read once for all, several
 * blocks at a time; what differs is narrowed down to rows, and those are judged (recheck.ts).
 */
import type { Session } from '../postgres/session.js';
import { messageOf } from '../errors.js';
import {
  type KeyHash,
  MAX_KEY,
  MIN_KEY,
  type PartDigest,
  type Range,
  type RowReading,
  type Side,
  type TablePlan,
  bucketCount,
  bucketListSql,
  bucketPartsSql,
  nextBlockSql,
  partRange,
  partStarts,
  rangeDigestSql,
  rangeEndsSql,
  rangeListSql,
  rangePartsSql,
  rowsParams,
  rowsSql,
} from './blocks.js';
import { sandwich } from './recheck.js';
import { type NodeTally, addJudgement, fullOfDifferences, newTally } from './tally.js';

/** Sessions of one worker: one on the leader, one on each replica. */
export interface Lane {
  readonly leader: Session;
  readonly nodes: ReadonlyMap<string, Session>;
}

export interface CompareRequest {
  readonly plan: TablePlan;
  readonly leader: Side;
  /** The replicas to compare, and their tables. */
  readonly nodes: ReadonlyMap<string, Side>;
  readonly lanes: readonly Lane[];
  readonly blockRows: number;
  /** How many differing rows are kept, with their values, per replica. */
  readonly samples: number;
  /** Waits until the replica shows what the leader has now; false when it does not (in time). */
  readonly caughtUp: (node: string, lane: Lane) => Promise<boolean>;
  /** Called with the number of leader's rows read since the last call. */
  readonly onRows?: (rows: number) => void;
  readonly signal?: AbortSignal;
}

export interface CompareResult {
  readonly rows: bigint;
  readonly blocks: number;
  readonly nodes: ReadonlyMap<string, NodeTally>;
}

/** Parts of a block that differs, and the most rows that are listed one by one at once. */
const PARTS = 64;
const LIST_ROWS = 2_000;
const LIST_BATCH = 20_000;
const BUCKET_BATCH = 200_000;
/** Suspects of a replica are judged together, so that it has to be waited for seldom. */
const JUDGE_AT = 2_000;

interface Run extends CompareRequest {
  readonly tallies: ReadonlyMap<string, NodeTally>;
  readonly total: { rows: bigint; blocks: number };
}

type Read<T> = (session: Session, side: Side) => Promise<T>;

/** Throws when the leader fails; a replica that fails is noted in its tally and left out from then on. */
export async function compareTable(request: CompareRequest): Promise<CompareResult> {
  const tallies = new Map([...request.nodes.keys()].map((node) => [node, newTally()]));
  const run: Run = { ...request, tallies, total: { rows: 0n, blocks: 0 } };
  const [first] = run.lanes;
  if (first) {
    if (run.plan.method === 'ranges') await compareRanges(run);
    else await compareBuckets(run, first);
    await Promise.all([...tallies.keys()].map((node) => judge(run, first, node, 1)));
  }
  return { ...run.total, nodes: tallies };
}

/** Replicas that are still worth asking. */
const live = (run: Run): string[] =>
  [...run.tallies].filter(([, tally]) => tally.problem === null).map(([node]) => node);

/** Asks a replica; undefined, and the reason in its tally, when it fails. */
async function ask<T>(run: Run, lane: Lane, node: string, read: Read<T>): Promise<T | undefined> {
  const tally = run.tallies.get(node);
  const session = lane.nodes.get(node);
  const side = run.nodes.get(node);
  if (!tally || !session || !side) return undefined;
  try {
    return await read(session, side);
  } catch (error) {
    run.signal?.throwIfAborted();
    tally.problem ??= messageOf(error);
    return undefined;
  }
}

/** The same question to the leader and some replicas, at once. */
async function askAll<T>(
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

// ---- ranges of an integer key ------------------------------------------------------------------------------

async function compareRanges(run: Run): Promise<void> {
  const next = blocks(run);
  await Promise.all(
    run.lanes.map(async (lane) => {
      for (let range = await next(lane); range; range = await next(lane))
        await compareRange(run, lane, range);
    }),
  );
}

/** Hands out the blocks, one after the other whoever asks; the last one is open at its end. */
function blocks(run: Run): (lane: Lane) => Promise<Range | undefined> {
  const state: { first: bigint | undefined; turn: Promise<unknown> } = {
    first: MIN_KEY,
    turn: Promise.resolve(),
  };
  const sql = nextBlockSql(run.plan, run.leader);
  const take = async (lane: Lane): Promise<Range | undefined> => {
    const { first } = state;
    if (first === undefined) return undefined;
    const [row] = await lane.leader.query<{ key: string }>(sql, [String(first), run.blockRows]);
    state.first = row ? BigInt(row.key) : undefined;
    return { first, last: state.first === undefined ? MAX_KEY : state.first - 1n };
  };
  return (lane) => {
    const turn = state.turn.then(() => take(lane));
    state.turn = turn.catch(() => {
      state.first = undefined;
    });
    return turn;
  };
}

const bounds = (range: Range): string[] => [String(range.first), String(range.last)];

const differs = (a: PartDigest | undefined, b: PartDigest | undefined): boolean =>
  (a?.rows ?? '0') !== (b?.rows ?? '0') || (a?.digest ?? '0') !== (b?.digest ?? '0');

async function compareRange(run: Run, lane: Lane, range: Range): Promise<void> {
  const read: Read<PartDigest> = async (session, side) => {
    const [row] = await session.query<PartDigest>(rangeDigestSql(run.plan, side), bounds(range));
    return { part: 0, rows: row?.rows ?? '0', digest: row?.digest ?? '0' };
  };
  const { leader, nodes } = await askAll(run, lane, live(run), read);
  const suspects = noteBlock(run, leader, nodes);
  if (suspects.length > 0) await refine(run, lane, range, suspects);
}

/** Counts a block; the replicas on which it differs and has to be looked into. */
function noteBlock(run: Run, leader: PartDigest, nodes: ReadonlyMap<string, PartDigest>): string[] {
  run.total.rows += BigInt(leader.rows);
  run.total.blocks += 1;
  run.onRows?.(Number(leader.rows));
  const suspects: string[] = [];
  for (const [node, digest] of nodes) {
    const tally = run.tallies.get(node);
    if (!tally) continue;
    tally.rows += BigInt(digest.rows);
    tally.blocks += 1;
    if (!differs(leader, digest)) continue;
    tally.blocksDiffering += 1;
    if (fullOfDifferences(tally)) tally.blocksNotListed += 1;
    else suspects.push(node);
  }
  return suspects;
}

/** Halves (in 64 parts) what differs until it is few enough rows to list. */
async function refine(run: Run, lane: Lane, range: Range, suspects: readonly string[]): Promise<void> {
  const ends = await askAll(run, lane, suspects, async (session, side) => {
    const [row] = await session.query<{ first: string | null; last: string | null }>(
      rangeEndsSql(run.plan, side),
      bounds(range),
    );
    return row;
  });
  const seen = [ends.leader, ...ends.nodes.values()].flatMap((row) =>
    row?.first == null || row.last == null ? [] : [BigInt(row.first), BigInt(row.last)],
  );
  if (seen.length === 0) return;
  // Rows that come after this question, outside of what is seen now, are in flight by definition.
  const inner = seen.reduce<Range>(
    (whole, key) => ({
      first: key < whole.first ? key : whole.first,
      last: key > whole.last ? key : whole.last,
    }),
    { first: seen[0] ?? 0n, last: seen[0] ?? 0n },
  );
  const starts = partStarts(inner, PARTS);
  const parts = await askAll(run, lane, [...ends.nodes.keys()], async (session, side) => {
    const rows = await session.query<PartDigest>(rangePartsSql(run.plan, side), [
      ...bounds(inner),
      starts.map(String),
    ]);
    return new Map(rows.map((row) => [row.part, row]));
  });
  const lists: Range[] = [];
  for (let part = 0; part <= starts.length; part += 1) {
    const mine = parts.leader.get(part);
    const others = [...parts.nodes].filter(([, digests]) => differs(mine, digests.get(part)));
    if (others.length === 0) continue;
    const most = Math.max(
      Number(mine?.rows ?? 0),
      ...others.map(([, digests]) => Number(digests.get(part)?.rows ?? 0)),
    );
    const where = partRange(inner, starts, part);
    if (most <= LIST_ROWS || where.first === where.last) lists.push(where);
    else
      await refine(
        run,
        lane,
        where,
        stillOpen(
          run,
          others.map(([node]) => node),
        ),
      );
  }
  const atOnce = Math.max(1, Math.floor(LIST_BATCH / LIST_ROWS));
  for (let start = 0; start < lists.length; start += atOnce)
    await listRanges(run, lane, lists.slice(start, start + atOnce), stillOpen(run, [...parts.nodes.keys()]));
}

/** A replica whose differences already fill the report is not looked into further, and that is said. */
function stillOpen(run: Run, nodes: readonly string[]): string[] {
  return nodes.filter((node) => {
    const tally = run.tallies.get(node);
    if (tally?.problem !== null) return false;
    if (!fullOfDifferences(tally)) return true;
    tally.blocksNotListed += 1;
    return false;
  });
}

async function listRanges(run: Run, lane: Lane, ranges: readonly Range[], nodes: readonly string[]) {
  if (nodes.length === 0) return;
  const params = [ranges.map((range) => String(range.first)), ranges.map((range) => String(range.last))];
  await listDifferences(run, lane, nodes, (session, side) =>
    session.query<KeyHash>(rangeListSql(run.plan, side), params),
  );
}

// ---- buckets by hash ---------------------------------------------------------------------------------------

async function compareBuckets(run: Run, lane: Lane): Promise<void> {
  const mask = bucketCount(run.leader.shape.estimatedRows) - 1;
  const answer = await askAll(run, lane, live(run), async (session, side) => {
    const rows = await session.query<PartDigest>(bucketPartsSql(run.plan, side), [mask]);
    return new Map(rows.map((row) => [row.part, row]));
  });
  const differing = new Map<number, number>();
  const nobody: PartDigest = { part: 0, rows: '0', digest: '0' };
  for (let part = 0; part <= mask; part += 1) {
    const mine = answer.leader.get(part) ?? nobody;
    const theirs = new Map([...answer.nodes].map(([node, digests]) => [node, digests.get(part) ?? nobody]));
    const suspects = noteBlock(run, mine, theirs);
    if (suspects.length === 0) continue;
    const most = [mine, ...theirs.values()].reduce((rows, digest) => Math.max(rows, Number(digest.rows)), 0);
    differing.set(part, most);
  }
  let batch: number[] = [];
  let rows = 0;
  const list = async () => {
    const nodes = stillOpen(run, [...answer.nodes.keys()]);
    const wanted = batch;
    batch = [];
    rows = 0;
    if (nodes.length === 0 || wanted.length === 0) return;
    await listDifferences(run, lane, nodes, (session, side) =>
      session.query<KeyHash>(bucketListSql(run.plan, side), [mask, wanted]),
    );
  };
  for (const [part, most] of differing) {
    batch.push(part);
    rows += most;
    if (rows >= BUCKET_BATCH) await list();
  }
  await list();
}

// ---- rows --------------------------------------------------------------------------------------------------

async function listDifferences(
  run: Run,
  lane: Lane,
  nodes: readonly string[],
  read: Read<KeyHash[]>,
): Promise<void> {
  const lists = await askAll(run, lane, nodes, async (session, side) => {
    const rows = await read(session, side);
    return foldDoubles(rows);
  });
  for (const [node, theirs] of lists.nodes) {
    const tally = run.tallies.get(node);
    if (!tally) continue;
    for (const [key, { hash }] of lists.leader) if (theirs.get(key)?.hash !== hash) tally.suspects.add(key);
    for (const key of theirs.keys()) if (!lists.leader.has(key)) tally.suspects.add(key);
    await judge(run, lane, node, JUDGE_AT);
  }
}

/** By key. A replica that lost its unique index may hold a key twice: such rows have all their hashes as one. */
export function foldDoubles<Row extends KeyHash>(rows: readonly Row[]): Map<string, Row> {
  const folded = new Map<string, Row>();
  for (const row of rows) {
    const before = folded.get(row.key);
    folded.set(row.key, before ? { ...row, hash: `${before.hash} and ${row.hash}` } : row);
  }
  return folded;
}

const failed = (tally: NodeTally): boolean => tally.problem !== null;

/** Judges the suspects of a replica when there are at least `atLeast` of them. */
async function judge(run: Run, lane: Lane, node: string, atLeast: number): Promise<void> {
  const tally = run.tallies.get(node);
  while (tally && tally.suspects.size >= atLeast) {
    const keys = [...tally.suspects].slice(0, JUDGE_AT);
    for (const key of keys) tally.suspects.delete(key);
    if (failed(tally)) {
      tally.unverified += keys.length;
      continue;
    }
    const rows = (session: Session, side: Side, wanted: readonly string[], values: boolean) =>
      session.query<RowReading>(rowsSql(run.plan, side, values), rowsParams(run.plan, wanted));
    const byKey = (found: readonly RowReading[] | undefined) => foldDoubles(found ?? []);
    const judgement = await sandwich(
      keys,
      {
        leader: async (wanted, values) => byKey(await rows(lane.leader, run.leader, wanted, values)),
        node: async (wanted, values) =>
          byKey(await ask(run, lane, node, (session, side) => rows(session, side, wanted, values))),
        // A replica that failed while it was read has not caught up: nothing is proven by an empty answer.
        caughtUp: async () => !failed(tally) && (await run.caughtUp(node, lane)),
      },
      {
        samples: Math.max(0, run.samples - tally.samples.length),
        counted: run.plan.method === 'multiset',
      },
    );
    // The replica failed between the wait and the reading: its rows were not read, so nothing is known of them.
    if (failed(tally)) tally.unverified += keys.length;
    else addJudgement(tally, keys.length, judgement, run.samples);
  }
}
