/** Tables with an integer key: ranges of it, narrowed down where they differ. */
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
import { listDifferences } from './rows.js';
import { askAll, differs, type Lane, live, noteBlock, type Read, type Run, stillOpen } from './run.js';

/** Parts of a block that differs, and the most rows that are listed one by one at once. */
const PARTS = 64;
const LIST_ROWS = 2_000;
const LIST_BATCH = 20_000;

export async function compareRanges(run: Run): Promise<void> {
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

async function compareRange(run: Run, lane: Lane, range: Range): Promise<void> {
  const read: Read<PartDigest> = async (session, side) => {
    const [row] = await session.query<PartDigest>(rangeDigestSql(run.plan, side), bounds(range));
    return { part: 0, rows: row?.rows ?? '0', digest: row?.digest ?? '0' };
  };
  const { leader, nodes } = await askAll(run, lane, live(run), read);
  const suspects = noteBlock(run, leader, nodes);
  if (suspects.length > 0) await refine(run, lane, range, suspects);
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

async function listRanges(run: Run, lane: Lane, ranges: readonly Range[], nodes: readonly string[]) {
  if (nodes.length === 0) return;
  const params = [ranges.map((range) => String(range.first)), ranges.map((range) => String(range.last))];
  await listDifferences(run, lane, nodes, (session, side) =>
    session.query<KeyHash>(rangeListSql(run.plan, side), params),
  );
}
