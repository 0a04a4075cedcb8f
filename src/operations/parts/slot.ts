/** Dropping and advancing slots, as plans. Pure. */
import { leaderOf } from '../../cluster/epochs.js';
import type { Finding, SlotInfo, Snapshot } from '../../cluster/model.js';
import { type Planned, planned, refused } from '../../plan/plan.js';
import { dropSlotSql } from '../../replication/slots.js';
import { planUpkeep, type UpkeepSkip, upkeepSql } from '../../replication/upkeep.js';
import type { Found } from '../../replication/views/found.js';
import { isOwn, slotView } from '../../replication/views/slot.js';
import type { PartAction } from './actions.js';
import { finding, foreignFinding } from './findings.js';

/** Drops a slot that nobody reads or needs. */
export function planSlotDrop(
  snapshot: Snapshot,
  { node, item }: Found<SlotInfo>,
  foreignAllowed: boolean,
): Planned<PartAction> {
  const view = slotView(snapshot, node, item);
  const findings: Finding[] = [];
  if (!isOwn(node, item) && !foreignAllowed) findings.push(foreignFinding('Slot', node.name, item.name));
  if (item.active)
    findings.push(
      finding(
        'slot-active',
        node.name,
        `Slot ${item.name} on ${node.name} is being read by process ${String(item.activePid)}.`,
        view.for === null
          ? 'Stop its reader first.'
          : `repctl node remove ${view.for} detaches the node that reads it.`,
      ),
    );
  const member = snapshot.nodes.find((one) => one.name === view.for)?.name;
  if (view.own && member !== undefined && view.invalidReason === null && view.walStatus !== 'lost')
    findings.push(
      finding(
        'slot-needed',
        node.name,
        view.purpose === 'feeds'
          ? `Slot ${item.name} holds what ${member} has not received yet: without it that node must be copied again.`
          : `Slot ${item.name} lets ${member} follow ${node.name} without a copy if that is promoted.`,
        view.purpose === 'feeds'
          ? `repctl node remove ${member}`
          : `repctl slot advance --node ${node.name} frees the WAL that it holds in vain.`,
      ),
    );
  if (findings.length > 0) return refused('slot-drop', findings);
  return planned({
    operation: 'slot-drop',
    title: `drop slot ${item.name} on ${node.name}`,
    notes: [`It keeps ${String(item.retainedBytes)} bytes of WAL, which the server may then remove.`],
    steps: [
      {
        id: `drop-slot:${item.name}`,
        node: node.name,
        title: `drop ${item.name}`,
        why: 'nobody reads it',
        sql: [dropSlotSql(item.name)],
        action: { kind: 'drop-slot', node: node.name, slot: item.name, sibling: view.for },
      },
    ],
  });
}

export interface SlotAdvancePlan {
  readonly planned: Planned<PartAction>;
  readonly skipped: readonly UpkeepSkip[];
}

/** Standby-slot upkeep; `only`: of one node. */
export function planSlotAdvance(snapshot: Snapshot, only?: string): SlotAdvancePlan {
  const { moves, skipped } = planUpkeep(snapshot, only);
  const notes = skipped.map((one) => `left alone: ${one.slot} on ${one.node}: ${one.reason}`);
  if (only !== undefined && leaderOf(snapshot)?.name === only)
    notes.push(`${only} is the leader: its slots feed the replicas and move with them.`);
  return {
    skipped,
    planned: planned({
      operation: 'slot-advance',
      title: 'move standby slots to what their nodes have for good',
      notes,
      steps: moves.map((move) => ({
        id: `advance:${move.node}:${move.sibling}`,
        node: move.node,
        title: `advance ${move.slot} on ${move.node}`,
        why:
          move.durable === null
            ? `${move.sibling} leads: of this node's WAL it needs nothing`
            : `${move.sibling} has everything up to ${move.durable} of the leader's WAL on disk`,
        sql: upkeepSql(move),
        // Decoding takes the processor of its node: nodes side by side, slots of one node one by one.
        action: { kind: 'advance-slot', move },
      })),
    }),
  };
}
