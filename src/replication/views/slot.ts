/** A Snapshot seen by slot. Pure. */
import { leaderOf, reachableNodes } from '../../cluster/epochs.js';
import type { ReachableNode, SlotInfo, Snapshot } from '../../cluster/model.js';
import { SCHEMA } from '../../cluster/names.js';
import type { Lsn } from '../../postgres/lsn.js';
import { nodesOf, type Unseen, unseenNodes } from './answers.js';
import { type Found, onlyOne } from './found.js';

/** feeds: a replica reads it; standby: held on a replica for a sibling; copy: of an initial copy in progress. */
export type SlotPurpose = 'feeds' | 'standby' | 'copy' | 'foreign';

export interface SlotView {
  readonly node: string;
  readonly name: string;
  readonly own: boolean;
  readonly purpose: SlotPurpose;
  /** The node that it feeds or would feed. */
  readonly for: string | null;
  readonly active: boolean;
  readonly activePid: number | null;
  readonly walStatus: string | null;
  readonly invalidReason: string | null;
  readonly retainedBytes: number;
  readonly safeWalBytes: number | null;
  readonly restartLsn: Lsn | null;
  readonly confirmedFlushLsn: Lsn | null;
  /** Of a standby slot: it holds every transaction after this position in the WAL of that epoch's leader. */
  readonly base: { readonly epoch: number; readonly lsn: Lsn } | null;
}

export interface SlotList {
  readonly slots: readonly SlotView[];
  readonly unreachable: readonly Unseen[];
}

export const slotList = (snapshot: Snapshot, only?: string): SlotList => ({
  slots: nodesOf(snapshot, only).flatMap((node) => node.slots.map((slot) => slotView(snapshot, node, slot))),
  unreachable: unseenNodes(snapshot, only),
});

/** Whether repctl made it: its name, a logical slot, and of this database. */
export const isOwn = (node: ReachableNode, slot: SlotInfo): boolean =>
  slot.own && slot.type === 'logical' && slot.database === node.database;

export function slotView(snapshot: Snapshot, node: ReachableNode, slot: SlotInfo): SlotView {
  const own = isOwn(node, slot);
  const target = own ? slot.name.slice(SCHEMA.length + 1) : null;
  const base = node.standbyBases.find((one) => own && one.sibling === target);
  const copy = /^pg_\d+_sync_\d+_\d+$/.test(slot.name);
  return {
    node: node.name,
    name: slot.name,
    own: own || copy,
    purpose: own ? (leaderOf(snapshot)?.name === node.name ? 'feeds' : 'standby') : copy ? 'copy' : 'foreign',
    for: target,
    active: slot.active,
    activePid: slot.activePid,
    walStatus: slot.walStatus,
    invalidReason: slot.invalidReason,
    retainedBytes: slot.retainedBytes,
    safeWalBytes: slot.safeWalBytes ?? null,
    restartLsn: slot.restartLsn,
    confirmedFlushLsn: slot.confirmedFlushLsn,
    base: base === undefined ? null : { epoch: base.epoch, lsn: base.baseLsn },
  };
}

/** The slot of that name. Throws `unknown-slot` or `ambiguous` (exit 2), `node-unreachable` (exit 3). */
export function findSlot(snapshot: Snapshot, name: string, on?: string): Found<SlotInfo> {
  const found = reachableNodes(snapshot)
    .filter((node) => on === undefined || node.name === on)
    .flatMap((node) => node.slots.filter((one) => one.name === name).map((item) => ({ node, item })));
  return onlyOne(snapshot, 'slot', name, found, on);
}
