/** Runners that stop an apply worker: after it has applied what it received, or at once. */
import { EXIT, RepctlError } from '../../errors.js';
import type { StepResult } from '../../plan/execute.js';
import { type Lsn, ZERO_LSN, compareLsn, maxLsn } from '../../postgres/lsn.js';
import { sqlStateOf } from '../../postgres/sqlstate.js';
import { flushNow } from '../../replication/positions.js';
import { disableSubscriptionSql } from '../../replication/subscriptions.js';
import type { Follower, Quiesce } from '../actions.js';
import { blockerText, endBlocker, workerBlockers } from './blockers.js';
import { type RunnerContext, waitFor } from './context.js';

interface Worker {
  readonly pid: number | null;
  /** It waits in its main loop without a transaction: nothing is left that it read. */
  readonly idle: boolean;
  /** It waits for a leader that does not let it in: it has received nothing, and will not notice being disabled. */
  readonly connecting: boolean;
  /** It waits for a lock, and will not notice being disabled either. */
  readonly locked: boolean;
  readonly receivedLsn: Lsn | null;
}

async function workerOf(context: RunnerContext, node: string, subscription: string): Promise<Worker> {
  const session = await context.fleet.session(node);
  const [row] = await session.query<Worker>(
    `select w.pid, coalesce(a.wait_event = 'LogicalApplyMain' and a.backend_xid is null, false) as idle,
            coalesce(lower(a.wait_event) = 'libpqwalreceiverconnect', false) as connecting,
            coalesce(a.wait_event_type = 'Lock', false) as locked, w.received_lsn::text as "receivedLsn"
       from pg_stat_subscription w left join pg_stat_activity a on a.pid = w.pid
      where w.subname = $1 and w.relid is null and w.pid is not null
      limit 1`,
    [subscription],
  );
  return row ?? { pid: null, idle: false, connecting: false, locked: false, receivedLsn: null };
}

/** How a drain ended: the worker has nothing left; a rival has all of it; the time was over. */
type Drained = 'drained' | 'overtaken' | 'late';

/**
 * How long a worker must be seen idle. What its kernel holds for it shows nowhere: until it gets its turn on a busy
 * machine it looks idle, and once it is disabled it goes at the next transaction's first row, before applying it
 * (begin_replication_step, maybe_reread_subscription). Only a leader that was cut off in silence costs this time: the
 * workers of one that died read to the end of the stream and go by themselves.
 */
const IDLE_MS = 250;

/** How long a worker that is applying is given before a rival may pass it: the usual drain is a matter of this. */
const APPLYING_MS = 150;

/**
 * Waits until the apply worker has gone by itself (its leader is dead, what was received is applied) or has
 * nothing left to read (it waits in its main loop without a transaction for {@link IDLE_MS}), at most drainTimeout;
 * then disables the subscription and waits for the worker's end, ending it when it does not listen.
 *
 * With rivals it is not waited for once one of them, stopped for good, has all that was received here: at once when
 * the worker waits for a lock, after {@link APPLYING_MS} when it is still applying. The subscription is disabled in
 * any case, so that it applies no more than the transaction that is open now.
 *
 * When the time is over and there are transactions here that nobody else has, they would be lost with the worker:
 * RepctlError `data-loss` (exit 6) unless that was accepted; nothing was stopped then.
 */
export async function quiesce(context: RunnerContext, action: Quiesce): Promise<StepResult> {
  const { node, subscription, rivals = [] } = action;
  const session = await context.fleet.session(node);
  const seen = { receivedLsn: ZERO_LSN };
  let outcome = await drain(context, action, seen);
  if (outcome === 'late' && action.acceptDataLoss === false) await refuseLoss(context, action);
  await session.simple(disableSubscriptionSql(subscription));
  if (outcome === 'overtaken') {
    // Only from here on it cannot go further than the transaction that is open; had it got past meanwhile, it drains.
    const rival = await overtaking(context, action, rivals);
    if (rival !== undefined) return { drained: false, overtakenBy: rival, receivedLsn: seen.receivedLsn };
    outcome = await drain(context, { ...action, rivals: [] }, seen);
  }
  await workerGone(context, node, subscription);
  // Positions are compared next, and one that is read out of a slot ends where the WAL is flushed.
  await flushNow(session);
  const { receivedLsn } = seen;
  return outcome === 'late'
    ? { drained: false, unapplied: true, receivedLsn }
    : { drained: true, receivedLsn };
}

/** Stops the worker where it is, and flushes: what it received and has not applied is asked for again later. */
export async function stopWorker(context: RunnerContext, { node, subscription }: Follower): Promise<void> {
  const session = await context.fleet.session(node);
  await session.simple(disableSubscriptionSql(subscription));
  await workerGone(context, node, subscription);
  await flushNow(session);
}

async function drain(
  context: RunnerContext,
  { node, subscription, rivals = [] }: Quiesce,
  seen: { receivedLsn: Lsn },
): Promise<Drained> {
  const start = performance.now();
  let idleSince: number | undefined;
  const outcome = await waitFor<Drained>(
    async () => {
      const worker = await workerOf(context, node, subscription);
      seen.receivedLsn = maxLsn(seen.receivedLsn, worker.receivedLsn ?? ZERO_LSN);
      if (worker.pid === null || worker.connecting) return 'drained';
      const now = performance.now();
      idleSince = worker.idle ? (idleSince ?? now) : undefined;
      if (idleSince !== undefined) return now - idleSince >= IDLE_MS ? 'drained' : undefined;
      const patience = worker.locked ? 0 : APPLYING_MS;
      if (now - start < patience) return undefined;
      const rival = await overtaking(context, { node, subscription }, rivals);
      return rival === undefined ? undefined : 'overtaken';
    },
    { timeoutMs: context.fleet.config.drainTimeoutMs, pauseMs: 5 },
  );
  return outcome ?? 'late';
}

interface Position {
  readonly applied: Lsn | null;
  readonly received: Lsn | null;
  /** Disabled and without a worker: it moves no more. */
  readonly final: boolean;
}

/** undefined where it does not answer or this role may not read origins: then nobody can be compared. */
async function positionOf(
  context: RunnerContext,
  { node, subscription }: Follower,
): Promise<Position | undefined> {
  try {
    const session = await context.fleet.session(node);
    const [row] = await session.query<Position>(
      `select p.remote_lsn::text as applied, w.received_lsn::text as received, not s.subenabled and w.pid is null as final
         from (select oid, subenabled from pg_subscription
                where subname = $1 and subdbid = (select oid from pg_database where datname = current_database())) s
         join pg_replication_origin o on o.roname = 'pg_' || s.oid
         join pg_show_replication_origin_status() p on p.local_id = o.roident
         left join pg_stat_subscription w on w.subid = s.oid and w.relid is null and w.pid is not null
        limit 1`,
      [subscription],
    );
    return row;
  } catch (error) {
    if (sqlStateOf(error) === '42501' || !(await answers(context, node))) return undefined;
    throw error;
  }
}

const answers = (context: RunnerContext, node: string): Promise<boolean> =>
  context.fleet.session(node).then(
    () => true,
    () => false,
  );

/**
 * The rival that has everything `follower` received; undefined when none has for sure.
 *
 * Every follower gets the same transactions in the same order, those of the leader's commits. A rival that is
 * further has applied at least the one after the follower's applied position, so also the one that is open there:
 * once disabled, the follower cannot get past it. What it read beyond shows in its received position.
 */
async function overtaking(
  context: RunnerContext,
  follower: Follower,
  rivals: readonly Follower[],
): Promise<string | undefined> {
  if (rivals.length === 0) return undefined;
  const own = await positionOf(context, follower);
  if (own === undefined) return undefined;
  const others = await Promise.all(
    rivals.map(async (rival) => ({ rival, position: await positionOf(context, rival) })),
  );
  return others.find(({ position }) => hasAllOf(own, position))?.rival.node;
}

/** Pure; exported for its table of cases. */
export function hasAllOf(own: Position, rival: Position | undefined): boolean {
  if (rival?.final !== true || rival.applied === null || own.applied === null) return false;
  return (
    compareLsn(rival.applied, own.applied) > 0 && compareLsn(rival.applied, own.received ?? ZERO_LSN) >= 0
  );
}

async function refuseLoss(context: RunnerContext, { node, subscription }: Quiesce): Promise<void> {
  // Not idle until the end: a transaction is open at least, even where the two positions are still the same.
  const own = await positionOf(context, { node, subscription });
  const session = await context.fleet.session(node);
  const blockers = await workerBlockers(session);
  const first = blockers[0];
  throw new RepctlError(
    'data-loss',
    `${node} has not applied in ${(context.fleet.config.drainTimeoutMs / 1000).toFixed(1)} s what it received after ${own?.applied ?? 'a position that cannot be read'}, and no other node has all of it: that would be lost.${
      first === undefined ? '' : ` ${blockerText(first)} holds a lock that it waits for.`
    }`,
    {
      exit: EXIT.refused,
      hint: [
        ...(first === undefined
          ? ['Run it again later, or raise drainTimeout in the configuration.']
          : [`${endBlocker(node, first)}  and the same command again.`]),
        'To lose them: --accept-data-loss',
      ].join('\n'),
      details: { node, appliedLsn: own?.applied ?? null, receivedLsn: own?.received ?? null, blockers },
    },
  );
}

/** After a subscription was disabled its worker ends; one that waits for a lock or a login does not notice: it is ended. */
async function workerGone(context: RunnerContext, node: string, subscription: string): Promise<void> {
  const session = await context.fleet.session(node);
  const gone = async () => {
    const { pid, connecting, locked } = await workerOf(context, node, subscription);
    if (pid !== null && (connecting || locked)) await session.query('select pg_terminate_backend($1)', [pid]);
    return pid === null ? true : undefined;
  };
  if (await waitFor(gone, { timeoutMs: 2000, pauseMs: 3 })) return;
  const { pid } = await workerOf(context, node, subscription);
  if (pid !== null) await session.query('select pg_terminate_backend($1)', [pid]);
  if (await waitFor(gone, { timeoutMs: 5000, pauseMs: 10 })) return;
  throw new RepctlError('worker-stuck', `${node}: the apply worker of ${subscription} does not end.`, {
    exit: EXIT.incomplete,
    hint: `repctl subscription show ${node}`,
    details: { node, subscription },
  });
}
