/**
 * Attaches a table whose rows a replica has already, without copying: exact, also while the leader takes writes.
 *
 * REFRESH with copy_data=false takes a table up at whatever position the worker is, so there must be a moment at
 * which replica and leader are equal, nothing on its way touches the table, and the refresh happens:
 *  1. A temporary slot on the leader marks a position; a snapshot after it is compared with the replica's rows,
 *     which stand still (fenced, and not replicated yet). This may take long; writers go on.
 *  2. The table is locked on the leader (writers wait, readers do not), the slot shows whether anything was
 *     written to it since the mark. If so, the attempt is over and nothing has happened.
 *  3. Still locked: the replica has caught up with the leader, so no older change of the table is on its way.
 *     REFRESH, then the lock ends. What is written from then on is applied.
 */
import { PROBE_KIND, PUBLICATION } from '../../cluster/names.js';
import { commonFlavour, tablesEqual } from '../../consistency/equal.js';
import { EXIT, RepctlError } from '../../errors.js';
import type { StepResult } from '../../plan/execute.js';
import { literal, qualified } from '../../postgres/quote.js';
import type { Session } from '../../postgres/session.js';
import { tableKey } from '../../replication/publications.js';
import { refreshSubscriptionSql } from '../../replication/subscriptions.js';
import type { RunnerContext } from '../runners/context.js';
import type { TablesAction } from './actions.js';
import { awaitEvent } from './events.js';
import { locked } from './lock.js';

type AttachTable = Extract<TablesAction, { kind: 'attach-table' }>;

const ATTEMPTS = 3;

export async function attachProved(context: RunnerContext, action: AttachTable): Promise<StepResult> {
  const replica = await context.fleet.session(action.node);
  for (let attempt = 1; ; attempt += 1) {
    // Sessions of their own: a snapshot, a slot's decoding and a lock must not meet in one backend.
    const [reader, marker] = await Promise.all([
      context.fleet.fresh(action.leader),
      context.fleet.fresh(action.leader),
    ]);
    try {
      const slot = `repctl_prove_${String(process.pid)}_${action.node}`;
      await marker.query(`select pg_create_logical_replication_slot($1, 'pgoutput', true)`, [slot]);
      const rows = await compare(reader, replica, action);
      const attached = await locked(reader, action.table, async () => {
        if (await writtenSince(marker, slot, action)) return false;
        const id = await barrier(context, marker, action);
        await awaitEvent(context, id, [action.node]);
        await replica.query(refreshSubscriptionSql(action.subscription, false));
        return true;
      });
      if (attached) return { rowsCompared: rows, rowsCopied: 0, attempts: attempt };
    } finally {
      await Promise.all([reader.close(), marker.close()]);
    }
    if (attempt === ATTEMPTS) throw tableBusy(action);
  }
}

/** Rows compared. Throws `not-equal` (exit 5). */
async function compare(reader: Session, replica: Session, action: AttachTable): Promise<number> {
  await commonFlavour([reader, replica]);
  await reader.query('set statement_timeout = 0');
  const results = await reader.transaction(
    () => tablesEqual(reader, replica, [action.table]),
    'isolation level repeatable read',
  );
  const [result] = results;
  if (result?.equal === true) return Number(result.leader?.rows ?? 0);
  throw new RepctlError(
    'not-equal',
    `${tableKey(action.table)} on ${action.node} is not equal to ${action.leader}'s: ${result?.reason ?? 'it differs'}.`,
    {
      exit: EXIT.diverged,
      hint: `Empty it on ${action.node} and run the same command again: it is then copied. Or stop its writers meanwhile.`,
      details: { node: action.node, table: action.table },
    },
  );
}

/** Insert (73), Update (85), Delete (68) begin with the relation's OID; a Truncate (84) may be anybody's. */
async function writtenSince(marker: Session, slot: string, action: AttachTable): Promise<boolean> {
  const [row] = await marker.query<{ written: boolean }>(
    `select exists (select from pg_logical_slot_peek_binary_changes($1, null, null, 'proto_version', '1', 'publication_names', $2) m
      where get_byte(data, 0) = 84 or (get_byte(data, 0) in (73, 85, 68) and substr(data, 2, 4) in (
        select int4send(t.oid::int) from (select ${literal(qualified(action.table))}::regclass::oid
          union select relid::oid from pg_partition_tree(${literal(qualified(action.table))}::regclass)) t(oid)))) as written`,
    [slot, PUBLICATION],
  );
  return row?.written === true;
}

/** A row that the replica must see: everything before it in the stream is then applied. */
async function barrier(context: RunnerContext, session: Session, action: AttachTable): Promise<string> {
  const [row] = await session.query<{ id: string }>(
    `insert into repctl.event (epoch, kind, node, operator, details) values ($1, $2, $3, $4, $5) returning id`,
    [
      action.epoch,
      PROBE_KIND,
      action.node,
      context.operator,
      JSON.stringify({ table: tableKey(action.table) }),
    ],
  );
  return row?.id ?? '';
}

const tableBusy = (action: AttachTable): RepctlError =>
  new RepctlError(
    'table-busy',
    `${tableKey(action.table)} is written to on ${action.leader} faster than it can be compared with ${action.node}'s.`,
    {
      exit: EXIT.incomplete,
      hint: `Run the same command again while nobody writes to it, or empty it on ${action.node}: it is then copied.`,
      details: { node: action.node, table: action.table },
    },
  );
