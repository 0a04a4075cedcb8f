/**
 * Taking the fence up and down under traffic. Fencing is the drain: SHARE ROW EXCLUSIVE waits for the writers in
 * flight and lets no new one in. While it waits, writers queue behind it (readers never do: ACCESS SHARE does not
 * conflict), so it waits only briefly, lets everybody through, and asks again.
 */
import type { TableName } from '../cluster/model.js';
import {
  type FencedTable,
  createFenceSql,
  disableFenceSql,
  enableFenceSql,
  fencedTablesSql,
} from '../cluster/fence.js';
import { EXIT, RepctlError } from '../errors.js';
import { qualified } from '../postgres/quote.js';
import type { Session } from '../postgres/session.js';
import { sqlStateOf } from '../postgres/sqlstate.js';
import { briefMs, lockBriefly, sendAutovacuumAway } from './brief-locks.js';
import { type LockHolder, endHolders, holderDetails, holderText, lockHolders } from './lock-holders.js';

export interface FenceUnderTraffic {
  /** The published tables, schema repctl's own included; their partitions are found here. */
  readonly tables: readonly TableName[];
  readonly wanted: 'enabled' | 'disabled';
  /** How long it tries, milliseconds. */
  readonly timeoutMs: number;
  /** How long one attempt may hold writers up, milliseconds. */
  readonly lockTimeoutMs?: number;
  /** End the sessions that hold the locks once the time is over, and try once more. */
  readonly terminateBlockers?: boolean;
  /**
   * End the sessions whose commit waits for a synchronous standby, as on a leader that was succeeded: nobody follows it
   * any more, so no wait helps. They have committed and were not acknowledged, and ending them tells no client
   * otherwise; pg_cancel_backend would answer COMMIT (SyncRepWaitForLSN in syncrep.c). Opens a second session, by which
   * they are ended while the locks are waited for: nobody new comes in before those, as clients that connect again at
   * once would.
   */
  readonly endUnconfirmed?: () => Promise<Session>;
  /**
   * In the same transaction, all locks held and no writer left: the barrier row, the event. Runs before the fence
   * goes up or after it came down, so that it may write to the fenced tables.
   */
  readonly within?: (session: Session) => Promise<void>;
  /** Told before each further attempt of who is in the way. */
  readonly onWait?: (blockers: readonly LockHolder[]) => void;
}

export interface FenceOutcome {
  /** Tables whose trigger was changed. */
  readonly changed: number;
  readonly attempts: number;
  /** Sessions that were ended. */
  readonly terminated: number;
}

/** 55P03 lock_not_available, 40P01 deadlock_detected: somebody else was first; later it may go. */
const PASSING = new Set(['55P03', '40P01']);

/**
 * One transaction: locks on all tables in sorted order, then every trigger as wanted. Tried again until
 * `timeoutMs`; throws RepctlError `fence-blocked` (exit 6, nothing changed) with who holds the locks.
 */
export async function setFence(session: Session, request: FenceUnderTraffic): Promise<FenceOutcome> {
  const deadline = performance.now() + request.timeoutMs;
  let attempts = 0;
  let terminated = 0;
  let lastChance = false;
  for (;;) {
    attempts += 1;
    try {
      const changed = await attempt(session, request, (count) => (terminated += count));
      return { changed, attempts, terminated };
    } catch (error) {
      if (!PASSING.has(sqlStateOf(error) ?? '')) throw error;
      const over = performance.now() > deadline;
      const asked = over || request.onWait !== undefined || request.endUnconfirmed !== undefined;
      const blockers = asked ? await holdersOf(session, request.tables) : [];
      request.onWait?.(blockers);
      // Where the server has no connection free for a second session.
      if (request.endUnconfirmed !== undefined) terminated += await endWaiting(session, blockers);
      if (over && (lastChance || request.terminateBlockers !== true))
        throw blocked(session, request, blockers);
      if (over) {
        lastChance = true;
        terminated += await endHolders(session, blockers);
      }
      await sendAutovacuumAway(session, request.tables);
      // Longer than was waited for: whoever queued behind gets through before the next attempt.
      await new Promise((resolve) => setTimeout(resolve, 10 + Math.min(attempts * 10, 200)));
    }
  }
}

/** Who is in the way on the tables and their partitions. */
const holdersOf = async (session: Session, tables: readonly TableName[]): Promise<readonly LockHolder[]> =>
  tables.length === 0 ? [] : lockHolders(session, await session.query<FencedTable>(fencedTablesSql(tables)));

/** {@link FenceUnderTraffic.endUnconfirmed}, for as long as `work` takes. */
async function endingUnconfirmed<T>(
  { endUnconfirmed, tables }: FenceUnderTraffic,
  ended: (count: number) => void,
  work: () => Promise<T>,
): Promise<T> {
  if (endUnconfirmed === undefined) return work();
  let over = false;
  const ending = async () => {
    const other = await endUnconfirmed();
    try {
      while (!over) {
        ended(await endWaiting(other, await holdersOf(other, tables)));
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    } finally {
      await other.close();
    }
  };
  const all = ending().catch(() => undefined);
  try {
    return await work();
  } finally {
    over = true;
    await all;
  }
}

const endWaiting = (session: Session, holders: readonly LockHolder[]): Promise<number> =>
  endHolders(
    session,
    holders.filter(({ waitsForStandby }) => waitsForStandby),
  );

const DEFAULT_LOCK_TIMEOUT_MS = 100;
/** On a leader that was succeeded nobody has to be let through. */
const SUCCEEDED_LOCK_TIMEOUT_MS = 1000;

async function attempt(
  session: Session,
  request: FenceUnderTraffic,
  ended: (count: number) => void,
): Promise<number> {
  const usual = request.endUnconfirmed === undefined ? DEFAULT_LOCK_TIMEOUT_MS : SUCCEEDED_LOCK_TIMEOUT_MS;
  const { wanted, within, lockTimeoutMs = usual } = request;
  return session.transaction(async () => {
    // No subscriber may be there to confirm this commit, and a fenced leader gets none.
    await session.simple(
      `set local synchronous_commit = local; set local lock_timeout = '${String(Math.round(lockTimeoutMs))}ms'`,
    );
    const tables = await session.query<FencedTable>(fencedTablesSql(request.tables));
    const changing = tables.filter((table) => table.fence !== wanted);
    const ms = Math.max(lockTimeoutMs, await briefMs(session));
    await endingUnconfirmed(request, ended, () =>
      lockBriefly(session, tables, { mode: 'share row exclusive', ms, only: true }),
    );
    if (wanted === 'enabled') await within?.(session);
    const statements = changing.flatMap((table) => [
      ...(table.fence === 'missing' ? [createFenceSql(table)] : []),
      wanted === 'enabled' ? enableFenceSql(table) : disableFenceSql(table),
    ]);
    if (statements.length > 0) await session.simple(statements.join('; '));
    if (wanted === 'disabled') await within?.(session);
    return changing.length;
  });
}

const blocked = (session: Session, request: FenceUnderTraffic, holders: readonly LockHolder[]): RepctlError =>
  new RepctlError(
    'fence-blocked',
    `${session.node}: the fence could not be ${request.wanted === 'enabled' ? 'taken up' : 'taken down'} within ${(request.timeoutMs / 1000).toFixed(1)} s: ${
      holders.length === 0
        ? 'sessions that hold locks on published tables are in the way'
        : holders.map(holderText).join('; ')
    }.`,
    {
      exit: EXIT.refused,
      hint: holders.some(({ waitsForStandby }) => waitsForStandby)
        ? 'Who waits for a standby here has committed and is not acknowledged, and no wait helps while none follows. --terminate-blockers ends these sessions; their rows stay, and rejoin saves what nobody else has.'
        : 'Let them finish, raise --drain-timeout, or end them: --terminate-blockers.',
      details: { node: session.node, blockers: holders.map(holderDetails) },
    },
  );

/**
 * Tries a write on each table and each partition, in a transaction that is rolled back. A statement trigger fires
 * for a statement that finds no row as well, so `delete … where false` is a real write that the fence refuses. The
 * tables where it was not refused; empty when the fence holds. Throws `privilege-missing` where it may not try.
 */
export async function unfencedTables(
  session: Session,
  tables: readonly TableName[],
): Promise<readonly TableName[]> {
  if (tables.length === 0) return [];
  const all = await session.query<FencedTable>(fencedTablesSql(tables));
  const open: TableName[] = [];
  await session.query('begin');
  try {
    await session.simple(`set local lock_timeout = '5s'; set local synchronous_commit = local`);
    for (const table of all) {
      await session.simple('savepoint attempt');
      const refused = await session
        .simple(`delete from ${qualified(table)} where false`)
        .then(() => false)
        .catch((error: unknown) => {
          if (sqlStateOf(error) === '25006') return true;
          throw error;
        });
      await session.simple('rollback to savepoint attempt');
      if (!refused) open.push({ schema: table.schema, name: table.name });
    }
  } finally {
    await session.query('rollback').catch(() => undefined);
  }
  return open;
}
