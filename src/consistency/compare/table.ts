/**
 * One table on the leader and on all replicas at once: block by block, the leader read once for all, several
 * blocks at a time; what differs is narrowed down to rows, and those are judged (../recheck.ts).
 */
import { newTally } from '../tally.js';
import { compareBuckets } from './buckets.js';
import { compareRanges } from './ranges.js';
import { judge } from './rows.js';
import type { CompareRequest, CompareResult, Run } from './run.js';

/** Throws when the leader fails; a replica that fails is noted in its tally and left out from then on. */
export async function compareTable(request: CompareRequest): Promise<CompareResult> {
  const from = request.points?.from;
  const tallies = new Map(
    [...request.nodes.keys()].map((node) => [node, from?.nodes.get(node) ?? newTally()]),
  );
  const run: Run = { ...request, tallies, total: { rows: from?.rows ?? 0n, blocks: from?.blocks ?? 0 } };
  const [first] = run.lanes;
  if (first) {
    if (run.plan.method === 'ranges') await compareRanges(run);
    else await compareBuckets(run, first);
    await Promise.all([...tallies.keys()].map((node) => judge(run, first, node, 1)));
  }
  return { ...run.total, nodes: tallies };
}
