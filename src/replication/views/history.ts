/** Epochs and events, as the leader or the most advanced node tells them. */
import { leaderOf, reachableLeader, reachableNodes } from '../../cluster/epochs.js';
import { leaderless } from '../../cluster/leaderless.js';
import type { Epoch, EventRow, ReachableNode, Snapshot } from '../../cluster/model.js';
import { PROBE_KIND, SEQUENCES_KIND } from '../../cluster/names.js';
import { EXIT, RepctlError } from '../../errors.js';
import type { Session } from '../../postgres/session.js';
import type { AuditRun } from '../../plan/audit.js';
import { type Unseen, unseenNodes } from './answers.js';
import { type Loss, type Reign, isUnfinished, losses } from './reign.js';

export interface History {
  /** The node it was read from: the leader, or the most advanced one that answers. */
  readonly readFrom: string;
  readonly leader: string | null;
  /** Newest first. */
  readonly epochs: readonly Epoch[];
  readonly events: readonly EventRow[];
  /** What each change of leader cost, newest first. */
  readonly losses: readonly Loss[];
  /** Changes of leader of which no event tells that they came to their end. */
  readonly unfinished: readonly number[];
  readonly unreachable: readonly Unseen[];
  /** One epoch in detail, where it was asked for. */
  readonly reign?: Reign;
  /** What this machine did, where it was asked for. */
  readonly audit?: readonly AuditRun[];
}

/** More events than a snapshot holds, newest first. */
export const readEvents = (session: Session, limit: number): Promise<readonly EventRow[]> =>
  session
    .query<{ events: EventRow[] }>(
      `select coalesce(json_agg(to_json(e)), '[]') as events from (
         select id, at, epoch, kind, node, operator, reason, details from repctl.event
         where kind <> all($1) order by epoch desc, at desc limit $2) e`,
      [[PROBE_KIND, SEQUENCES_KIND], limit],
    )
    // PostgreSQL writes +00:00 in JSON; everywhere else repctl says Z.
    .then((rows) =>
      (rows[0]?.events ?? []).map((event) => ({ ...event, at: new Date(event.at).toISOString() })),
    );

/** What events say, and what they mean for the epochs. */
export const told = (epochs: readonly Epoch[], events: readonly EventRow[]) => ({
  events,
  losses: losses(epochs, events),
  unfinished: epochs.slice(0, 1).flatMap((epoch) => (isUnfinished(epoch, events) ? [epoch.epoch] : [])),
});

/** Throws `node-unreachable` (exit 3) when no node answers, and as leaderless() says when none knows an epoch. */
export function historyOf(snapshot: Snapshot): History {
  const nodes = reachableNodes(snapshot);
  const newest = (node: ReachableNode): number => node.epochs[0]?.epoch ?? 0;
  const highest = Math.max(0, ...nodes.map(newest));
  const from =
    reachableLeader(snapshot) ??
    nodes
      .filter((node) => newest(node) === highest)
      .toSorted((a, b) => ((a.events[0]?.at ?? '') < (b.events[0]?.at ?? '') ? 1 : -1))[0];
  if (from === undefined) {
    throw new RepctlError('node-unreachable', 'No node of this cluster answers.', {
      exit: EXIT.unreachable,
      hint: 'repctl status',
    });
  }
  if (from.epochs.length === 0) throw leaderless(snapshot);
  return {
    readFrom: from.name,
    leader: leaderOf(snapshot)?.name ?? from.epochs[0]?.leader ?? null,
    epochs: from.epochs,
    ...told(from.epochs, from.events),
    unreachable: unseenNodes(snapshot),
  };
}
