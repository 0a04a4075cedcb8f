/** Tables with an integer key: ranges of it, narrowed down where they differ. */
import type { Session } from '../../postgres/session.js';
import {
  type KeyHash,
  MAX_KEY,
  MIN_KEY,
  nextBlockSql,
  type PartDigest,
  partRange,
  partStarts,
  type Range,
  rangeDigestSql,
  rangeEndsSql,
  rangeListSql,
  rangePartsSql,
} from '../blocks.js';
import { readCuts } from './cuts.js';
import { listDifferences } from './rows.js';
import {
  askAll,
  differs,
  type Lane,
  live,
  noteBlock,
  type Read,
  type Run,
  sessionsOf,
  stillOpen,
} from './run.js';

/** Parts of a block that differs, and the most rows that are listed one by one at once. */
const PARTS = 64;
const LIST_ROWS = 2_000;
const LIST_BATCH = 20_000;
/** Rows of a part where all that differs is wanted: to begin with, and the least and the most of them. */
const FINE_ROWS = 20;
const FINEST_ROWS = 4;
const COARSEST_ROWS = 50;

/** What the blocks so far were like, by which the next ones are divided. */
interface Density {
  rows: number;
  parts: number;
}

export async function compareRanges(run: Run): Promise<void> {
  const [first] = run.lanes;
  if (!first) return;
  const size = Math.min(run.blockRows, run.pace?.portion ?? run.blockRows);
  const { points } = run;
  const handOut = blocks(
    run,
    size,
    points?.from?.next ?? MIN_KEY,
    await readCuts(first.leader, run.leader.shape, size),
  );
  const density: Density = { rows: 0, parts: 0 };
  const work = async (lane: Lane) => {
    do {
      const range = await handOut.take(lane);
      if (range === undefined) return;
      await (run.collect ? compareParts(run, lane, range, density) : compareRange(run, lane, range));
    } while (points?.due() !== true);
  };
  await Promise.all(run.lanes.map(work));
  // A note is true only while no block is half compared: every lane has ended its own by now.
  for (let next = handOut.next(); next !== undefined; next = handOut.next()) {
    run.signal?.throwIfAborted();
    await points?.note({ next, ...run.total, nodes: run.tallies });
    await Promise.all(run.lanes.map(work));
  }
  // Of one that is gone the next question tells.
  await Promise.all(sessionsOf(run.lanes).map((session) => asUsual(session).catch(() => undefined)));
}

/**
 * Of n rows, of which k differ, n/f digests of parts are read and up to k·f rows listed: least at f = √(n/k). Parts
 * that differ stand for rows that do.
 */
export function fineRows({ rows, parts }: Readonly<Density>): number {
  if (rows === 0) return FINE_ROWS;
  const best = Math.round(Math.sqrt(rows / Math.max(1, parts)));
  return Math.min(COARSEST_ROWS, Math.max(FINEST_ROWS, best));
}

/**
 * Hands out the blocks, one after the other whoever asks: up to the last of `known`, the first keys of blocks, without
 * a question; from there on by counting rows on the leader. The last one is open at its end. `next`: the first key that
 * is not handed out; undefined when all are.
 */
function blocks(
  run: Run,
  size: number,
  start: bigint,
  cuts: readonly bigint[],
): { take: (lane: Lane) => Promise<Range | undefined>; next: () => bigint | undefined } {
  const known = cuts.filter((key) => key > start);
  const state: { first: bigint | undefined; known: number; turn: Promise<unknown> } = {
    first: start,
    known: 0,
    turn: Promise.resolve(),
  };
  const sql = nextBlockSql(run.plan, run.leader);
  const count = async (lane: Lane, first: bigint): Promise<bigint | undefined> => {
    await asUsual(lane.leader);
    const [row] = await lane.leader.query<{ key: string }>(sql, [String(first), size]);
    return row && BigInt(row.key);
  };
  const take = async (lane: Lane): Promise<Range | undefined> => {
    const { first } = state;
    if (first === undefined) return undefined;
    const next = known[state.known];
    state.known += 1;
    state.first = next ?? (await count(lane, first));
    return { first, last: state.first === undefined ? MAX_KEY : state.first - 1n };
  };
  return {
    next: () => state.first,
    async take(lane) {
      await run.pace?.ready(lane.leader.node);
      const turn = state.turn.then(() => take(lane));
      state.turn = turn.catch(() => {
        state.first = undefined;
      });
      return turn;
    },
  };
}

/** Sessions that are set to read page by page. */
const paged = new WeakSet<Session>();

/**
 * How whole blocks are read. By a bitmap of the index: each page once and in order, however the rows lie in the table,
 * for a tenth less CPU where they lie in order; where the index alone has the answer, that would be a waste. Without
 * parallel workers: starting and ending them for every block costs more than the block, and the lanes are parallel.
 * It stays set from block to block: two more questions each would cost two hundredths of the time.
 */
async function pageByPage(session: Session): Promise<void> {
  if (paged.has(session)) return;
  await session.simple('set enable_indexscan = off; set max_parallel_workers_per_gather = 0');
  paged.add(session);
}

async function asUsual(session: Session): Promise<void> {
  if (!paged.delete(session)) return;
  await session.simple('reset enable_indexscan; reset max_parallel_workers_per_gather');
}

const bounds = (range: Range): string[] => [String(range.first), String(range.last)];

async function compareRange(run: Run, lane: Lane, range: Range): Promise<void> {
  const read: Read<PartDigest> = async (session, side) => {
    await pageByPage(session);
    const [row] = await session.query<PartDigest>(rangeDigestSql(run.plan, side), bounds(range));
    return { part: 0, rows: row?.rows ?? '0', digest: row?.digest ?? '0' };
  };
  const { leader, nodes } = await askAll(run, lane, live(run), read);
  const suspects = noteBlock(run, leader, nodes);
  const rows = Number(leader.rows);
  run.onRows?.(rows);
  // A block that differs is read a second time, in parts.
  run.pace?.read(lane.leader.node, suspects.length > 0 ? 2 * rows : rows);
  if (suspects.length > 0) await refine(run, lane, range, suspects);
}

/** Halves (in 64 parts) what differs until it is few enough rows to list. */
async function refine(run: Run, lane: Lane, range: Range, suspects: readonly string[]): Promise<void> {
  const ends = await askAll(run, lane, suspects, async (session, side) => {
    await asUsual(session);
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
  const parts = await askAll(run, lane, [...ends.nodes.keys()], readParts(run, inner, starts));
  await lookInto(run, lane, { range: inner, starts, parts });
}

/**
 * For whoever needs every row that differs, so that many rows do not cost many scans: parts at once, so small that
 * little more than what differs is listed, in the one scan that a block costs anyway.
 */
async function compareParts(run: Run, lane: Lane, range: Range, density: Density): Promise<void> {
  await asUsual(lane.leader);
  const [ends] = await lane.leader.query<{ first: string | null; last: string | null }>(
    rangeEndsSql(run.plan, run.leader),
    bounds(range),
  );
  const seen =
    ends?.first == null || ends.last == null
      ? undefined
      : { first: BigInt(ends.first), last: BigInt(ends.last) };
  const starts =
    seen === undefined ? [] : partStarts(seen, Math.max(1, Math.ceil(run.blockRows / fineRows(density))));
  const parts = await askAll(run, lane, live(run), readParts(run, range, starts));
  run.total.blocks += 1;
  const rows = [...parts.leader.values()].reduce((sum, part) => sum + Number(part.rows), 0);
  run.total.rows += BigInt(rows);
  run.onRows?.(rows);
  density.rows += rows;
  density.parts += await lookInto(run, lane, { range, starts, parts });
}

const readParts =
  (run: Run, range: Range, starts: readonly bigint[]): Read<Map<number, PartDigest>> =>
  async (session, side) => {
    await pageByPage(session);
    const params = [...bounds(range), starts.map(String)];
    const rows = await session.query<PartDigest>(rangePartsSql(run.plan, side), params);
    return new Map(rows.map((row) => [row.part, row]));
  };

interface Parts {
  readonly range: Range;
  readonly starts: readonly bigint[];
  readonly parts: {
    readonly leader: ReadonlyMap<number, PartDigest>;
    readonly nodes: ReadonlyMap<string, ReadonlyMap<number, PartDigest>>;
  };
}

/** Lists what differs; neighbours together, parts of many rows narrowed down first. How many parts differed. */
async function lookInto(run: Run, lane: Lane, { range, starts, parts }: Parts): Promise<number> {
  let differing = 0;
  let lists: Range[] = [];
  let rows = 0;
  let lastPart = -2;
  let lastRows = 0;
  const list = async () => {
    const ranges = lists;
    lists = [];
    rows = 0;
    lastPart = -2;
    if (ranges.length > 0) await listRanges(run, lane, ranges, stillOpen(run, [...parts.nodes.keys()]));
  };
  for (let part = 0; part <= starts.length; part += 1) {
    const mine = parts.leader.get(part);
    const others = [...parts.nodes].filter(([, digests]) => differs(mine, digests.get(part)));
    if (others.length === 0) continue;
    differing += 1;
    const most = Math.max(
      Number(mine?.rows ?? 0),
      ...others.map(([, digests]) => Number(digests.get(part)?.rows ?? 0)),
    );
    const where = partRange(range, starts, part);
    if (most > LIST_ROWS && where.first !== where.last) {
      const suspects = others.map(([node]) => node);
      await refine(run, lane, where, stillOpen(run, suspects));
      continue;
    }
    const before = lists.at(-1);
    if (before !== undefined && lastPart === part - 1 && lastRows + most <= LIST_ROWS) {
      lists[lists.length - 1] = { first: before.first, last: where.last };
      lastRows += most;
    } else {
      lists.push(where);
      lastRows = most;
    }
    lastPart = part;
    rows += most;
    if (rows >= LIST_BATCH) await list();
  }
  await list();
  return differing;
}

async function listRanges(run: Run, lane: Lane, ranges: readonly Range[], nodes: readonly string[]) {
  if (nodes.length === 0) return;
  const params = [ranges.map((range) => String(range.first)), ranges.map((range) => String(range.last))];
  await listDifferences(run, lane, nodes, async (session, side) => {
    await asUsual(session);
    return session.query<KeyHash>(rangeListSql(run.plan, side), params);
  });
}
