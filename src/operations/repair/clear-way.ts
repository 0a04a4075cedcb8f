/** A replica whose apply worker cannot get on: what stands in its way is found and removed until it has caught up. */
import { ownSubscription } from '../../cluster/epochs.js';
import type { Fleet } from '../../cluster/fleet.js';
import { commonFlavour } from '../../consistency/equal.js';
import { caughtUp } from '../../consistency/repair/find.js';
import { type Stall, nextTransaction, removeObstacles } from '../../consistency/repair/stall.js';
import { keepRows } from '../../consistency/reconcile/kept.js';
import { EXIT, RepctlError } from '../../errors.js';
import type { RunContext } from '../../plan/execute.js';
import { type Lsn, compareLsn } from '../../postgres/lsn.js';
import { look } from '../runners/context.js';
import { keptFile, knock } from '../runners/reconcile.js';
import type { ClearWay } from './model.js';
import type { RepairContext } from './context.js';
import { skipText } from './failing.js';
import { withRepairSessions } from './sessions.js';

interface Where {
  readonly fleet: Fleet;
  readonly leader: string;
  readonly node: string;
}

/** Throws `position-unknown` (exit 7) where the role may not know how far the replica has come. */
async function appliedBy(fleet: Fleet, node: string): Promise<Lsn> {
  const found = await look({ fleet, operator: '', reason: null }, node);
  const subscription = ownSubscription(found);
  if (subscription?.appliedLsn != null) return subscription.appliedLsn;
  throw new RepctlError('position-unknown', `The applied position of ${node} cannot be read.`, {
    exit: EXIT.incomplete,
    hint: `repctl subscription show ${node}`,
    details: { node },
  });
}

/** The next transaction of a replica and what stands in its way. */
export async function lookAhead({ fleet, leader, node }: Where): Promise<Stall | undefined> {
  const applied = await appliedBy(fleet, node);
  return withRepairSessions(fleet, leader, node, async (sessions) => {
    const stall = await nextTransaction({
      leader: sessions.source,
      reader: sessions.leader,
      node: sessions.node,
      applied,
      flavour: await commonFlavour(Object.values(sessions)),
    });
    // Meanwhile it got on: the rows that were read may be those that the transaction has brought.
    return compareLsn(await appliedBy(fleet, node), applied) > 0 ? undefined : stall;
  });
}

/** How long it is waited for the stream before it is asked what stands in its way. */
const LOOK_MS = 1_000;

/** What was removed, and where it is kept. Throws `apply-stalled` (exit 7) when something else stops it. */
export async function clearWay(
  context: RepairContext,
  action: ClearWay,
  run: RunContext,
): Promise<{ readonly removed: number; readonly overwritten: string | null }> {
  const { fleet } = context;
  const where = { fleet, leader: action.leader, node: action.node };
  const kept = keepRows(keptFile(context.stateDir ?? '', fleet, { node: action.node }));
  let removed = 0;
  let last: { readonly lsn: Lsn; readonly at: number } | undefined;
  try {
    for (;;) {
      context.signal?.throwIfAborted();
      const [leader, replica] = await Promise.all([look(context, action.leader), look(context, action.node)]);
      if (await caughtUp(fleet, leader, replica, LOOK_MS)) break;
      const stall = await lookAhead(where);
      if (stall !== undefined && stall.obstacles.length > 0) {
        removed += await withRepairSessions(fleet, action.leader, action.node, async (sessions) =>
          removeObstacles(stall, {
            reader: sessions.leader,
            node: sessions.node,
            flavour: await commonFlavour(Object.values(sessions)),
            applied: () => appliedBy(fleet, action.node),
            knock: (name) => knock(fleet, name),
            kept,
          }),
        );
        last = undefined;
        run.report({ message: `${String(removed)} removed; the apply worker tries again within seconds` });
        continue;
      }
      const lsn = await appliedBy(fleet, action.node);
      if (last === undefined || compareLsn(lsn, last.lsn) > 0) last = { lsn, at: performance.now() };
      // A worker that failed starts again after wal_retrieve_retry_interval, 5 s.
      else if (performance.now() - last.at > Math.max(15_000, context.waitMs)) throw stuck(action, stall);
    }
    return { removed, overwritten: (await kept.finish())?.file ?? null };
  } finally {
    await kept.close();
  }
}

const stuck = ({ node }: ClearWay, stall: Stall | undefined): RepctlError =>
  new RepctlError(
    'apply-stalled',
    `${node} does not get on, and no row that repair could remove is the reason: the log of ${node} says what is.`,
    {
      exit: EXIT.incomplete,
      hint:
        stall === undefined
          ? 'repctl status'
          : `repctl check --schema-only --node ${node}\n${skipText(node, stall)}.`,
      details: { node, lsn: stall?.transaction.lsn ?? null },
    },
  );
