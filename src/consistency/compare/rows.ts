/** Rows that differ: listed, and judged once there are enough of them. */
import type { RepctlError } from '../../errors.js';
import type { Session } from '../../postgres/session.js';
import { isConnectionLoss } from '../../postgres/sqlstate.js';
import { type KeyHash, type RowReading, rowsParams, rowsSql, type Side } from '../blocks.js';
import { type SandwichReads, comparedOnce, sandwich } from '../recheck.js';
import { addJudgement, type NodeTally } from '../tally.js';
import { problemOf } from './problem.js';
import { ask, askAll, type Lane, type Read, type Run } from './run.js';

/** Suspects of a replica are judged together, so that it has to be waited for seldom. */
const JUDGE_AT = 2_000;

/** Values of all of them are held at once where they are wanted: so much of them, by the table's average; bytes. */
const JUDGE_BYTES = 8_000_000;

function judgedAtOnce({ allValues, leader: { shape } }: Run): number {
  if (allValues !== true) return JUDGE_AT;
  const each = Math.max(1, shape.bytes / Math.max(1, shape.estimatedRows));
  return Math.max(1, Math.min(JUDGE_AT, Math.floor(JUDGE_BYTES / each)));
}

export async function listDifferences(
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
    const different = [...new Set([...lists.leader.keys(), ...theirs.keys()])]
      .map((key) => ({ key, leader: lists.leader.get(key)?.hash, node: theirs.get(key)?.hash }))
      .filter((row) => row.leader !== row.node);
    if (run.collect) {
      if (different.length > 0) await run.collect(node, different);
      continue;
    }
    for (const { key } of different) tally.suspects.add(key);
    await judge(run, lane, node, judgedAtOnce(run));
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
export async function judge(run: Run, lane: Lane, node: string, atLeast: number): Promise<void> {
  const tally = run.tallies.get(node);
  const most = judgedAtOnce(run);
  while (tally && tally.suspects.size >= atLeast) {
    const keys = firstOf(tally.suspects, most);
    for (const key of keys) tally.suspects.delete(key);
    if (failed(tally)) {
      tally.unverified += keys.length;
      continue;
    }
    const rows = (session: Session, side: Side, wanted: readonly string[], values: boolean) =>
      session.query<RowReading>(rowsSql(run.plan, side, values), rowsParams(run.plan, wanted));
    const byKey = (found: readonly RowReading[] | undefined) => foldDoubles(found ?? []);
    const reads: SandwichReads = {
      leader: async (wanted, values) => byKey(await rows(lane.leader, run.leader, wanted, values)),
      node: async (wanted, values) =>
        byKey(await ask(run, lane, node, (session, side) => rows(session, side, wanted, values))),
      // A replica that failed while it was read has not caught up: nothing is proven by an empty answer.
      caughtUp: async () => {
        if (failed(tally)) return false;
        try {
          return await run.caughtUp(node, lane);
        } catch (error) {
          // Its own going away concerns nobody else.
          if (!isConnectionLoss(error) || (error as RepctlError).details['node'] !== node) throw error;
          tally.problem = problemOf(error);
          return false;
        }
      },
    };
    const options = {
      samples: run.allValues ? keys.length : Math.max(0, run.samples - tally.samples.length),
      counted: run.plan.method === 'multiset',
      only: run.only,
    };
    const judgement = await (run.still ? comparedOnce : sandwich)(keys, reads, options);
    // The replica failed between the wait and the reading: its rows were not read, so nothing is known of them.
    if (failed(tally)) tally.unverified += keys.length;
    else {
      addJudgement(tally, keys.length, judgement, run);
      await run.onJudged?.(node, judgement.rows);
    }
  }
}

function firstOf(set: ReadonlySet<string>, count: number): string[] {
  const found: string[] = [];
  for (const key of set) {
    if (found.length >= count) break;
    found.push(key);
  }
  return found;
}
