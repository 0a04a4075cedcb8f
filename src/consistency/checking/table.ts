/** The data of one table: compared, with what went wrong on the way said instead of thrown. */
import { ownSubscription } from '../../cluster/epochs.js';
import type { ReachableNode, TableName } from '../../cluster/model.js';
import { isConnectionLoss, sqlStateOf } from '../../postgres/sqlstate.js';
import { ALTERED, problemOf } from '../compare/problem.js';
import type { CompareRequest, Lane } from '../compare/run.js';
import { compareTable } from '../compare/table.js';
import { type TableResult, nodeResult, skippedNode, tableResult } from '../result.js';
import { type Patience, leaderPosition, waitVisible } from '../visible.js';
import { type Course } from '../resume/course.js';
import { pointOf } from '../resume/saved.js';
import { assertEpoch } from './epoch.js';
import { type SeenTable, isUnchanged } from './seen.js';

export interface TableOptions extends Pick<
  CompareRequest,
  'blockRows' | 'samples' | 'onRows' | 'onJudged' | 'allValues' | 'enough' | 'still' | 'pace' | 'signal'
> {
  readonly lanes: readonly Lane[];
  readonly replicas: readonly ReachableNode[];
  /** The epoch of the leader that is compared with. */
  readonly epoch: number;
  /** How long each replica may still be waited for. */
  readonly patience: ReadonlyMap<string, Patience>;
  /** Where it is noted down how far it is, and where it goes on. */
  readonly course?: Course | undefined;
}

/** Throws when the leader is lost or another one reigns, and for an abort; whatever else fails leaves its nodes unverified. */
export async function checkTable(seen: SeenTable, options: TableOptions): Promise<TableResult> {
  const { lanes, replicas, epoch, patience, course, ...rest } = options;
  const open = course?.openBefore(seen);
  const start = performance.now() - (open?.durationMs ?? 0);
  const subscriptions = new Map(replicas.map((replica) => [replica.name, ownSubscription(replica)]));
  const elapsed = () => Math.round(performance.now() - start);
  const none = { rows: 0n, blocks: 0 };
  try {
    const compared = await compareTable({
      ...rest,
      plan: seen.plan,
      leader: seen.leader,
      nodes: seen.nodes,
      lanes,
      ...(course === undefined
        ? {}
        : {
            points: {
              from: open && pointOf(open),
              due: course.due,
              note: (point) => course.note(seen, point, elapsed()),
            },
          }),
      caughtUp: async (node, lane) => {
        const subscription = subscriptions.get(node);
        const session = lane.nodes.get(node);
        if (!subscription?.enabled || !session || copying(subscription.tables, seen.table)) return false;
        const target = await leaderPosition(lane.leader);
        // Whoever follows another leader by now never shows what this one has.
        const reigns = () => assertEpoch([lane.leader, session], epoch);
        return waitVisible(session, subscription.oid, target, patience.get(node) ?? { leftMs: 0 }, reigns);
      },
    });
    const altered = lanes[0] === undefined || (await isUnchanged(lanes[0].leader, seen)) ? null : ALTERED;
    const nodes = replicas.map(({ name }) => {
      const tally = compared.nodes.get(name);
      if (!tally) return skippedNode(name, seen.skipped.get(name) ?? 'not compared', seen.bytes.get(name));
      return nodeResult(
        seen.plan,
        name,
        { ...tally, problem: tally.problem ?? altered },
        seen.bytes.get(name),
      );
    });
    return tableResult(seen.plan, seen.leader.shape, compared, nodes, elapsed());
  } catch (error) {
    options.signal?.throwIfAborted();
    if (sqlStateOf(error) === undefined || isConnectionLoss(error)) throw error;
    const problem = problemOf(error);
    const nodes = replicas.map(({ name }) =>
      skippedNode(name, seen.skipped.get(name) ?? problem, seen.bytes.get(name)),
    );
    return tableResult(seen.plan, seen.leader.shape, none, nodes, elapsed());
  }
}

/** A table whose initial copy runs says nothing about what the stream brought; see {@link waitVisible}. */
export const copying = (
  tables: readonly (TableName & { state: string })[],
  { schema, name }: TableName,
): boolean => tables.some((table) => table.schema === schema && table.name === name && table.state !== 'r');
