/**
 * One operator at a time: a session advisory lock on a majority of the nodes. It lives and dies with its
 * connections, which are the sessions that the run needs anyway, so nothing has to be cleaned up after a crash.
 *
 * Each node is tried once, all at the same time, and nobody waits for anybody. Two operators who begin at the
 * same moment may each get some of the nodes: then the one who has the first node that answers tries the others
 * again for a moment, and the other one lets go.
 */
import { hostname } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';
import { EXIT, RepctlError } from '../errors.js';
import type { Session } from '../postgres/session.js';
import type { Fleet } from './fleet.js';
import {
  type LockHolder,
  describeHolder,
  holderSql,
  releaseSql,
  takeSql,
  terminateSql,
  toHolder,
} from './lock-sql.js';
import { within } from './within.js';

export type { LockHolder } from './lock-sql.js';

export interface LockRequest {
  /** What is being done, one word: `failover`, `slot-drop`. */
  readonly operation: string;
  /** `user@host`. */
  readonly operator: string;
}

export interface Lock {
  /** Whether a majority of the configured nodes is held. */
  readonly majority: boolean;
  /** How many nodes are held, as far as this side knows. */
  readonly count: number;
  /** Whether it still keeps others out, as far as this side knows: a connection that ended took its part along. */
  held(): boolean;
  /** Asks the servers over the very connections that hold it. */
  verify(): Promise<boolean>;
  release(): Promise<void>;
}

/** How long the one who won the first node waits for the other one to let go of the rest, milliseconds. */
const LOSER_LEAVES_MS = 500;
/** A backend notices that its client was killed when it next looks at the socket (takeSql sets 250 ms). */
const DEAD_LEAVES_MS = 1500;
const RETRY_MS = 10;
/** A node that froze meanwhile is not waited for. */
const RELEASE_MS = 1000;

type Attempt =
  | { readonly kind: 'held'; readonly node: string; readonly session: Session }
  | { readonly kind: 'refused'; readonly node: string; readonly holder: LockHolder | undefined }
  | { readonly kind: 'unreachable'; readonly node: string };

/**
 * Takes the lock. Returns as soon as a majority is held; with fewer than that and nobody in the way, `majority`
 * is false and the caller decides. Throws `operation-in-progress` (exit 6) with the holder.
 */
export async function takeLock(fleet: Fleet, request: LockRequest): Promise<Lock> {
  const names = fleet.config.nodes.map((node) => node.name);
  const majority = Math.floor(names.length / 2) + 1;
  const running = new Map(names.map((name) => [name, tryNode(fleet, name, request)]));
  const release = () => releaseAll([...running.values()]);
  let attempts = await enough(running, majority);
  const deadlines = { loser: performance.now() + LOSER_LEAVES_MS, dead: performance.now() + DEAD_LEAVES_MS };
  while (count(attempts) < majority) {
    const inTheWay = attempts.filter((attempt) => attempt.kind === 'refused');
    const first = inTheWay[0];
    if (first === undefined) break;
    const mine = attempts.find((attempt) => attempt.kind !== 'unreachable')?.kind === 'held';
    const leaving = inTheWay.every(({ holder }) => holder === undefined || isGone(holder));
    const deadline = leaving ? deadlines.dead : mine ? deadlines.loser : 0;
    if (performance.now() > deadline) {
      await release();
      throw inProgress(first.holder, first.node);
    }
    await pause(RETRY_MS);
    for (const { node } of inTheWay) running.set(node, tryNode(fleet, node, request));
    attempts = await enough(running, majority);
  }
  return lockOf(fleet, running, attempts, { configured: names.length, majority });
}

const count = (attempts: readonly Attempt[]): number =>
  attempts.filter((attempt) => attempt.kind === 'held').length;

/** What is known once `majority` nodes are held, or all have answered or failed; in the order of the map. */
async function enough(
  running: ReadonlyMap<string, Promise<Attempt>>,
  majority: number,
): Promise<readonly Attempt[]> {
  const known = new Map<string, Attempt>();
  await new Promise<void>((resolve) => {
    for (const [name, attempt] of running)
      void attempt.then((outcome) => {
        known.set(name, outcome);
        if (known.size === running.size || count([...known.values()]) >= majority) resolve();
      });
  });
  return [...running.keys()].flatMap((name) => known.get(name) ?? []);
}

async function tryNode(fleet: Fleet, node: string, { operation, operator }: LockRequest): Promise<Attempt> {
  const limit = fleet.config.connectTimeoutMs;
  let session: Session | undefined;
  try {
    session = await within(limit + 250, node, fleet.session(node));
    const asked = session.query<{ got: boolean }>(takeSql, [
      `repctl ${operation}`,
      `${String(process.pid)} ${operator}`,
    ]);
    const [row] = await within(limit, node, asked);
    if (row?.got === true) return { kind: 'held', node, session };
    const [found] = await within(limit, node, session.query<Parameters<typeof toHolder>[1]>(holderSql));
    return { kind: 'refused', node, holder: found && toHolder(node, found) };
  } catch {
    // After a timeout the answer may still come, and with it a lock that nobody knows of. Why the node does not
    // answer is told by the observation that follows.
    if (session !== undefined) void session.close();
    return { kind: 'unreachable', node };
  }
}

function lockOf(
  fleet: Fleet,
  running: ReadonlyMap<string, Promise<Attempt>>,
  first: readonly Attempt[],
  { configured, majority }: { readonly configured: number; readonly majority: number },
): Lock {
  const sessions = new Map<string, Session>();
  const note = (attempt: Attempt) => {
    if (attempt.kind === 'held') sessions.set(attempt.node, attempt.session);
  };
  first.forEach(note);
  // Nodes that were slow to answer are held too, once they do.
  for (const attempt of running.values()) void attempt.then(note);
  // As long as so many are held, nobody else can have a majority.
  const needed = Math.min(configured - majority + 1, sessions.size);
  const alive = () => [...sessions.values()].filter((session) => session.alive);
  return {
    majority: sessions.size >= majority,
    get count() {
      return alive().length;
    },
    held: () => alive().length >= needed,
    async verify() {
      const asked = alive();
      if (asked.length < needed) return false;
      const answers = asked.map((session) =>
        within(fleet.config.connectTimeoutMs, session.node, session.simple('select')).then(
          () => true,
          () => false,
        ),
      );
      return atLeast(answers, needed);
    },
    release: () => releaseAll([...running.values()]),
  };
}

/** True as soon as `needed` of them are true; false when all have answered and they are not. */
async function atLeast(answers: readonly Promise<boolean>[], needed: number): Promise<boolean> {
  let yes = 0;
  let all = 0;
  return new Promise((resolve) => {
    if (needed <= 0) resolve(true);
    for (const answer of answers)
      void answer.then((value) => {
        if (value) yes += 1;
        all += 1;
        if (yes >= needed) resolve(true);
        else if (all === answers.length) resolve(false);
      });
  });
}

/** Lets go of what is held; of what is still being tried, whenever that comes. */
async function releaseAll(running: readonly Promise<Attempt>[]): Promise<void> {
  const pending = Symbol('pending');
  await Promise.all(
    running.map(async (attempt) => {
      const freed = attempt.then(async (outcome) => {
        if (outcome.kind !== 'held' || !outcome.session.alive) return;
        const { node, session } = outcome;
        // The end of the connection frees it as well.
        await within(RELEASE_MS, node, session.simple(releaseSql)).catch(() => void session.close());
      });
      const outcome = await Promise.race([attempt, Promise.resolve(pending)]);
      if (outcome !== pending) await freed;
    }),
  );
}

/** A process of this machine that is not there any more: its backends are about to notice. */
function isGone({ host, clientPid }: LockHolder): boolean {
  if (clientPid === null || host !== hostname()) return false;
  try {
    process.kill(clientPid, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
}

/** Who holds the lock, by node, in the order of the configuration; nodes that do not answer are left out. */
export async function readHolders(
  fleet: Fleet,
  nodes: readonly string[] = fleet.config.nodes.map((node) => node.name),
): Promise<readonly LockHolder[]> {
  const limit = fleet.config.connectTimeoutMs;
  const found = await Promise.all(
    nodes.map(async (name) => {
      try {
        const session = await within(limit + 250, name, fleet.session(name));
        const [row] = await within(limit, name, session.query<Parameters<typeof toHolder>[1]>(holderSql));
        return row === undefined ? [] : [toHolder(name, row)];
      } catch {
        return [];
      }
    }),
  );
  return found.flat();
}

/**
 * Ends the backends that hold the lock, which frees it; whoever had it is told when it next asks for something.
 * Throws `lock-not-breakable` (exit 6) where the role may not end them.
 */
export async function breakLock(fleet: Fleet, holders: readonly LockHolder[]): Promise<void> {
  await Promise.all(
    holders.map(async (holder) => {
      const session = await fleet.session(holder.node);
      const [row] = await session
        .query<{ ended: boolean }>(terminateSql, [holder.pid])
        .catch((error: unknown) => {
          throw new RepctlError(
            'lock-not-breakable',
            `The lock of ${describeHolder(holder)} cannot be broken on ${holder.node}: ${error instanceof Error ? error.message : ''}`,
            {
              exit: EXIT.refused,
              hint: `select pg_terminate_backend(${String(holder.pid)}) on ${holder.node}, as a role that may`,
              details: { holder },
              cause: error,
            },
          );
        });
      // False: it was gone by itself.
      return row?.ended;
    }),
  );
}

export function inProgress(holder: LockHolder | undefined, node: string): RepctlError {
  const who =
    holder === undefined
      ? `somebody who let go of it on ${node} just now`
      : `${describeHolder(holder)}; held on ${holder.node} by process ${String(holder.pid)}`;
  return new RepctlError('operation-in-progress', `Another operation is under way: ${who}.`, {
    exit: EXIT.refused,
    hint: 'Wait until it is over. If nobody works on it any more: the same command with --break-lock.\nNothing was changed.',
    details: { holder: holder ?? null },
  });
}
