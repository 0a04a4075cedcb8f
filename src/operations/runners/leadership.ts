/** Runners that move the leadership: the promotion transaction and the mapped rewire. */
import type { RunContext, StepResult } from '../../plan/execute.js';
import { EXIT, RepctlError } from '../../errors.js';
import { type FencedTable, fenceSql, fencedTablesSql } from '../../cluster/fence.js';
import { slotName } from '../../cluster/names.js';
import type { ReachableNode, TableName } from '../../cluster/model.js';
import { type Lsn, ZERO_LSN, maxLsn } from '../../postgres/lsn.js';
import { ident } from '../../postgres/quote.js';
import type { Session } from '../../postgres/session.js';
import { sqlStateOf } from '../../postgres/sqlstate.js';
import { locksHeld } from '../../replication/lock-holders.js';
import { peekOrigins } from '../../replication/mapping.js';
import { flushNow, originName } from '../../replication/positions.js';
import { highestInUse, readSequences, setPastSql } from '../../replication/sequences.js';
import { recordSequencesSql, withRecorded } from '../../replication/sequence-record.js';
import { advanceSlot, persistSlot, standbyBaseSql } from '../../replication/slots.js';
import { swapSubscriptionSql, tombstoneSql } from '../../replication/subscriptions.js';
import type { Attach, DropTombstone, Promote } from '../actions.js';
import { isAttached, olderTombstones, ownSubscriptions, subscriptionOf } from '../facts.js';
import { positionIn, whyNotMappable } from '../mappable.js';
import { type RunnerContext, look, subscriptionRequest } from './context.js';
import { stopWorker } from './drain.js';
import { fenceFormer } from './former.js';
import { sequenceExhausted } from './handover.js';
import { reserveEpoch } from './reserve.js';
import { swap } from './swap.js';
import { dropOwnSlots, follow } from './switchover.js';
import { arm, syncRecordSql } from './sync.js';

/** One transaction: when it commits, the node takes writes and the epoch row tells the others. */
export async function promote(context: RunnerContext, action: Promote, run: RunContext): Promise<StepResult> {
  const node = await look(context, action.node);
  if (node.epochs.some((row) => row.epoch === action.epoch && row.leader === action.node)) {
    if (context.handover !== undefined) context.handover.promotionSent = true;
    return undefined;
  }
  const former = node.subscriptions.find(({ name }) => name === action.subscription);
  const forkPoint = former?.appliedLsn;
  if (former === undefined || forkPoint == null) {
    throw new RepctlError('position-unknown', `What ${action.node} has applied cannot be read.`, {
      exit: EXIT.incomplete,
      hint: 'repctl doctor',
    });
  }
  // What anybody saw of the former leader's WAL: this node, those that were drained before it, an earlier command.
  const received = run.finished
    .map(({ result }) => result?.['receivedLsn'])
    .filter((lsn) => typeof lsn === 'string');
  const lastKnown = [former.receivedLsn, former.latestEndLsn, action.seenLsn, ...received].reduce<Lsn>(
    (best, lsn) => (lsn == null ? best : maxLsn(best, lsn)),
    forkPoint,
  );
  const session = await context.fleet.session(action.node);
  const [{ sequences, record }] = await Promise.all([
    sequenceStatements(context, action, session, node),
    reserveEpoch(context, action.reserve),
  ]);
  await arm(context, node, action.sync);
  await promotion(context, session, node.tables, async () => {
    // Replicas cannot confirm a commit while they have no leader; in sync mode it would wait for them for ever.
    await session.simple(
      `set local synchronous_commit = local; set local lock_timeout = '${String(LOCK_MS)}ms'`,
    );
    const fences = await session.query<FencedTable>(fencedTablesSql(node.tables));
    const statements = [...fenceSql(fences, 'disabled'), ...tombstoneSql(former.name), ...sequences];
    await session.simple(statements.join('; '));
    await session.query(
      `insert into repctl.epoch (epoch, leader, previous_leader, fork_point, previous_lsn, operation, operator, reason)
       values ($1, $2, $3, $4, $5, $6, $7, $8)`,
      [
        action.epoch,
        action.node,
        action.previousLeader,
        forkPoint,
        lastKnown,
        action.operation,
        context.operator,
        context.reason,
      ],
    );
    const records = [
      ...(action.sync === undefined ? [] : [syncRecordSql(context, action.epoch, action.sync)]),
      ...record,
    ];
    if (records.length > 0) await session.simple(records.join('; '));
  });
  const done = {
    forkPoint,
    previousLsn: lastKnown,
    sequences: sequences.length,
    ...(action.lossRuledOut === true ? { lossRuledOut: true } : {}),
  };
  // Writes work by now. A planned change has fenced the former leader itself.
  if (action.operation !== 'failover') return done;
  return { ...done, formerLeader: await fenceFormer(context, action.previousLeader, node.tables) };
}

/** Longer than deadlock_timeout: autovacuum gives way. */
const LOCK_MS = 5_000;

/**
 * The promotion's transaction. What fails in it while the connection lives was rolled back, and the server said so:
 * then it is as if it had never been sent. A lost connection leaves open whether it committed.
 */
async function promotion(
  { handover }: RunnerContext,
  session: Session,
  tables: readonly TableName[],
  body: () => Promise<void>,
): Promise<void> {
  if (handover !== undefined) handover.promotionSent = true;
  try {
    await session.transaction(body);
  } catch (error) {
    if (handover !== undefined && session.alive) handover.promotionSent = false;
    if (sqlStateOf(error) !== '55P03') throw error;
    throw await locksHeld(session, tables, { waitedMs: LOCK_MS, readers: false, cause: error });
  }
}

async function sequenceStatements(
  context: RunnerContext,
  { epoch, node: name }: Promote,
  session: Session,
  node: ReachableNode,
): Promise<{ sequences: readonly string[]; record: readonly string[] }> {
  const gap = context.fleet.config.sequenceGap;
  const used = await withRecorded(
    session,
    await highestInUse(session, await readSequences(session, node.tables)),
  );
  const { sql, exhausted } = setPastSql(used, gap);
  if (exhausted.length > 0) throw sequenceExhausted(exhausted, gap);
  const { operator } = context;
  return {
    sequences: sql,
    record: recordSequencesSql({ epoch, node: name, operator, sequences: used, gap }),
  };
}

/**
 * Maps the node's applied position to the leader's WAL, moves the leader's slot for it there, and swaps the
 * subscriptions in one transaction. Run again after any interruption it maps again and comes to the same end.
 */
export async function attach(context: RunnerContext, action: Attach): Promise<StepResult> {
  const { promoted, fence } = context.handover ?? {};
  if (promoted?.epoch === action.epoch && fence !== undefined)
    return follow(context, action, promoted, fence);
  const session = await context.fleet.session(action.node);
  // What was applied with synchronous_commit=off must survive a crash here before the slot moves past it there.
  await flushNow(session);
  const [found, leader] = await Promise.all([look(context, action.node), look(context, action.leader)]);
  if (isAttached(found, action.epoch)) {
    // A run that was killed may have committed the swap after this one had looked.
    await dropSubscriptions(context, action.node, olderTombstones(found, action.epoch));
    return undefined;
  }
  const node = await stopped(context, found, action.from);
  const from = leader.epochs.find((row) => row.epoch === action.from);
  const forkPoint = leader.epochs.find((row) => row.epoch === action.epoch)?.forkPoint ?? ZERO_LSN;
  const why =
    from === undefined
      ? `${leader.name} does not know epoch ${String(action.from)}`
      : whyNotMappable({ node, leader, from, forkPoint, nothingStranded: action.nothingStranded });
  const applied = from === undefined ? null : positionIn(node, from, forkPoint);
  const tombstone = subscriptionOf(leader, action.from);
  if (why !== undefined || applied == null || tombstone === undefined) {
    throw new RepctlError(
      'not-mappable',
      `${action.node} cannot be attached without copying: ${why ?? 'its position is not known'}.`,
      {
        exit: EXIT.refused,
        hint: `repctl rewire ${action.node} --recopy`,
      },
    );
  }
  const slot = slotName(action.node);
  const peek = await context.fleet.fresh(action.leader);
  const [mapping] = await Promise.all([
    peekOrigins(peek, slot, { applied, origin: originName(tombstone.oid) }).finally(() => peek.close()),
    // Once more: a worker that was disabled with a transaction open may have applied it, and gone, since.
    flushNow(session),
  ]);
  if (mapping.foreignAhead > 0) throw foreignTransactions(action, slot, mapping.foreignAhead);
  const there = await context.fleet.session(action.leader);
  if (mapping.mapped !== null) {
    // Should the node lose what it had applied in a crash right now, it is found behind the base and not mapped.
    await there.simple(standbyBaseSql(action.node, action.from, applied));
    await advanceSlot(there, slot, mapping.mapped);
  }
  // Even if it stands right already: the upkeep may have moved it there.
  await persistSlot(there, slot);

  const old = ownSubscriptions(node).map((subscription) => subscription.name);
  const request = subscriptionRequest(context, node, action.leader, action.epoch, false, leader.syncRecord);
  await swap(context, action, swapSubscriptionSql(old, request));
  // From its reign. Not before: should the swap fail, they are where its own transactions are read.
  if (from?.leader === action.node) await dropOwnSlots(session);
  // Not in the transaction: dropping a subscription clears its origin's position at once, even if it rolls back.
  await dropSubscriptions(context, action.node, old);
  return { rowsCopied: 0, behind: mapping.missing, foreign: mapping.foreign };
}

/** The node with its apply worker of that epoch stopped where it is: what it has not applied comes from the leader. */
async function stopped(context: RunnerContext, node: ReachableNode, epoch: number): Promise<ReachableNode> {
  const former = subscriptionOf(node, epoch);
  if (former === undefined || (!former.enabled && former.workerPid === null)) return node;
  await stopWorker(context, { node: node.name, subscription: former.name });
  return look(context, node.name);
}

/** Local writes past the fence, or rows of an initial copy: nobody can tell which of them the node has already. */
const foreignTransactions = (action: Attach, slot: string, count: number): RepctlError =>
  new RepctlError(
    'foreign-transactions',
    `Slot ${slot} on ${action.leader} holds ${String(count)} transactions from before its promotion that were not the former leader's; ${action.node} would get them too.`,
    {
      exit: EXIT.refused,
      hint: `repctl rewire ${action.node} --recopy`,
      details: { node: action.node, leader: action.leader, transactions: count },
    },
  );

export async function dropTombstone(context: RunnerContext, action: DropTombstone): Promise<StepResult> {
  await dropSubscriptions(context, action.node, action.subscriptions);
  return undefined;
}

async function dropSubscriptions(
  context: RunnerContext,
  node: string,
  names: readonly string[],
): Promise<void> {
  const session = await context.fleet.session(node);
  for (const name of names) await session.simple(`drop subscription if exists ${ident(name)}`);
}
