/** Runners around subscriptions: the initial copy, standby slots, going on. */
import type { RunContext, StepResult } from '../../plan/execute.js';
import { EXIT, RepctlError } from '../../errors.js';
import { slotName } from '../../cluster/names.js';
import { probe } from '../../cluster/probe.js';
import { flushNow } from '../../replication/positions.js';
import {
  advanceSlot,
  dropSlot,
  dropStandbyBaseSql,
  ensureSlot,
  standbyBaseSql,
} from '../../replication/slots.js';
import { enableSubscriptionSql, synchronousCommitSql } from '../../replication/subscriptions.js';
import { withoutUnconfirmed } from '../../replication/unconfirmed.js';
import type { AwaitCopy, Resume, Standby, Subscribe } from '../actions.js';
import { hasLostCopy, hasStandbySlots, isCopied, isUsable, subscriptionOf } from '../facts.js';
import { type RunnerContext, look, modeOf, subscriptionRequest, waitFor, waits } from './context.js';
import { createSubscription } from './create-subscription.js';

export async function subscribe(context: RunnerContext, action: Subscribe): Promise<StepResult> {
  const leader = await context.fleet.session(action.leader);
  await withoutUnconfirmed(context.fleet, action.leader, () => ensureSlot(leader, slotName(action.node)));
  const node = await look(context, action.node);
  if (subscriptionOf(node, action.epoch) !== undefined) return undefined;
  const session = await context.fleet.session(action.node);
  const mode = await modeOf(context, action.leader);
  const request = subscriptionRequest(context, node, action.leader, action.epoch, true, mode);
  await createSubscription(session, request, action.leader);
  return undefined;
}

/** How often a table's copy may fail before the operator is told: the worker tries again for ever. */
const COPY_TRIES = 3;

export async function awaitCopy(
  context: RunnerContext,
  action: AwaitCopy,
  { report }: RunContext,
): Promise<StepResult> {
  const leader = await context.fleet.session(action.leader);
  const total = (await estimatedRows(leader)) * action.nodes.length;
  const copied = new Map<string, number>();
  const failures = new Map<string, number>();
  const origin = watchLeader(context, action.leader);
  const confirms = waits(await modeOf(context, action.leader));
  const stalls = new Map<string, (mark: string) => number>();
  const ready = await Promise.all(
    action.nodes.map((name) =>
      waitFor(
        async () => {
          const node = await look(context, name);
          const subscription = subscriptionOf(node, action.epoch);
          if (subscription !== undefined && isCopied(subscription)) {
            // On to the default, at which a copy would not survive a crash: see createSubscriptionSql().
            if (!confirms && subscription.synchronousCommit !== 'off')
              await (
                await context.fleet.session(name)
              ).simple(synchronousCommitSql(subscription.name, 'off'));
            return name;
          }
          if ((await origin()) && subscription !== undefined && (await copyIsLost(context, action, name)))
            throw copyLost(name, action.leader);
          const errors = subscription?.syncErrors ?? 0;
          const first = failures.get(name) ?? errors;
          failures.set(name, first);
          if (errors - first >= COPY_TRIES) throw copyFailed(name, errors);
          const stalled = stalls.get(name) ?? sinceChange();
          stalls.set(name, stalled);
          if (stalled(await copyMark(context, name)) > patience(context))
            throw copyStalled(context, action, name);
          copied.set(name, Math.max(copied.get(name) ?? 0, await rowsCopied(context, name)));
          report({ done: [...copied.values()].reduce((sum, rows) => sum + rows, 0), total, unit: 'rows' });
          return undefined;
        },
        { timeoutMs: Number.POSITIVE_INFINITY, pauseMs: 50 },
      ),
    ),
  );
  return { nodes: ready.length };
}

/**
 * How long a copy may stand still, milliseconds. A link that lets nothing through is noticed by the server itself after
 * wal_receiver_timeout, one minute; then it tries again for ever. Old transactions on the leader hold a copy up too.
 */
const patience = ({ fleet }: RunnerContext): number => Math.max(5_000, 3 * fleet.config.statementTimeoutMs);

/** Takes what is seen now; milliseconds since it was something else. */
function sinceChange(): (mark: string) => number {
  const last = { mark: '', at: performance.now() };
  return (mark) => {
    if (mark !== last.mark) Object.assign(last, { mark, at: performance.now() });
    return performance.now() - last.at;
  };
}

/** What moves while an initial copy goes on, and stands still while nothing arrives. */
async function copyMark(context: RunnerContext, name: string): Promise<string> {
  const session = await context.fleet.session(name);
  const [row] = await session.query<{ mark: string }>(
    `select concat_ws(' ', (select string_agg(srsubstate::text, '' order by srsubid, srrelid) from pg_subscription_rel),
            (select sum(tuples_processed) from pg_stat_progress_copy),
            (select string_agg(received_lsn::text, ' ' order by relid) from pg_stat_subscription where relid is not null)) as mark`,
  );
  return row?.mark ?? '';
}

const copyStalled = (context: RunnerContext, { leader }: AwaitCopy, node: string): RepctlError =>
  new RepctlError(
    'copy-stalled',
    `${node}: nothing has arrived from ${leader} for ${String(Math.round(patience(context) / 1000))} s, and the initial copy is not over.`,
    {
      exit: EXIT.incomplete,
      hint: `repctl doctor shows whether ${node} reaches ${leader}, and transactions on ${leader} that a copy waits for.`,
      details: { node, leader },
    },
  );

/** Whether it was looked at just now: a leader that is gone ends the wait, and it is not asked at every turn. */
function watchLeader(context: RunnerContext, leader: string): () => Promise<boolean> {
  let next = performance.now() + LEADER_MS;
  return async () => {
    if (performance.now() < next) return false;
    next = performance.now() + LEADER_MS;
    await look(context, leader);
    return true;
  };
}

const LEADER_MS = 1000;

/** Three times in a row, since node and leader are not seen at the same instant. */
async function copyIsLost(context: RunnerContext, action: AwaitCopy, name: string): Promise<boolean> {
  for (let round = 0; round < 3; round += 1) {
    const [node, leader] = await Promise.all([look(context, name), look(context, action.leader)]);
    const subscription = subscriptionOf(node, action.epoch);
    if (subscription === undefined || !hasLostCopy(subscription, leader)) return false;
  }
  return true;
}

const copyLost = (node: string, leader: string): RepctlError =>
  new RepctlError(
    'copy-lost',
    `${node}: the initial copy cannot go on, ${leader} has its slot no more: a crash of ${node} took back what was copied last.`,
    { exit: EXIT.incomplete, hint: `repctl rewire ${node}`, details: { node, leader } },
  );

const copyFailed = (node: string, errors: number): RepctlError =>
  new RepctlError('copy-failed', `${node}: the initial copy of a table has failed ${String(errors)} times.`, {
    exit: EXIT.incomplete,
    hint: `The server log of ${node} says why; repctl subscription show ${node}`,
    details: { node, errors },
  });

async function estimatedRows(leader: { query: <R>(sql: string) => Promise<R[]> }): Promise<number> {
  const [row] = await leader.query<{ rows: string }>(
    `select coalesce(sum(greatest(c.reltuples, 0)), 0)::bigint as rows from pg_publication_tables t
       join pg_namespace n on n.nspname = t.schemaname join pg_class c on c.relnamespace = n.oid and c.relname = t.tablename
      where t.pubname = 'repctl'`,
  );
  return Number(row?.rows ?? 0);
}

async function rowsCopied(context: RunnerContext, name: string): Promise<number> {
  const session = await context.fleet.session(name);
  const [row] = await session.query<{ rows: string }>(
    `select (select coalesce(sum(tuples_processed), 0) from pg_stat_progress_copy)
          + (select coalesce(sum(n_live_tup), 0) from pg_stat_user_tables u
               join pg_subscription_rel r on r.srrelid = u.relid where r.srsubstate in ('f', 's', 'r')) as rows`,
  );
  return Number(row?.rows ?? 0);
}

/**
 * Makes (or, when they are of an earlier epoch, moves to now) the standby slots of a node and notes from where
 * each is complete: the node's own applied position, read after the slot begins. A sibling at or past it can
 * later be mapped; one that is behind it cannot, and is then refused instead of losing rows.
 */
export async function standby(context: RunnerContext, action: Standby): Promise<StepResult> {
  const before = await look(context, action.node);
  const session = await context.fleet.session(action.node);
  const lacking = action.siblings.filter((sibling) => !hasStandbySlots(before, [sibling], action.epoch));
  for (const sibling of lacking) {
    const name = slotName(sibling);
    const there = before.slots.find((slot) => slot.name === name);
    // A base that outlived its slot would make a run after a kill believe that the new one holds what the old held.
    if (there === undefined || !isUsable(there)) await session.simple(dropStandbyBaseSql(sibling));
    if (there !== undefined && !isUsable(there)) await dropSlot(session, name);
    if (!(await ensureSlot(session, name))) await advanceSlot(session, name, await flushNow(session));
  }
  const timeoutMs = context.fleet.config.statementTimeoutMs;
  // A position counts once the worker has no transaction open: the commit record may be in the WAL, before where
  // the slot begins, while the origin has not moved yet (RecordTransactionCommit does both before the xid ends).
  const settled = () =>
    waitFor(
      async () => {
        const own = subscriptionOf(await look(context, action.node), action.epoch);
        return own === undefined || own.workerInTransaction ? undefined : own;
      },
      { timeoutMs, pauseMs: 5 },
    );
  const position = async () => (await settled())?.appliedLsn ?? undefined;
  let base = await position();
  if (base === undefined) {
    // Where origins may not be read, a position is read out of a slot, and these hold only what came after they
    // were made: so something must come.
    const { leader, epoch, node } = action;
    await probe(context.fleet, { leader, replicas: [node], epoch, samples: 1, timeoutMs });
    base = await waitFor(position, { timeoutMs, pauseMs: 20 });
  }
  if (base === undefined) {
    throw new RepctlError(
      'position-unknown',
      `${action.node} has applied nothing in epoch ${String(action.epoch)} yet.`,
      {
        exit: EXIT.incomplete,
        hint: `repctl subscription show ${action.node}`,
      },
    );
  }
  await session.transaction(async () => {
    for (const sibling of lacking) await session.simple(standbyBaseSql(sibling, action.epoch, base));
  });
  return { slots: lacking.length, base };
}

export async function resume(context: RunnerContext, { node, subscription }: Resume): Promise<StepResult> {
  const session = await context.fleet.session(node);
  await session.simple(enableSubscriptionSql(subscription));
  return undefined;
}
