/**
 * `--exact`: one moment for all nodes. The tables are locked on the leader in SHARE mode, which waits for writers and
 * keeps new ones out; what has been committed then is waited for on the replicas; every session takes a snapshot; the
 * lock goes. Nothing that is read afterwards is in flight.
 *
 * A snapshot does not keep what TRUNCATE and the rewriting kinds of ALTER TABLE throw away: one from before sees an empty
 * table. So every session has all tables locked in ACCESS SHARE mode, as pg_dump has, from before its snapshot (LOCK
 * TABLE itself takes none) until all of them are read.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { ownSubscription } from '../../cluster/epochs.js';
import type { Fleet } from '../../cluster/fleet.js';
import type { ReachableNode } from '../../cluster/model.js';
import { within } from '../../cluster/within.js';
import { EXIT, RepctlError, messageOf } from '../../errors.js';
import { literal } from '../../postgres/quote.js';
import type { Session } from '../../postgres/session.js';
import { sqlStateOf } from '../../postgres/sqlstate.js';
import { holderText, lockHolders, withPartitions } from '../../replication/lock-holders.js';
import { compareTables } from '../../replication/publications.js';
import type { Lane } from '../compare/run.js';
import { relation } from '../digest.js';
import type { ExactPoint } from '../result.js';
import type { TableShape } from '../shape.js';
import { leaderPosition, waitVisible } from '../visible.js';
import { openReader } from './lanes.js';
import type { Participants } from './participants.js';
import type { SeenTable } from './seen.js';

/** Writers queue behind a lock that waits: it waits so long altogether, milliseconds, and is tried again later. */
const WAIT_MS = 50;
/** Writers wait so long at most once it is held. */
const HOLD_MS = 1_000;
/** And so long for a replica that does not even answer. */
const ANSWER_MS = 200;
/** Between two tries: longer and longer, so that writers get on with their work. */
const PAUSE_MS = { first: 50, most: 1_000 } as const;

export interface Frozen {
  readonly point: ExactPoint;
  /** Replicas that have no snapshot, and why. */
  readonly late: ReadonlyMap<string, string>;
}

/**
 * Leaves every session of the lanes in a transaction with its node's snapshot, but for those of late replicas. Throws
 * `exact-lock` (exit 4) when writers do not let go within `waitMs`, and `privilege-missing` (exit 6).
 */
export async function freeze(
  fleet: Fleet,
  { leader, replicas }: Participants,
  lanes: readonly Lane[],
  seen: readonly SeenTable[],
  waitMs: number,
): Promise<Frozen> {
  const [locker, helper] = await Promise.all([
    openReader(fleet, leader.name),
    openReader(fleet, leader.name),
  ]);
  try {
    // Were repctl stopped in the middle, the server itself would end the transaction, and the lock with it.
    await locker.simple(`set idle_in_transaction_session_timeout = ${String(2 * HOLD_MS)}`);
    const late = new Map<string, string>();
    const sessionsOn = (name: string) => lanes.flatMap((lane) => lane.nodes.get(name) ?? []);
    const follow = (ms: number, replica: ReachableNode) => followed(fleet, helper, replica, ms, late);
    // Before the lock, so that it need not be held for what lies behind anyway.
    await Promise.all(replicas.map((replica) => follow(waitMs, replica)));
    const leaders = lanes.map((lane) => lane.leader);
    const ours = seen.map(({ leader: { shape } }) => shape);
    const taken = await takeLock(locker, helper, ours, waitMs, {
      async keep() {
        // Not waited for: who waits keeps others waiting, for the tables that it has and for those that it wants.
        await keepTables(leaders, ours, 'nowait');
        await Promise.all(
          replicas.map(async (replica) => {
            const { name } = replica;
            const theirs = seen.flatMap(({ nodes }) => nodes.get(name)?.shape ?? []);
            // A TRUNCATE that is on its way would wait for these locks, and the replica would never catch up.
            await follow(HOLD_MS, replica);
            if (late.has(name)) return;
            await keepTables(sessionsOn(name), theirs).catch((error: unknown) => {
              late.set(name, messageOf(error));
            });
          }),
        );
      },
      async release() {
        for (const { name } of replicas) void endAll(sessionsOn(name));
        await endAll(leaders);
      },
    });
    try {
      await shareSnapshot(leaders);
      const lsn = await leaderPosition(helper);
      const left = replicas.filter(({ name }) => !late.has(name));
      await Promise.all(
        left.map(async (replica) => {
          const { name } = replica;
          const share = async () => {
            await follow(HOLD_MS, replica);
            if (!late.has(name)) await shareSnapshot(sessionsOn(name));
          };
          try {
            // One that is silent all of a sudden must not keep the leader's writers waiting until that is certain.
            await within(HOLD_MS + ANSWER_MS, name, share());
          } catch (error) {
            if (error instanceof RepctlError && error.details['node'] === leader.name) throw error;
            late.set(name, messageOf(error));
          }
        }),
      );
      await locker.simple('rollback');
      const lockMs = Math.round((performance.now() - taken.at) * 10) / 10;
      for (const name of late.keys()) void endAll(sessionsOn(name));
      return { point: { lsn, lockMs, waitedMs: taken.waitedMs, tries: taken.tries }, late };
    } catch (error) {
      if (locker.alive) await locker.simple('rollback').catch(() => undefined);
      throw error;
    }
  } finally {
    await Promise.all([locker.close(), helper.close()]);
  }
}

/** Waits until the replica shows what the leader has now; notes it down as late when it does not. */
async function followed(
  fleet: Fleet,
  helper: Session,
  replica: ReachableNode,
  ms: number,
  late: Map<string, string>,
): Promise<void> {
  const { name } = replica;
  const subscription = ownSubscription(replica);
  if (late.has(name)) return;
  if (!subscription?.enabled) {
    late.set(name, 'it does not follow the leader: there is no moment that both have seen');
    return;
  }
  try {
    const target = await leaderPosition(helper);
    // Not over a session of the lanes: what asks there takes its snapshot, too early.
    const session = await fleet.session(name);
    if (!(await waitVisible(session, subscription.oid, target, { leftMs: ms })))
      late.set(name, `it did not catch up within ${String(ms / 1000)} s`);
  } catch (error) {
    if (sqlStateOf(error) === undefined && !helper.alive) throw error;
    late.set(name, messageOf(error));
  }
}

/** Begins read-only transactions without a snapshot yet, in which nobody can truncate, rewrite or drop these tables. */
async function keepTables(
  sessions: readonly Session[],
  tables: readonly TableShape[],
  nowait = '',
): Promise<void> {
  const lock =
    tables.length === 0 ? '' : `lock table ${inOrder(tables).join(', ')} in access share mode ${nowait}`;
  await Promise.all(
    sessions.map((session) => session.simple(`begin isolation level repeatable read read only; ${lock}`)),
  );
}

/** One order everywhere: two that lock in different orders wait for each other. */
const inOrder = (tables: readonly TableShape[]): string[] => tables.toSorted(compareTables).map(relation);

const endAll = (sessions: readonly Session[]): Promise<unknown> =>
  Promise.all(sessions.map((session) => session.simple('rollback').catch(() => undefined)));

/** One snapshot for all of them, whose transactions have none yet. */
async function shareSnapshot([first, ...rest]: readonly Session[]): Promise<void> {
  const [row] = (await first?.query<{ id: string }>('select pg_export_snapshot() as id')) ?? [];
  const sql = `set transaction snapshot ${literal(row?.id ?? '')}`;
  await Promise.all(rest.map((session) => session.simple(sql)));
}

interface Taken {
  /** performance.now() when the first table was locked. */
  readonly at: number;
  readonly waitedMs: number;
  readonly tries: number;
}

/** What every try begins with, and what it leaves when it fails: whoever waits for these locks gets them in between. */
interface Around {
  readonly keep: () => Promise<void>;
  readonly release: () => Promise<void>;
}

async function takeLock(
  locker: Session,
  helper: Session,
  tables: readonly TableShape[],
  waitMs: number,
  { keep, release }: Around,
): Promise<Taken> {
  const deadline = performance.now() + waitMs;
  const sorted = inOrder(tables);
  let pause: number = PAUSE_MS.first;
  let holders: readonly string[] = [];
  for (let tries = 1; ; tries += 1) {
    try {
      await keep();
      const begun = performance.now();
      let at = begun;
      await locker.simple('begin');
      for (const [index, table] of sorted.entries()) {
        const left = Math.max(1, Math.round(WAIT_MS - (performance.now() - begun)));
        await locker.simple(`set local lock_timeout = ${String(left)}; lock table ${table} in share mode`);
        if (index === 0) at = performance.now();
      }
      return { at, waitedMs: Math.round((performance.now() - begun) * 10) / 10, tries };
    } catch (error) {
      const state = sqlStateOf(error);
      if (state === '42501') throw mayNotLock(error as RepctlError, locker.node);
      // lock_not_available, deadlock_detected
      if (state !== '55P03' && state !== '40P01') throw error;
      holders = (await lockHolders(helper, await withPartitions(helper, tables))).map(holderText);
      await Promise.all([locker.simple('rollback'), release()]);
      if (performance.now() + pause > deadline) throw givenUp(locker.node, tries, holders);
    }
    await sleep(pause);
    pause = Math.min(2 * pause, PAUSE_MS.most);
  }
}

const givenUp = (node: string, tries: number, holders: readonly string[]): RepctlError =>
  new RepctlError(
    'exact-lock',
    `${node}: writers did not let go of the tables within ${String(WAIT_MS)} ms, ${String(tries)} ${tries === 1 ? 'time' : 'times'} in a row${holders.length > 0 ? `: ${holders.join('; ')}` : ''}.`,
    {
      exit: EXIT.unhealthy,
      hint: 'Nothing was compared. Wait for it to end (--timeout says how long), name fewer tables, or leave --exact out.',
      details: { node, tries, holders },
    },
  );

const mayNotLock = (error: RepctlError, node: string): RepctlError =>
  new RepctlError(
    'privilege-missing',
    `${error.message}: --exact locks the tables on ${node} for a moment.`,
    {
      exit: EXIT.refused,
      hint: 'grant update on the table to the role of repctl, or leave --exact out.',
      details: error.details,
      cause: error,
    },
  );
