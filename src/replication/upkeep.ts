/**
 * Standby-slot upkeep. A replica's slots for its siblings hold the WAL that these would need if it were promoted;
 * they must be moved on, or they hold it for ever. Each goes to the mapped *durable* position of its sibling: a
 * sibling that crashes falls back to what it has flushed, and asks for everything after that.
 */
import {
  currentEpoch,
  ownSubscription,
  reachableLeader,
  reachableNodes,
  slotFor,
} from '../cluster/epochs.js';
import type { Fleet } from '../cluster/fleet.js';
import type { ReachableNode, Snapshot } from '../cluster/model.js';
import { slotName, subscriptionName } from '../cluster/names.js';
import { EXIT, RepctlError } from '../errors.js';
import { type Lsn, compareLsn } from '../postgres/lsn.js';
import type { Session } from '../postgres/session.js';
import { mappingObstacle, peekOrigins } from './mapping.js';
import { durablePosition, flushNow, originName } from './positions.js';
import { advanceSlot, standbyBaseSql } from './slots.js';

/** A standby slot that can be moved on. */
export interface UpkeepMove {
  /** The replica that has the slot. */
  readonly node: string;
  readonly sibling: string;
  readonly slot: string;
  readonly epoch: number;
  /** Subscription of `node` in this epoch. */
  readonly subscription: string;
  readonly subscriptionOid: number;
  /** What `sibling` has for good of the leader's WAL; null for the leader itself, whose slot goes to now. */
  readonly durable: Lsn | null;
}

export interface UpkeepSkip {
  readonly node: string;
  readonly sibling: string;
  readonly slot: string;
  readonly code: string;
  readonly reason: string;
}

export interface Upkeep {
  readonly moves: readonly UpkeepMove[];
  readonly skipped: readonly UpkeepSkip[];
}

/** Which standby slots can be moved on, and why the others cannot; `only`: those of one node. Pure. */
export function planUpkeep(snapshot: Snapshot, only?: string): Upkeep {
  const epoch = currentEpoch(snapshot);
  const leader = reachableLeader(snapshot);
  const moves: UpkeepMove[] = [];
  const skipped: UpkeepSkip[] = [];
  if (epoch === undefined) return { moves, skipped };
  for (const node of reachableNodes(snapshot)) {
    if (node.name === epoch.leader || (only !== undefined && node.name !== only)) continue;
    for (const sibling of snapshot.nodes.map((one) => one.name).filter((name) => name !== node.name)) {
      const slot = slotFor(node, sibling);
      if (slot === undefined) continue;
      const outcome = upkeepOf(snapshot, node, sibling, epoch.epoch, leader);
      const about = { node: node.name, sibling, slot: slot.name };
      if ('reason' in outcome) skipped.push({ ...about, ...outcome });
      else moves.push({ ...about, epoch: epoch.epoch, ...outcome });
    }
  }
  return { moves, skipped };
}

type Outcome =
  Pick<UpkeepMove, 'subscription' | 'subscriptionOid' | 'durable'> | Pick<UpkeepSkip, 'code' | 'reason'>;

function upkeepOf(
  snapshot: Snapshot,
  node: ReachableNode,
  sibling: string,
  epoch: number,
  leader: ReachableNode | undefined,
): Outcome {
  const no = (code: string, reason: string) => ({ code, reason });
  const subscription = ownSubscription(node);
  if (subscription?.name !== subscriptionName(node.name, epoch))
    return no('node-detached', `${node.name} does not follow the present leader`);
  const slot = slotFor(node, sibling);
  if (slot?.walStatus === 'lost' || (slot?.invalidReason ?? null) !== null)
    return no('slot-invalid', `the server gave the slot up; repctl rewire ${sibling} would have to copy`);
  if (slot?.active === true)
    return no('slot-active', `it is being read by process ${String(slot.activePid)}`);
  const found = { subscription: subscription.name, subscriptionOid: subscription.oid };
  if (leader === undefined) return no('no-leader', 'the leader does not answer');
  if (sibling === leader.name) return { ...found, durable: null };
  const other = snapshot.nodes.find((one) => one.name === sibling);
  if (!other?.reachable) return no('sibling-unreachable', `${sibling} does not answer`);
  const following = ownSubscription(other);
  if (following?.name !== subscriptionName(sibling, epoch))
    return no('sibling-detached', `${sibling} does not follow the present leader`);
  if (following.tables.some((table) => table.state !== 'r'))
    return no('sibling-copying', `${sibling} has not finished an initial copy`);
  const durable = durablePosition(following.appliedLsn, slotFor(leader, sibling)?.confirmedFlushLsn ?? null);
  if (durable === null) return no('position-unknown', `the position of ${sibling} cannot be read`);
  const base = node.standbyBases.find((one) => one.sibling === sibling);
  switch (mappingObstacle({ applied: durable, epoch, base })) {
    case 'no-base':
      return no('no-base', 'it is not known from where the slot is complete');
    case 'other-epoch':
      return no('other-epoch', `the slot is complete in epoch ${String(base?.epoch)} only`);
    case 'behind-base':
      return no('behind-base', `${sibling} is at ${durable}, the slot begins after ${base?.baseLsn ?? ''}`);
    case null:
      return { ...found, durable };
  }
}

export interface UpkeepResult {
  readonly node: string;
  readonly sibling: string;
  readonly slot: string;
  readonly before: Lsn;
  readonly after: Lsn;
  /** Transactions that the slot still holds for the sibling; null for the leader's. */
  readonly missing: number | null;
  /** Transactions in it that are neither the leader's nor repctl's. */
  readonly foreign: number;
}

/**
 * Moves one slot. Safe against a promotion at the same time: the position is taken before it is checked that
 * the node still follows the leader of that epoch, so it lies before any promotion; and what is mapped is
 * durable on the sibling in any case.
 */
export async function runUpkeep(fleet: Fleet, move: UpkeepMove): Promise<UpkeepResult> {
  const session = await fleet.fresh(move.node);
  try {
    const now = await flushNow(session);
    const mapping =
      move.durable === null
        ? null
        : await peekOrigins(session, move.slot, {
            applied: move.durable,
            origin: originName(move.subscriptionOid),
            upTo: now,
          });
    await stillFollows(session, move);
    const before = await confirmed(session, move.slot);
    const about = { node: move.node, sibling: move.sibling, slot: move.slot, before };
    const counts = { missing: mapping?.missing ?? null, foreign: mapping?.foreign ?? 0 };
    const target = mapping === null ? now : mapping.mapped;
    if (target === null || compareLsn(target, before) <= 0) return { ...about, after: before, ...counts };
    // Claiming less than the slot holds is safe, more is not: the base goes first.
    if (mapping?.mappedOrigin != null)
      await session.query(standbyBaseSql(move.sibling, move.epoch, mapping.mappedOrigin));
    return { ...about, after: await advanceSlot(session, move.slot, target), ...counts };
  } finally {
    await session.close();
  }
}

async function confirmed(session: Session, slot: string): Promise<Lsn> {
  const [row] = await session.query<{ lsn: Lsn | null }>(
    `select confirmed_flush_lsn::text as lsn from pg_replication_slots where slot_name = $1`,
    [slot],
  );
  return row?.lsn ?? '0/0';
}

async function stillFollows(session: Session, move: UpkeepMove): Promise<void> {
  const [row] = await session.query<{ ok: boolean }>(
    `select (select max(epoch) from repctl.epoch) = $1 and exists (
       select from pg_subscription where oid = $2 and subname = $3 and subslotname is not null
       and subdbid = (select oid from pg_database where datname = current_database())) as ok`,
    [move.epoch, move.subscriptionOid, move.subscription],
  );
  if (row?.ok === true) return;
  throw new RepctlError(
    'leader-changed',
    `${move.node}: the leader changed meanwhile; its slots are left alone.`,
    { exit: EXIT.incomplete, hint: 'Run the same command again.' },
  );
}

/** The step's SQL, for --dry-run. */
export const upkeepSql = (move: UpkeepMove): readonly string[] =>
  move.durable === null
    ? [`select pg_replication_slot_advance('${move.slot}', <now>)`]
    : [
        `-- the end here of the last transaction at or before ${move.durable} of the leader's WAL, from pg_logical_slot_peek_binary_changes('${slotName(move.sibling)}', …)`,
        `update repctl.standby set base_lsn = <its origin> where sibling = '${move.sibling}'`,
        `select pg_replication_slot_advance('${move.slot}', <mapped point>)`,
      ];
