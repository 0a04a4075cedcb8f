/** Sequences of a node that is about to lead, looked at before anything is done. */
import type { Fleet } from '../cluster/fleet.js';
import type { ReachableNode, Snapshot, TableName } from '../cluster/model.js';
import type { Plan } from '../plan/plan.js';
import { highestInUse, readSequences, setPastSql } from '../replication/sequences.js';
import { withRecorded } from '../replication/sequence-record.js';
import type { Action, Promote } from './actions.js';
import { sequenceExhausted } from './runners/handover.js';

export interface SequenceRoom {
  /** No room for the gap before their end. */
  readonly exhausted: readonly (TableName & { readonly last: string; readonly end: string })[];
  /** Used by no column: what was handed out by the leader shows nowhere. */
  readonly free: readonly TableName[];
}

/** Four round trips on that node. */
export async function sequenceRoom(
  fleet: Fleet,
  node: string,
  tables: readonly TableName[],
): Promise<SequenceRoom> {
  const session = await fleet.session(node);
  const sequences = await withRecorded(
    session,
    await highestInUse(session, await readSequences(session, tables)),
  );
  return {
    exhausted: setPastSql(sequences, fleet.config.sequenceGap).exhausted,
    free: sequences.filter((one) => one.columns.length === 0 && !one.cycle),
  };
}

/**
 * The plan, with a note on sequences of which nothing certain is known. Throws `sequence-exhausted` (exit 6, nothing
 * changed) where the node that it promotes has one with no room left. A plan that promotes first of all is left to
 * the promotion, which looks itself.
 */
export async function withSequences(
  fleet: Fleet,
  snapshot: Snapshot,
  plan: Plan<Action>,
): Promise<Plan<Action>> {
  const at = plan.steps.findIndex(({ action }) => action.kind === 'promote');
  if (at <= 0) return plan;
  const promotion = plan.steps[at]?.action as Promote;
  const node = snapshot.nodes.find(
    (one): one is ReachableNode => one.reachable && one.name === promotion.node,
  );
  if (node === undefined) return plan;
  const { exhausted, free } = await sequenceRoom(fleet, node.name, node.tables);
  if (exhausted[0] !== undefined) throw sequenceExhausted(exhausted, fleet.config.sequenceGap);
  if (promotion.drained === true || free.length === 0) return plan;
  return {
    ...plan,
    notes: [
      ...plan.notes,
      `no column uses ${free.map(({ schema, name }) => `${schema}.${name}`).join(', ')}: ${free.length === 1 ? 'it goes' : 'they go'} on ${String(fleet.config.sequenceGap)} past where ${node.name} has ${free.length === 1 ? 'it' : 'them'} or the last promotion set ${free.length === 1 ? 'it' : 'them'}, which may be behind what ${promotion.previousLeader} gave out (repctl sequence sync keeps them near)`,
    ],
  };
}
