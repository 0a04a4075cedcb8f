/** Writes: to the leader that a majority names, once, with a token for whoever reads next. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Fleet } from '../cluster/fleet.js';
import { EXIT, RepctlError } from '../errors.js';
import type { Lsn } from '../postgres/lsn.js';
import type { Session } from '../postgres/session.js';
import { isConnectionLoss, sqlStateOf } from '../postgres/sqlstate.js';
import { findLeader } from './ask.js';
import { withinPatience } from './standby-wait.js';
import type { RoutingStore } from './store.js';
import { type Mark, UNKNOWN_END, laterMark, satisfies } from './token.js';

export interface Routing {
  readonly fleet: Fleet;
  readonly store: RoutingStore;
  /** The session's name. */
  readonly session: string;
  /** Until when a fenced or moving leader is waited for, milliseconds. */
  readonly patienceMs: number;
  /** The user asked for patience (--timeout), so a leader that is gone is waited for, too. */
  readonly patient: boolean;
  /** Talk about who serves and why; `important` is said without --verbose. */
  readonly note: (text: string, important?: boolean) => void;
}

export interface WriteTarget {
  readonly session: Session;
  readonly epoch: number;
  /** Whether repctl.request is there. */
  readonly requests: boolean;
}

export interface Written<T> {
  readonly value: T;
  readonly node: string;
  readonly token: Mark;
}

/**
 * Runs `body` on the leader. It returns its value and a WAL position from before its commit (`before`).
 * A 25006 of the fence changed nothing: it is sent again to the leader then named. A connection lost meanwhile
 * leaves the outcome unknown: sent again only if `repeatable` says that twice is as good as once. So does a commit
 * whose wait for replicas was cancelled or went on in vain (standby-wait.ts); it is never sent again.
 *
 * Throws RepctlError: `no-majority`, `no-cluster`, `node-fenced` (exit 6), `leader-unreachable` (exit 3),
 * `write-unknown` (exit 7), `session-unwritable` (exit 7, the write is done), and what body throws.
 */
export async function write<T>(
  routing: Routing,
  body: (target: WriteTarget) => Promise<{ value: T; before: Lsn }>,
  repeatable: (target: WriteTarget) => boolean = () => false,
  unknownHint = 'Read it back before you write again.',
): Promise<Written<T>> {
  const { fleet, store, note } = routing;
  const deadline = Date.now() + routing.patienceMs;
  let unknown: RepctlError | undefined;
  for (;;) {
    let leader;
    try {
      leader = await findLeader(fleet, store.readPointer().leader);
    } catch (error) {
      const waitable =
        error instanceof RepctlError && (error.code === 'leader-unreachable' || error.code === 'no-majority');
      if (waitable && Date.now() < deadline && (routing.patient || unknown !== undefined)) {
        await delay(50);
        continue;
      }
      throw unknown ?? error;
    }
    const target: WriteTarget = {
      session: await fleet.session(leader.name),
      epoch: leader.epoch,
      requests: leader.view.requests,
    };
    note(`write: ${leader.name} leads epoch ${String(leader.epoch)}, as a majority says`);
    try {
      const { value, before } = await confirmed(fleet, target.session, unknownHint, () => body(target));
      const after = await endOf(target.session);
      const token: Mark = { epoch: leader.epoch, leader: leader.name, before, after };
      await remember(routing, leader, token);
      return { value, node: leader.name, token };
    } catch (error) {
      if (sqlStateOf(error) === '25006' && Date.now() < deadline) {
        note(`write: ${leader.name} is fenced; asking again who leads`);
        await delay(25);
      } else if (isConnectionLoss(error)) {
        unknown ??= writeUnknown(leader.name, error, unknownHint);
        if (!repeatable(target) || Date.now() >= deadline) throw unknown;
        note(`write: the connection to ${leader.name} was lost; sending the same request again`, true);
        await delay(50);
      } else throw error;
    }
  }
}

/**
 * A commit that waits for replicas and is cancelled succeeds with a mere warning: it is done here, but nobody else is
 * known to have it. Known by where the server raised it (SyncRepWaitForLSN), since its words may be of any language.
 */
async function confirmed<T>(
  fleet: Fleet,
  session: Session,
  hint: string,
  body: () => Promise<T>,
): Promise<T> {
  const warned: string[] = [];
  const listen = ({ routine, message }: { routine?: string | undefined; message?: string | undefined }) => {
    if (routine === 'SyncRepWaitForLSN') warned.push(message ?? '');
  };
  session.client.on('notice', listen);
  try {
    const value = await withinPatience(fleet, session, hint, body);
    if (warned.length === 0) return value;
  } finally {
    session.client.off('notice', listen);
  }
  throw new RepctlError(
    'write-unknown',
    `${session.node} has committed the write, but its wait for a replica was cancelled: should ${session.node} be lost now, the write may be lost with it.`,
    { exit: EXIT.incomplete, hint, details: { node: session.node, warning: warned[0] } },
  );
}

const writeUnknown = (node: string, cause: unknown, hint: string): RepctlError =>
  new RepctlError(
    'write-unknown',
    `The connection to ${node} was lost before it answered: the write may or may not have happened.`,
    { exit: EXIT.incomplete, hint, details: { node }, cause },
  );

/**
 * A position at or past the commit just acknowledged. A synchronous commit returns once it is flushed, so the
 * flushed position will do, and unlike the insert position it waits for no unrelated WAL; an asynchronous one
 * needs the insert position. If the server is gone by now, the write counts as acknowledged with an open end.
 */
async function endOf(session: Session): Promise<Lsn> {
  try {
    const [row] = await session.query<{ lsn: Lsn }>(
      `select (case when current_setting('synchronous_commit') = 'off' then pg_current_wal_insert_lsn()
               else pg_current_wal_flush_lsn() end)::text as lsn`,
    );
    return row?.lsn ?? UNKNOWN_END;
  } catch (error) {
    if (!isConnectionLoss(error)) throw error;
    return UNKNOWN_END;
  }
}

async function remember(
  { store, session, note }: Routing,
  leader: Awaited<ReturnType<typeof findLeader>>,
  token: Mark,
): Promise<void> {
  try {
    const earlier = store.readSession(session);
    if (
      earlier.written !== null &&
      earlier.born === leader.view.born &&
      satisfies(earlier.written, leader.view) === 'lost'
    )
      note(lostText(earlier.written, leader.epoch), true);
    await store.addToSession(session, {
      born: leader.view.born,
      written: laterMark(null, token),
      seen: null,
    });
    if (store.readPointer().leader !== leader.name)
      store.writePointer({ ...store.readPointer(), leader: leader.name });
  } catch (error) {
    if (!(error instanceof RepctlError)) throw error;
    throw new RepctlError(
      error.code,
      `The write is done on ${leader.name}, but could not be remembered: ${error.message}`,
      {
        exit: EXIT.incomplete,
        hint: 'Reads of this session may not see it yet; do not write it again.',
        details: { token },
        cause: error,
      },
    );
  }
}

export const lostText = (mark: Mark, epoch: number): string =>
  `! what this session wrote or saw in epoch ${String(mark.epoch)} (${mark.leader}, up to ${mark.after}) was lost when epoch ${String(epoch)} began: repctl history`;

export const uncertainText = (mark: Mark, epoch: number): string =>
  `! what this session wrote or saw in epoch ${String(mark.epoch)} (${mark.leader}, from ${mark.before} to ${mark.after}) may have been lost when epoch ${String(epoch)} began: repctl history`;
