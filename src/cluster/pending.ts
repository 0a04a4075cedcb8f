/** What waits in a slot that nobody reads at the moment: how many transactions, and since when. */
import type { Fleet } from './fleet.js';
import type { ReachableNode, SlotInfo, Snapshot } from './model.js';
import { reachableLeader } from './epochs.js';
import { lsnDistance } from '../postgres/lsn.js';
import { PUBLICATION } from './names.js';

/** More than this is not decoded for the sake of a figure; the bytes tell enough then. */
const MOST_BYTES = 64 * 1024 * 1024;
const MOST_MS = 1_000;

/**
 * Begin messages ('B' = 66): final LSN (8 bytes), then the commit time in microseconds since 2000-01-01.
 * Since 15 pgoutput leaves out transactions without a published change, so these are the ones that matter.
 */
const pendingSql = `
  select count(*)::int as transactions,
         min(('x' || encode(substr(data, 10, 8), 'hex'))::bit(64)::int8) as first
    from pg_logical_slot_peek_binary_changes($1, null, null, 'proto_version', '1', 'publication_names', '${PUBLICATION}')
   where get_byte(data, 0) = 66`;

const EPOCH_2000_MS = Date.UTC(2000, 0, 1);

/** The snapshot with pendingSince and pendingTransactions for the leader's idle slots, where that is cheap. */
export async function withPending(fleet: Fleet, snapshot: Snapshot): Promise<Snapshot> {
  const leader = reachableLeader(snapshot);
  if (!leader) return snapshot;
  const wanted = leader.slots.filter((slot) => isCheap(leader, slot));
  if (wanted.length === 0) return snapshot;
  const found = new Map<string, SlotInfo>();
  const session = await fleet.fresh(leader.name).catch(() => undefined);
  if (!session) return snapshot;
  try {
    await session.query(`set statement_timeout = ${String(MOST_MS)}`);
    for (const slot of wanted) {
      // A worker may have taken the slot meanwhile, or there is too much of it: then there is no figure.
      const rows = await session
        .query<{ transactions: number; first: string | null }>(pendingSql, [slot.name])
        .catch(() => []);
      const row = rows[0];
      if (!row) continue;
      const since = row.first === null ? null : EPOCH_2000_MS + Number(BigInt(row.first) / 1000n);
      found.set(slot.name, {
        ...slot,
        pendingTransactions: row.transactions,
        pendingSince: since === null ? null : new Date(since).toISOString(),
      });
    }
  } finally {
    await session.close();
  }
  const slots = leader.slots.map((slot) => found.get(slot.name) ?? slot);
  return {
    ...snapshot,
    nodes: snapshot.nodes.map((node) => (node === leader ? { ...leader, slots } : node)),
  };
}

function isCheap(leader: ReachableNode, slot: SlotInfo): boolean {
  return (
    slot.own &&
    !slot.active &&
    slot.invalidReason === null &&
    slot.confirmedFlushLsn !== null &&
    lsnDistance(slot.confirmedFlushLsn, leader.flushLsn) > 0 &&
    slot.retainedBytes <= MOST_BYTES
  );
}
