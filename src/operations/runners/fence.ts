/**
 * Fencing a leader under traffic, with the barrier row in the same transaction. SHARE ROW EXCLUSIVE waits for the
 * writers in flight, and others queue behind it (readers never do): so it is asked for briefly, and once it was
 * refused only when those who held locks then are gone.
 */
import { randomUUID } from 'node:crypto';
import type { RunContext, StepResult } from '../../plan/execute.js';
import { type FencedTable, enableFenceSql, fencedTablesSql } from '../../cluster/fence.js';
import { BARRIER_KIND } from '../../cluster/names.js';
import type { TableName } from '../../cluster/model.js';
import { EXIT, RepctlError } from '../../errors.js';
import { literal } from '../../postgres/quote.js';
import type { Session } from '../../postgres/session.js';
import { sqlStateOf } from '../../postgres/sqlstate.js';
import { runUpkeep } from '../../replication/upkeep.js';
import {
  type LockHolder,
  endHolders,
  holderDetails,
  holderText,
  lockHolders,
} from '../../replication/lock-holders.js';
import type { Fence } from '../actions.js';
import { type SwitchoverContext, waitFor } from './context.js';
import type { Fenced } from './handed-on.js';
import { beginAlone, lockSql, lockTarget, readyTarget } from './handover.js';
import { reserveEpoch } from './reserve.js';
import { armTarget } from './sync.js';

/** How long one attempt may hold writers up, milliseconds: on one table, and on all of them together. */
const LOCK_MS = 80;
const ALL_LOCKS_MS = 90;
const PAUSE_MS = 20;
/** 55P03 lock_not_available, 57014 query_canceled (all the locks took too long), 40P01 deadlock_detected. */
const PASSING = new Set(['55P03', '57014', '40P01']);

export async function fence(context: SwitchoverContext, action: Fence, run: RunContext): Promise<StepResult> {
  const { handover, fleet } = context;
  // All at once, but the target's locks last: they keep autovacuum away only as long as needed.
  const [{ session, pid, fences }, target] = await Promise.all([
    readyLeader(context, action),
    readyTarget(context, action.target, action.tables),
    armTarget(context, action.target, action.sync),
    reserveEpoch(context, action.reserve),
    ...action.upkeep.map((move) => runUpkeep(fleet, move)),
  ]);
  handover.target = target;
  await lockTarget(target);
  const id = randomUUID();
  const details = JSON.stringify({ target: action.target });
  // The row goes first: once the trigger is enabled it refuses this transaction too.
  const statements = [
    `set local lock_timeout = '${String(LOCK_MS)}ms'; set local statement_timeout = '${String(ALL_LOCKS_MS)}ms'`,
    lockSql(fences, 'share row exclusive'),
    `set local statement_timeout = '${String(fleet.config.statementTimeoutMs)}ms'`,
    `insert into repctl.event (id, epoch, kind, node, operator, reason, details) values (${literal(id)}, ${String(action.epoch)}, ${literal(BARRIER_KIND)}, ${literal(action.node)}, ${literal(context.operator)}, ${context.reason === null ? 'null' : literal(context.reason)}, ${literal(details)})`,
    ...fences.map(enableFenceSql),
    'select pg_current_wal_insert_lsn()::text',
    'commit',
    'select pg_current_wal_flush_lsn()::text',
  ].join('; ');
  const deadline = performance.now() + action.timeoutMs;
  let last: readonly LockHolder[] = [];
  let terminated = 0;
  for (let attempts = 1; ; attempts += 1) {
    await beginAlone(session, fences);
    handover.fenceSent = { leader: action.node, pid };
    try {
      handover.fence = fenced(id, await session.results(statements));
      return { attempts, ...(terminated > 0 ? { terminated } : {}) };
    } catch (error) {
      if (!PASSING.has(sqlStateOf(error) ?? '')) throw error;
      await session.simple('rollback');
    }
    last = await gone(session, fences, deadline, (holders) => {
      run.report({ message: `waits for ${holders.map(({ pid }) => `pid ${String(pid)}`).join(', ')}` });
    });
    if (last.length === 0 && performance.now() < deadline) continue;
    if (!action.terminateBlockers || terminated > 0 || last.length === 0) throw blocked(action, last);
    terminated = await endHolders(session, last);
    if (terminated < last.length) throw blocked(action, last);
  }
}

async function readyLeader(context: SwitchoverContext, action: Fence) {
  const session = await context.fleet.fresh(action.node);
  const fences = await session.query<FencedTable>(fencedTablesSql(action.tables));
  const [own] = await session.query<{ pid: number }>('select pg_backend_pid() as pid');
  return { session, pid: own?.pid ?? 0, fences };
}

function fenced(barrier: string, results: readonly { rows: readonly (readonly unknown[])[] }[]): Fenced {
  const lsns = results.flatMap(({ rows }) => rows.map((row) => String(row[0])));
  return { barrier, before: lsns[0] ?? '0/0', after: lsns[1] ?? '0/0' };
}

/**
 * Waits until every transaction that holds a lock now is over; those that begin meanwhile do not count, so busy
 * writers never keep it waiting. Returns who is left when the time is over, else nobody.
 */
async function gone(
  session: Session,
  tables: readonly TableName[],
  deadline: number,
  onWait: (holders: readonly LockHolder[]) => void,
): Promise<readonly LockHolder[]> {
  let waited = await lockHolders(session, tables);
  await waitFor(
    async () => {
      const now = await lockHolders(session, tables);
      waited = now.filter((holder) => waited.some(({ transaction }) => transaction === holder.transaction));
      if (waited.length > 0) onWait(waited);
      return waited.length === 0 ? true : undefined;
    },
    { timeoutMs: Math.max(0, deadline - performance.now()), pauseMs: PAUSE_MS },
  );
  return waited;
}

const blocked = (action: Fence, holders: readonly LockHolder[]): RepctlError =>
  new RepctlError(
    'fence-blocked',
    `${action.node} could not be fenced within ${(action.timeoutMs / 1000).toFixed(1)} s: ${
      holders.length === 0
        ? 'its published tables were never free of locks'
        : holders.map(holderText).join('; ')
    }.`,
    {
      exit: EXIT.rolledBack,
      hint: action.terminateBlockers
        ? 'This role may not end their sessions: ask whose they are, or grant pg_signal_backend.'
        : 'Let them finish, raise --drain-timeout, or end them: --terminate-blockers.',
      details: {
        node: action.node,
        blockers: holders.map(holderDetails),
      },
    },
  );
