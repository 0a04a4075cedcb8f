/** What waits in the leader's slots: how many transactions, and since when. */
import { randomBytes } from 'node:crypto';
import type { Session } from '../postgres/session.js';
import { type Lsn, lsnDistance } from '../postgres/lsn.js';
import { appliedPosition, reachableLeader } from './epochs.js';
import type { Fleet } from './fleet.js';
import type { ReachableNode, SlotInfo, Snapshot } from './model.js';
import { PUBLICATION, slotName } from './names.js';

/** More than this is not decoded for the sake of a figure; the bytes tell enough then. */
const MOST_BYTES = 64 * 1024 * 1024;
const MOST_MS = 1_000;
const EPOCH_2000_MS = Date.UTC(2000, 0, 1);

/**
 * Begin messages ('B' = 66): commit LSN (8 bytes), then the commit time in microseconds since 2000-01-01. Since
 * 15 pgoutput leaves out transactions without a published change, so these are the ones that matter. $2 is the
 * end of what was applied: the slot may still hold transactions whose flush was not reported yet.
 */
const pendingSql = `
  select count(*)::int as transactions,
         min(('x' || encode(substr(data, 10, 8), 'hex'))::bit(64)::int8) as first,
         ('0/0'::pg_lsn + max(('x' || encode(substr(data, 2, 8), 'hex'))::bit(64)::int8)::numeric)::text as last
    from pg_logical_slot_peek_binary_changes($1, null, null, 'proto_version', '1', 'publication_names', '${PUBLICATION}')
   where get_byte(data, 0) = 66
     and ('x' || encode(substr(data, 2, 8), 'hex'))::bit(64)::int8 >= ($2::pg_lsn - '0/0')`;

interface Behind {
  readonly slot: SlotInfo;
  readonly applied: string;
}

/**
 * The snapshot with pendingSince and pendingTransactions for the leader's slots whose replicas are behind, where
 * that is cheap. A slot that is being read cannot be peeked: a temporary copy of it can.
 */
export async function withPending(fleet: Fleet, snapshot: Snapshot): Promise<Snapshot> {
  const leader = reachableLeader(snapshot);
  const wanted = leader ? behind(snapshot, leader) : [];
  if (!leader || wanted.length === 0) return snapshot;
  const session = await fleet.fresh(leader.name).catch(() => undefined);
  if (!session) return snapshot;
  const found = new Map<string, SlotInfo>();
  try {
    await session.query(`set statement_timeout = ${String(MOST_MS)}`);
    for (const one of wanted) {
      // Taken by a worker meanwhile, no slot free for the copy, or too much to decode: then there is no figure.
      const slot = await peek(session, one).catch(() => undefined);
      if (slot) found.set(slot.name, slot);
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

async function peek(session: Session, { slot, applied }: Behind): Promise<SlotInfo | undefined> {
  let name = slot.name;
  if (slot.active) {
    // Not in the form of repctl's own slots: others who look at this moment must not take it for one.
    name = `repctltmp_${randomBytes(6).toString('hex')}`;
    await session.query('select pg_copy_logical_replication_slot($1, $2, true)', [slot.name, name]);
  }
  const [row] = await session.query<{ transactions: number; first: string | null; last: Lsn | null }>(
    pendingSql,
    [name, applied],
  );
  if (!row) return undefined;
  const since = row.first === null ? null : EPOCH_2000_MS + Number(BigInt(row.first) / 1000n);
  return {
    ...slot,
    pendingTransactions: row.transactions,
    pendingSince: since === null ? null : new Date(since).toISOString(),
    pendingUpTo: row.last,
  };
}

function behind(snapshot: Snapshot, leader: ReachableNode): readonly Behind[] {
  return leader.slots.flatMap((slot) => {
    if (!slot.own || slot.invalidReason !== null || slot.confirmedFlushLsn === null) return [];
    if (slot.retainedBytes > MOST_BYTES) return [];
    const reader = snapshot.nodes.find((node) => slotName(node.name) === slot.name);
    const applied =
      (reader?.reachable ? appliedPosition(leader, reader) : undefined) ?? slot.confirmedFlushLsn;
    return lsnDistance(applied, leader.flushLsn) > 0 ? [{ slot, applied }] : [];
  });
}
