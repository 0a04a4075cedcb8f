/** A fresh slot for a node on the leader, and sessions that see precisely what the slot does not send. */
import { EXIT, RepctlError, messageOf } from '../../errors.js';
import { slotName } from '../../cluster/names.js';
import { connectionOf } from '../../config/connection.js';
import { type Lsn, ZERO_LSN } from '../../postgres/lsn.js';
import { ident, literal } from '../../postgres/quote.js';
import type { Session } from '../../postgres/session.js';
import { dropStandbyBaseSql } from '../../replication/slots.js';
import { withoutUnconfirmed } from '../../replication/unconfirmed.js';
import { AS_LONG_AS_IT_TAKES_SQL, type RunnerContext } from './context.js';
import { dropSlotHard } from './teardown.js';

export interface SlotSnapshot {
  /** In one read-only transaction each, at the point where the slot begins; without a statement timeout. */
  readonly sessions: readonly Session[];
  close(): Promise<void>;
}

/**
 * Slot repctl_<node> on the leader, made anew, with `count` sessions at its beginning. What the leader knew of the
 * former slot goes first: its base would make a later run believe that the new one holds what the old one held.
 * Throws `snapshot-failed` (exit 7) when transactions on the leader do not end in time, and what connecting throws.
 */
export async function slotWithSnapshot(
  context: RunnerContext,
  leader: string,
  node: string,
  count: number,
): Promise<SlotSnapshot> {
  const there = await context.fleet.session(leader);
  await there.simple(dropStandbyBaseSql(node));
  await dropSlotHard(there, slotName(node));
  const sessions: Session[] = [];
  const closeSessions = () => Promise.all(sessions.map((session) => session.close()));
  const opening = await Promise.allSettled(
    Array.from({ length: count }, async () => {
      sessions.push(await context.fleet.fresh(leader));
    }),
  );
  const refused = opening.find((outcome) => outcome.status === 'rejected');
  if (refused) {
    await closeSessions();
    throw refused.reason;
  }
  const exported = await exportSnapshot(context, leader, slotName(node)).catch(async (error: unknown) => {
    await closeSessions();
    throw error;
  });
  try {
    for (const session of sessions) {
      await session.simple(AS_LONG_AS_IT_TAKES_SQL);
      await session.simple(
        `begin isolation level repeatable read read only; set transaction snapshot ${literal(exported.snapshot)}`,
      );
    }
  } catch (error) {
    await closeSessions();
    throw error;
  } finally {
    // Sessions that have taken the snapshot over keep it.
    await exported.close();
  }
  return {
    sessions,
    close: async () => {
      await closeSessions();
    },
  };
}

export interface Moment {
  /** A session in a read-only transaction that sees precisely what was committed before {@link lsn}. */
  readonly session: Session;
  readonly lsn: Lsn;
  close(): Promise<void>;
}

/**
 * A point in a node's WAL with a session that sees exactly what was committed before it: a slot that is moved there
 * sends the rest. The slot that tells it is a temporary one and gone when this returns. Throws `snapshot-failed`.
 */
export async function momentOf(context: RunnerContext, name: string, slot: string): Promise<Moment> {
  const session = await context.fleet.fresh(name);
  try {
    const exported = await exportSnapshot(context, name, slot, 'TEMPORARY ');
    try {
      await session.simple(AS_LONG_AS_IT_TAKES_SQL);
      await session.simple(
        `begin isolation level repeatable read read only; set transaction snapshot ${literal(exported.snapshot)}`,
      );
    } finally {
      await exported.close();
    }
    return { session, lsn: exported.lsn, close: () => session.close() };
  } catch (error) {
    await session.close();
    throw error;
  }
}

interface ExportedSnapshot {
  readonly snapshot: string;
  /** Where the slot begins. */
  readonly lsn: Lsn;
  close(): Promise<void>;
}

/** A replication connection speaks the simple protocol only; the snapshot lives while it stays idle. */
async function exportSnapshot(
  context: RunnerContext,
  leader: string,
  slot: string,
  temporary: 'TEMPORARY ' | '' = '',
): Promise<ExportedSnapshot> {
  const { default: pg } = await import('pg');
  const { config } = context.fleet;
  const client = new pg.Client({
    ...connectionOf(context.fleet.node(leader).url),
    application_name: 'repctl',
    connectionTimeoutMillis: config.connectTimeoutMs,
    ...({ replication: 'database' } as object),
  });
  client.on('error', () => undefined);
  try {
    await client.connect();
    // Making a slot waits for every transaction that is open, and obeys no other timeout.
    await client.query(`set lock_timeout = ${String(Math.round(config.statementTimeoutMs))}`);
    const result = await withoutUnconfirmed(context.fleet, leader, () =>
      client.query<{ snapshot_name: string; consistent_point: Lsn }>(
        `CREATE_REPLICATION_SLOT ${ident(slot)} ${temporary}LOGICAL pgoutput (SNAPSHOT 'export')`,
      ),
    );
    const close = () => client.end().catch(() => undefined);
    const row = result.rows[0];
    return { snapshot: row?.snapshot_name ?? '', lsn: row?.consistent_point ?? ZERO_LSN, close };
  } catch (error) {
    await client.end().catch(() => undefined);
    const waited = (error as { code?: string }).code === '55P03';
    throw new RepctlError(
      'snapshot-failed',
      waited
        ? `${leader}: a transaction that has been open for more than ${(config.statementTimeoutMs / 1000).toFixed(0)} s keeps the slot from being made.`
        : `${leader}: no slot with a snapshot could be made: ${messageOf(error)}`,
      {
        exit: EXIT.incomplete,
        ...(waited
          ? {
              hint: 'repctl doctor names long transactions; repctl status says if commits wait there for replicas.',
            }
          : {}),
        cause: error,
      },
    );
  }
}
