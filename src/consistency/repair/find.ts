/** Which rows of which replicas differ: compared and judged as `check` does it, but every one of them, by key. */
import { ownSubscription } from '../../cluster/epochs.js';
import type { Fleet } from '../../cluster/fleet.js';
import type { ReachableNode, TableName } from '../../cluster/model.js';
import type { TablePlan } from '../blocks.js';
import { openLane, openMore } from '../checking/lanes.js';
import type { Participants } from '../checking/participants.js';
import type { CheckProgress } from '../checking/request.js';
import { seeTable } from '../checking/seen.js';
import { copying } from '../checking/table.js';
import { compareTable } from '../compare/table.js';
import { type Lane, sessionsOf } from '../compare/run.js';
import { commonFlavour } from '../equal.js';
import type { DifferenceKind, JudgedRow } from '../recheck.js';
import { selectTables } from '../select.js';
import { publishedTables } from '../state.js';
import { leaderPosition, waitVisible } from '../visible.js';

export interface FindRequest {
  /** `products`, `public.products`; none for all published ones. */
  readonly tables: readonly string[];
  readonly concurrency: number;
  readonly blockRows: number;
  /** Rows of this kind are looked for; the others are counted. */
  readonly only?: DifferenceKind | undefined;
  /** Rows that are looked for, per table and replica; one that differs in more is not looked into further. */
  readonly most: number;
  /** Rows whose values are read too, per table and replica. */
  readonly samples: number;
  /** How long a replica that lags may be waited for, altogether. */
  readonly waitMs: number;
  readonly onProgress?: (progress: CheckProgress) => void;
  readonly signal?: AbortSignal | undefined;
}

/** One table on one replica. */
export interface NodeDifferences {
  readonly node: string;
  readonly table: TableName;
  readonly plan: TablePlan;
  /** Proven ones, and those that could not be told from a change in flight. */
  readonly rows: readonly JudgedRow[];
  /** Rows of other kinds than the one that is looked for: only counted, however many they are. */
  readonly others: Readonly<OtherRows>;
  /** There are more than were looked for. */
  readonly more: boolean;
  /** Why it could not be compared to the end; null when it could. */
  readonly problem: string | null;
}

export type OtherRows = Record<DifferenceKind | 'undecided', number>;

export const sumOf = ({ missing, extra, differing, undecided }: Readonly<OtherRows>): number =>
  missing + extra + differing + undecided;

export const noOthers = (): OtherRows => ({ missing: 0, extra: 0, differing: 0, undecided: 0 });

export interface Found {
  /** Tables that are equal are left out. */
  readonly differences: readonly NodeDifferences[];
  /** Partitions of tables that were named, which are not published: their rows were not compared. */
  readonly unpublished: readonly TableName[];
}

/** Throws as `check` does. */
export async function findDifferences(
  fleet: Fleet,
  { leader, replicas }: Pick<Participants, 'leader' | 'replicas'>,
  request: FindRequest,
): Promise<Found> {
  const lanes: Lane[] = [];
  const names = replicas.map(({ name }) => name);
  try {
    const first = await openLane(fleet, leader.name, names);
    lanes.push(first);
    const flavour = await commonFlavour(sessionsOf(lanes));
    const patience = new Map(replicas.map((replica) => [replica.name, { leftMs: request.waitMs }]));
    const subscriptions = new Map(replicas.map((replica) => [replica.name, ownSubscription(replica)]));
    const found: NodeDifferences[] = [];
    const selected = await selectTables(first.leader, publishedTables(leader), request.tables);
    for (const table of selected.tables) {
      const seen = await seeTable(first, table, flavour);
      if (seen === undefined) continue;
      const { estimatedRows } = seen.leader.shape;
      if (seen.plan.method === 'ranges' && estimatedRows > request.blockRows)
        lanes.push(...(await openMore(fleet, leader.name, names, request.concurrency - lanes.length)));
      const rows = new Map(names.map((name) => [name, { wanted: [] as JudgedRow[], others: noOthers() }]));
      let read = 0;
      const compared = await compareTable({
        plan: seen.plan,
        leader: seen.leader,
        nodes: seen.nodes,
        lanes,
        blockRows: request.blockRows,
        samples: request.samples,
        only: request.only,
        enough: (node) => (rows.get(node)?.wanted.length ?? 0) >= request.most,
        onJudged: (node, judged) => {
          const { wanted = [], others = noOthers() } = rows.get(node) ?? {};
          for (const row of judged)
            if ((request.only ?? row.kind) === row.kind) wanted.push(row);
            else others[row.proven ? row.kind : 'undecided'] += 1;
        },
        caughtUp: async (node, lane) => {
          const subscription = subscriptions.get(node);
          const session = lane.nodes.get(node);
          if (!subscription?.enabled || !session || copying(subscription.tables, table)) return false;
          const target = await leaderPosition(lane.leader);
          return waitVisible(session, subscription.oid, target, patience.get(node) ?? { leftMs: 0 });
        },
        onRows: (more) => {
          read += more;
          request.onProgress?.({ table, rows: read, ofRows: estimatedRows });
        },
        ...(request.signal ? { signal: request.signal } : {}),
      });
      for (const { name } of replicas) {
        const tally = compared.nodes.get(name);
        const problem = tally === undefined ? (seen.skipped.get(name) ?? 'not compared') : tally.problem;
        const { wanted = [], others = noOthers() } = rows.get(name) ?? {};
        const more = (tally?.blocksNotListed ?? 0) > 0;
        if (wanted.length > 0 || sumOf(others) > 0 || more || problem !== null)
          found.push({ node: name, table, plan: seen.plan, rows: wanted, others, more, problem });
      }
    }
    return { differences: found, unpublished: selected.unpublished };
  } finally {
    await Promise.all(sessionsOf(lanes).map((session) => session.close()));
  }
}

/** Those of these replicas that show what the leader has now, asked for `waitMs` at most. */
export async function caughtUp(
  fleet: Fleet,
  leader: ReachableNode,
  replica: ReachableNode,
  waitMs: number,
): Promise<boolean> {
  const subscription = ownSubscription(replica);
  if (!subscription?.enabled) return false;
  const target = await leaderPosition(await fleet.session(leader.name));
  return waitVisible(await fleet.session(replica.name), subscription.oid, target, { leftMs: waitMs });
}
