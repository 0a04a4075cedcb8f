/** Where a former leader's stranded transactions can be read. Pure. */
import type { Epoch, ReachableNode, SlotInfo } from '../../cluster/model.js';
import { epochAfter } from '../../cluster/epochs.js';
import { isOwnSlot, slotName } from '../../cluster/names.js';
import { type Lsn, compareLsn } from '../../postgres/lsn.js';

/** The reign of the node that somebody else ended: its newest epoch, and the row of the one that followed. */
export interface EndedReign {
  readonly epoch: number;
  readonly successor: Epoch;
  readonly forkPoint: Lsn;
}

/**
 * The end of the node's reign as `epochs` (the present leader's) tell it; undefined when the node did not lead the
 * newest epoch that it knows, or nobody has followed it.
 */
export function endedReign(node: ReachableNode, epochs: readonly Epoch[]): EndedReign | undefined {
  const own = node.epochs[0];
  if (own?.leader !== node.name) return undefined;
  const successor = epochAfter(epochs, own.epoch);
  if (successor?.previousLeader !== node.name || successor.forkPoint === null) return undefined;
  return { epoch: own.epoch, successor, forkPoint: successor.forkPoint };
}

export type StrandedSource =
  { readonly kind: 'slot'; readonly slot: string } | { readonly kind: 'none'; readonly why: string };

/**
 * The slot that the successor used to read holds all that it did not confirm, and it confirmed no more than it
 * applied. A slot of somebody else will do when its reader had confirmed no more than the successor has.
 */
export function strandedSource(node: ReachableNode, { successor, forkPoint }: EndedReign): StrandedSource {
  const usable = (slot: SlotInfo): boolean =>
    isOwnSlot(slot.name) &&
    slot.plugin === 'pgoutput' &&
    slot.database === node.database &&
    slot.walStatus !== 'lost' &&
    slot.invalidReason === null;
  const own = node.slots.find((slot) => slot.name === slotName(successor.leader));
  if (own !== undefined && usable(own)) return { kind: 'slot', slot: own.name };
  const other = node.slots.find(
    (slot) =>
      usable(slot) && slot.confirmedFlushLsn !== null && compareLsn(slot.confirmedFlushLsn, forkPoint) <= 0,
  );
  if (other !== undefined) return { kind: 'slot', slot: other.name };
  return {
    kind: 'none',
    why:
      own === undefined
        ? `slot ${slotName(successor.leader)} is gone from ${node.name}`
        : `${node.name} gave up slot ${own.name}`,
  };
}
