/** Logical slots: how they are made, moved and dropped. */
import { setTimeout as pause } from 'node:timers/promises';
import { EXIT, RepctlError } from '../errors.js';
import { literal } from '../postgres/quote.js';
import { type Lsn, compareLsn } from '../postgres/lsn.js';
import type { Session } from '../postgres/session.js';
import { sqlStateOf } from '../postgres/sqlstate.js';
import { SCHEMA } from '../cluster/names.js';
import { slotError } from './mapping.js';

export const createSlotSql = (name: string): string =>
  `select pg_create_logical_replication_slot(${literal(name)}, 'pgoutput')`;

export const dropSlotSql = (name: string): string => `select pg_drop_replication_slot(${literal(name)})`;

export const advanceSlotSql = (name: string, lsn: Lsn): string =>
  `select end_lsn::text from pg_replication_slot_advance(${literal(name)}, ${literal(lsn)}::pg_lsn)`;

/**
 * `Slot repctl_<sibling> on this node holds every transaction after base (in the WAL of epoch's leader).`
 *
 * A new standby slot's base is this node's applied position read *after* the slot was made: whatever is not in
 * the slot was committed here before, so its origin is at or before that position. Make the slot only after this
 * node's initial copy is done: the copy's own transactions lose their origin with the sync worker, would look
 * local, and would ship to the sibling a second time.
 *
 * Raise the base before the slot is advanced: claiming less than the slot holds is safe, more is not.
 */
export const standbyBaseSql = (sibling: string, epoch: number, base: Lsn): string =>
  `insert into ${SCHEMA}.standby (sibling, epoch, base_lsn) values (${literal(sibling)}, ${String(epoch)}, ${literal(base)}::pg_lsn) ` +
  `on conflict (sibling) do update set epoch = excluded.epoch, base_lsn = excluded.base_lsn`;

export const dropStandbyBaseSql = (sibling: string): string =>
  `delete from ${SCHEMA}.standby where sibling = ${literal(sibling)}`;

/**
 * Moves a slot forward to `lsn`, a position of this node; does nothing when it is there or past it. Returns where
 * the slot is then. pg_replication_slot_advance stops at the flushed position without an error, and a slot that
 * stopped short sends transactions twice: so what it returns is compared. Throws RepctlError `slot-advance-short`
 * (exit 7), `slot-missing`, `slot-active`, `slot-unusable` (exit 6).
 */
export async function advanceSlot(session: Session, slot: string, lsn: Lsn): Promise<Lsn> {
  const [found] = await session.query<{ confirmed: Lsn | null }>(
    `select confirmed_flush_lsn::text as confirmed from pg_replication_slots where slot_name = $1`,
    [slot],
  );
  if (found === undefined) {
    throw new RepctlError('slot-missing', `${session.node} has no slot ${slot}.`, {
      exit: EXIT.refused,
      hint: 'repctl slot list',
      details: { node: session.node, slot },
    });
  }
  if (found.confirmed !== null && compareLsn(found.confirmed, lsn) >= 0) return found.confirmed;
  let rows: { end_lsn: Lsn }[];
  try {
    rows = await onceFree(() => session.query<{ end_lsn: Lsn }>(advanceSlotSql(slot, lsn)));
  } catch (error) {
    throw slotError(error, session.node, slot);
  }
  const end = rows[0]?.end_lsn ?? '0/0';
  if (compareLsn(end, lsn) < 0) {
    throw new RepctlError(
      'slot-advance-short',
      `${session.node}: slot ${slot} stopped at ${end}, short of ${lsn}: that position is not flushed yet.`,
      { exit: EXIT.incomplete, hint: 'Run the same command again.', details: { slot, end, wanted: lsn } },
    );
  }
  return end;
}

/**
 * Writes to disk how far a slot was advanced, for whoever subscribes from it next: a subscription has no position of
 * its own before its first transaction, and an advanced slot is written at the next checkpoint only, so that a server
 * that crashed before both would send it transactions that it has. Copying a slot writes it (copy_replication_slot()
 * in slotfuncs.c), so it is copied away and back, in one message: a repctl that is killed leaves it whole. Takes one
 * more slot for that moment; where none is free the slot is left as it is.
 */
export async function persistSlot(session: Session, slot: string): Promise<void> {
  const [own, spare] = [literal(slot), literal(`moved_${slot}`)];
  const statements = [
    `select pg_copy_logical_replication_slot(${own}, ${spare}, true)`,
    `select pg_drop_replication_slot(${own})`,
    `select pg_copy_logical_replication_slot(${spare}, ${own}, false)`,
    `select pg_drop_replication_slot(${spare})`,
  ];
  try {
    await onceFree(() => session.simple(statements.join('; ')));
  } catch (error) {
    if (sqlStateOf(error) !== NO_SLOT_FREE) throw slotError(error, session.node, slot);
  }
}

/** configuration_limit_exceeded: max_replication_slots are in use. */
const NO_SLOT_FREE = '53400';

/** How long the backend of a run that was killed may still be at work on a slot, milliseconds. */
const LEAVES_MS = 2000;

/** Runs `work` again while the slot is in use (55006), for as long as that may be somebody who is leaving. */
async function onceFree<T>(work: () => Promise<T>): Promise<T> {
  const deadline = performance.now() + LEAVES_MS;
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (sqlStateOf(error) !== '55006' || performance.now() > deadline) throw error;
      await pause(20);
    }
  }
}

/** Drops a slot; does nothing when there is none. Throws RepctlError `slot-active` (exit 6) while it is in use. */
export async function dropSlot(session: Session, slot: string): Promise<boolean> {
  const found = await session.query(`select 1 from pg_replication_slots where slot_name = $1`, [slot]);
  if (found.length === 0) return false;
  try {
    await session.query(dropSlotSql(slot));
  } catch (error) {
    throw slotError(error, session.node, slot);
  }
  return true;
}

/** Makes the slot unless it is there. Returns whether it was made. It waits for open transactions to end. */
export async function ensureSlot(session: Session, slot: string): Promise<boolean> {
  const found = await session.query(`select 1 from pg_replication_slots where slot_name = $1`, [slot]);
  if (found.length > 0) return false;
  await session.query(createSlotSql(slot));
  return true;
}
