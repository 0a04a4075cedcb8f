/** What differs in a table, by digest: one scan on either side, and only what differs is looked into. */
import type { Session } from '../../postgres/session.js';
import { compareTable } from '../compare/table.js';
import { type Stage, addToStage } from './stage.js';

/** Two sessions that read at the same time as other lanes do; the leader's all see one snapshot. */
export interface ReadLane {
  readonly leader: Session;
  readonly node: Session;
}

export interface FindOptions {
  /** Rows in a block; default 50,000. */
  readonly blockRows?: number;
  /** Called with the number of the leader's rows read since the last call. */
  readonly onRows?: (rows: number) => void;
}

/**
 * Stages every row that differs. Nobody may write to the node's table meanwhile: `writer`, whose transaction the
 * stage belongs to, holds a lock on it. Returns the leader's number of rows.
 */
export async function findDifferences(
  lanes: readonly ReadLane[],
  writer: Session,
  stage: Stage,
  options: FindOptions = {},
): Promise<bigint> {
  const { plan, leader, node } = stage.table;
  const name = writer.node;
  const compared = await compareTable({
    plan,
    leader,
    nodes: new Map([[name, node]]),
    lanes: lanes.map((lane) => ({ leader: lane.leader, nodes: new Map([[name, lane.node]]) })),
    blockRows: options.blockRows ?? 50_000,
    samples: 0,
    caughtUp: () => Promise.resolve(true),
    collect: (_, rows) => addToStage(writer, stage, rows),
    ...(options.onRows ? { onRows: options.onRows } : {}),
  });
  return compared.rows;
}
