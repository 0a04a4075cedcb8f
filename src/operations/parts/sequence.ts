/** Bringing the replicas' sequences near the leader's, as a plan. Pure. */
import type { TableName } from '../../cluster/model.js';
import { type Planned, planned } from '../../plan/plan.js';
import { tableKey } from '../../replication/publications.js';
import type { SequenceSync } from '../../replication/sequence-view.js';
import type { PartAction } from './actions.js';

/** One step per replica. */
export function planSequences(
  moves: readonly SequenceSync[],
  missing: readonly (TableName & { readonly node: string })[],
): Planned<PartAction> {
  const nodes = [...new Set(moves.map((move) => move.node))];
  return planned({
    operation: 'sequence-sync',
    title: "bring the replicas' sequences to where the leader's are",
    notes: missing.map((one) => `missing on ${one.node}: ${tableKey(one)}`),
    steps: nodes.map((node) => {
      const own = moves.filter((move) => move.node === node);
      const sql = own.map((move) => move.sql);
      return {
        id: `sequences:${node}`,
        node,
        title: `set ${own.map((move) => `${tableKey(move.sequence)} ${move.from} → ${move.to}`).join(', ')} on ${node}`,
        why: 'the less a promotion has to guess, the fewer values are left out',
        sql,
        group: 'sequences',
        action: { kind: 'sql', node, sql },
      };
    }),
  });
}
