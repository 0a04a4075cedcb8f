/** Runners of a switchover between the fence and the last replica attached. */
import type { RunContext, StepResult } from '../../plan/execute.js';
import { BARRIER_KIND, slotName, subscriptionName } from '../../cluster/names.js';
import { EXIT, RepctlError } from '../../errors.js';
import type { Lsn } from '../../postgres/lsn.js';
import { ident, literal } from '../../postgres/quote.js';
import type { Session } from '../../postgres/session.js';
import { flushNow } from '../../replication/positions.js';
import {
  type SequenceInfo,
  highestInUseSql,
  setPastSql,
  valuesOf,
  withHandedOut,
} from '../../replication/sequences.js';
import { recordSequencesSql } from '../../replication/sequence-record.js';
import { advanceSlot, persistSlot, standbyBaseSql } from '../../replication/slots.js';
import { swapSubscriptionSql, tombstoneSql } from '../../replication/subscriptions.js';
import type { Attach, Drain, Promote } from '../actions.js';
import { type Blocker, blockerText, endBlocker, workerBlockers } from './blockers.js';
import {
  type RunnerContext,
  type SwitchoverContext,
  look,
  subscriptionRequestFor,
  waitFor,
} from './context.js';
import type { Fenced, Promoted } from './handed-on.js';
import { lockTarget, readyTarget, sequenceExhausted } from './handover.js';
import { reserveEpoch } from './reserve.js';
import { swap } from './swap.js';
import { armTarget, syncRecordSql } from './sync.js';
import { dropSlotHard } from './teardown.js';

/** Waits until the barrier row is visible everywhere: it commits after every other row, and is applied after them. */
export async function drain(context: SwitchoverContext, action: Drain, run: RunContext): Promise<StepResult> {
  const barrier = context.handover.fence?.barrier ?? (await holdingBarrier(context, action.leader));
  const sql = `select from repctl.event where id = ${literal(barrier)}`;
  const waiting = new Set(action.nodes);
  const delays = await Promise.all(
    action.nodes.map(async (name) => {
      const start = performance.now();
      const session = await context.fleet.session(name);
      const seen = await waitFor(async () => ((await session.prepared(sql)).length > 0 ? true : undefined), {
        timeoutMs: action.timeoutMs,
        pauseMs: 1,
      });
      if (seen === undefined) throw notDrained(name, action, await workerBlockers(session).catch(() => []));
      waiting.delete(name);
      if (waiting.size > 0) run.report({ message: `waits for ${[...waiting].join(', ')}` });
      return [name, Math.round(performance.now() - start)] as const;
    }),
  );
  return { visibleAfterMs: Object.fromEntries(delays) };
}

function notDrained(node: string, action: Drain, blockers: readonly Blocker[]): RepctlError {
  const [first] = blockers;
  const leaveOut = `leave it out: --without ${node}`;
  return new RepctlError(
    'not-drained',
    `${node} did not show the last row of ${action.leader} within ${(action.timeoutMs / 1000).toFixed(1)} s.${
      first === undefined ? '' : ` ${blockerText(first)} holds a lock that its apply worker waits for.`
    }`,
    {
      exit: EXIT.rolledBack,
      hint:
        first === undefined
          ? `repctl lag; raise --drain-timeout, or ${leaveOut}`
          : `${endBlocker(node, first)}; or ${leaveOut}`,
      details: { node, leader: action.leader, blockers },
    },
  );
}

/** The barrier since which nobody has written to the node; throws when its fence was taken down since. */
async function holdingBarrier(context: RunnerContext, name: string): Promise<string> {
  const barrier = (await look(context, name)).barriers?.find((one) => one.holds);
  if (barrier !== undefined) return barrier.id;
  throw new RepctlError('fence-lost', `The fence of ${name} was taken down meanwhile.`, {
    exit: EXIT.rolledBack,
    hint: 'Run the same command again.',
    details: { node: name },
  });
}

/**
 * One transaction on the target, sent in one message: when it commits, writes work. What it needs was made ready
 * before the fence went up; only the highest values in use are read now.
 */
export async function handOver(context: SwitchoverContext, action: Promote): Promise<StepResult> {
  const { handover } = context;
  const target = handover.target ?? (await resumed(context, action));
  if (target === undefined) {
    // By an earlier run, but it is there: nobody may take the fence of the former leader down any more.
    handover.promotionSent = true;
    return undefined;
  }
  const fence = handover.fence ?? (await fenceOf(context, action));
  const used = highestInUseSql(target.sequences);
  // Nothing is written here but by the apply worker, and that has nothing left to apply: whatever came from the
  // former leader lies before the insert position of this moment, and the promotion's commit after it.
  const [[now], leaders] = await Promise.all([
    target.session.simple<{ point: Lsn; used: { i: number; value: string | null }[] }>(
      `select pg_current_wal_insert_lsn()::text as point, ${used === null ? `'[]'::json` : `coalesce((select json_agg(to_json(u)) from (${used}) u), '[]')`} as used`,
    ),
    // The fenced leader hands nothing out any more through published tables: what it gave is not given again.
    lastHandedOut(context, action.previousLeader, target.sequences),
  ]);
  const point = now?.point ?? '0/0';
  const values = new Map((now?.used ?? []).map((row) => [row.i, row.value]));
  const gap = context.fleet.config.sequenceGap;
  const past = withHandedOut(
    target.sequences.map((sequence, i) => ({ ...sequence, highestInUse: values.get(i) ?? null })),
    leaders,
  );
  const { sql: sequences, exhausted } = setPastSql(past, gap);
  if (exhausted.length > 0) throw sequenceExhausted(exhausted, gap);
  const { epoch, node } = action;
  const record = recordSequencesSql({ epoch, node, operator: context.operator, sequences: past, gap });
  const text = (value: string | null): string => (value === null ? 'null' : literal(value));
  handover.promotionSent = true;
  await target.session.simple(
    [
      `set local lock_timeout = '1s'`,
      ...target.fencesDown,
      ...tombstoneSql(action.subscription),
      `delete from repctl.event where kind = ${literal(BARRIER_KIND)}`,
      `insert into repctl.epoch (epoch, leader, previous_leader, fork_point, previous_lsn, operation, operator, reason) values (${String(action.epoch)}, ${text(action.node)}, ${text(action.previousLeader)}, ${text(fence.after)}, ${text(fence.after)}, ${text(action.operation)}, ${text(context.operator)}, ${text(context.reason)})`,
      ...(action.sync === undefined ? [] : [syncRecordSql(context, action.epoch, action.sync)]),
      ...record,
      // setval() is not undone by a rollback: it comes last.
      ...sequences,
      'commit',
    ].join('; '),
  );
  handover.promoted = { epoch: action.epoch, point, waits: action.sync !== undefined };
  void target.session.close();
  return { forkPoint: fence.after, sequences: sequences.length, point };
}

/** Where the sequences of the fenced leader stand, one round trip. */
async function lastHandedOut(
  context: RunnerContext,
  leader: string,
  sequences: readonly SequenceInfo[],
): Promise<readonly SequenceInfo[]> {
  return sequences.length === 0 ? [] : valuesOf(await context.fleet.session(leader), sequences);
}

/** After an interruption: what the fence's step would have made ready; undefined when the promotion is done. */
async function resumed(context: SwitchoverContext, action: Promote) {
  const node = await look(context, action.node);
  if (node.epochs.some((row) => row.epoch === action.epoch && row.leader === action.node)) return undefined;
  await holdingBarrier(context, action.previousLeader);
  const target = await readyTarget(context, action.node, node.tables);
  context.handover.target = target;
  await Promise.all([armTarget(context, action.node, action.sync), reserveEpoch(context, action.reserve)]);
  await lockTarget(target);
  return target;
}

/** Everything published lies before the barrier, so any later position is as good as that of its commit. */
async function fenceOf(context: RunnerContext, action: Promote): Promise<Pick<Fenced, 'after'>> {
  const session = await context.fleet.session(action.previousLeader);
  return { after: await flushNow(session) };
}

/**
 * Attaches a node right after the promotion: it has everything that lies before the promotion, since the barrier was
 * visible on it, so that the slot goes to that point without decoding anything twice.
 */
export async function follow(
  context: RunnerContext,
  action: Attach,
  { point, waits }: Promoted,
  fence: Fenced,
): Promise<StepResult> {
  const { fleet } = context;
  const [session, leader] = await Promise.all([fleet.session(action.node), fleet.session(action.leader)]);
  const slot = slotName(action.node);
  const [[about]] = await Promise.all([
    session.prepared<{ version: number; old: string[] }>(OWN_SUBSCRIPTIONS_SQL),
    // What was applied with synchronous_commit=off must survive a crash here before the slot moves past it there.
    flushNow(session),
  ]);
  const old = about?.old ?? [];
  const led = !old.includes(subscriptionName(action.node, action.from));
  // Should the node lose what it had applied in a crash right now, it is found behind the base and not mapped.
  await leader.simple(standbyBaseSql(action.node, action.from, fence.before));
  await advanceSlot(leader, slot, point);
  await persistSlot(leader, slot);
  if (led) await dropOwnSlots(session);
  const request = subscriptionRequestFor(context, {
    ...{ node: action.node, leader: action.leader, epoch: action.epoch },
    ...{ versionNum: about?.version ?? 0, copyData: false, confirms: waits },
  });
  await swap(context, action, swapSubscriptionSql(old, request));
  for (const name of old) await session.simple(`drop subscription if exists ${ident(name)}`);
  return { rowsCopied: 0, behind: 0, foreign: 0 };
}

const OWN_SUBSCRIPTIONS_SQL = `
select current_setting('server_version_num')::int as version,
       array(select subname::text from pg_subscription
              where subdbid = (select oid from pg_database where datname = current_database())
                and subname ~ '^repctl_[a-z][a-z0-9_]*_e[0-9]+$') as old`;

/**
 * The slots of a node that led: whoever still reads one would get, through this node, what the new leader writes,
 * and once more from that leader itself. They are made anew as standby slots.
 */
export async function dropOwnSlots(session: Session): Promise<void> {
  const slots = await session.query<{ name: string }>(
    `select slot_name as name from pg_replication_slots
      where database = current_database() and slot_type = 'logical' and slot_name ~ '^repctl_[a-z][a-z0-9_]*$'`,
  );
  for (const { name } of slots) await dropSlotHard(session, name);
  await session.simple('delete from repctl.standby');
}
