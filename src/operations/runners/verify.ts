/** The runner that ends an operation: its record is written to the leader, and must show on every replica. */
import { slotName } from '../../cluster/names.js';
import { EXIT, RepctlError } from '../../errors.js';
import type { RunContext, StepResult } from '../../plan/execute.js';
import type { Session } from '../../postgres/session.js';
import type { Verify } from '../actions.js';
import { type Blocker, blockerText, endBlocker, workerBlockers } from './blockers.js';
import { type RunnerContext, waitFor } from './context.js';
import { foundLoss } from './stranded.js';

export async function verify(context: RunnerContext, action: Verify, run: RunContext): Promise<StepResult> {
  const leader = await context.fleet.session(action.leader);
  const steps = run.finished.map(({ id, node, ms, result = null }) => ({
    id,
    node,
    ms: Math.round(ms),
    result,
  }));
  const [row] = await leader.query<{ id: string }>(
    `insert into repctl.event (epoch, kind, node, operator, reason, details) values ($1, $2, $3, $4, $5, $6) returning id`,
    [
      action.epoch,
      action.operation,
      action.subject,
      context.operator,
      context.reason,
      JSON.stringify({ steps, ...(await foundLoss(leader, action, run)) }),
    ],
  );
  const id = row?.id ?? '';
  const delays = await Promise.all(
    action.nodes.map(async (name) => [name, await arrival(context, action, { id, name, run })] as const),
  );
  return { visibleAfterMs: Object.fromEntries(delays) };
}

/** How often it is asked why a row does not come, milliseconds: far rarer than whether it has come. */
const WHY_MS = 250;

interface Awaited {
  readonly id: string;
  readonly name: string;
  readonly run: RunContext;
}

/**
 * Milliseconds until the row was visible on the node. A replica that is far behind gets statementTimeout; one that
 * stands still, because a session holds a lock or somebody else has its slot, gets drainTimeout from when that was
 * seen first: it will not come by itself. Throws `replica-locked`, `slot-active` or `not-streaming` (exit 7).
 */
async function arrival(
  context: RunnerContext,
  { leader }: Verify,
  { id, name, run }: Awaited,
): Promise<number> {
  const { statementTimeoutMs, drainTimeoutMs } = context.fleet.config;
  const start = performance.now();
  const session = await context.fleet.session(name);
  let ask = start + WHY_MS;
  let still: { readonly since: number; readonly why: RepctlError } | undefined;
  const seen = await waitFor(
    async () => {
      if ((await session.query('select 1 from repctl.event where id = $1', [id])).length > 0) return true;
      const now = performance.now();
      if (now < ask) return undefined;
      ask = now + WHY_MS;
      const why = await standstill(context, { session, name, leader });
      still = why === undefined ? undefined : { since: still?.since ?? now, why };
      if (why !== undefined) run.report({ message: `waits for ${name}: ${why.message}` });
      if (still !== undefined && now - still.since > drainTimeoutMs) throw still.why;
      return undefined;
    },
    { timeoutMs: statementTimeoutMs, pauseMs: 2 },
  );
  if (seen === undefined) throw still?.why ?? notStreaming(name, leader, statementTimeoutMs);
  return Math.round(performance.now() - start);
}

interface Stream {
  readonly session: Session;
  readonly name: string;
  readonly leader: string;
}

/** Why nothing can arrive on the node right now; undefined while it may only be slow. */
async function standstill(
  context: RunnerContext,
  { session, name, leader }: Stream,
): Promise<RepctlError | undefined> {
  const blockers = await workerBlockers(session);
  if (blockers[0] !== undefined) return locked(name, blockers, blockers[0]);
  const [worker] = await session.query(
    `select 1 from pg_stat_subscription
      where subname ~ ('^' || $1 || '_e[0-9]+$') and relid is null and pid is not null and received_lsn is not null`,
    [slotName(name)],
  );
  if (worker !== undefined) return undefined;
  const slot = slotName(name);
  const [reader] = await (
    await context.fleet.session(leader)
  ).query<{ pid: number; application: string }>(
    `select s.active_pid as pid, coalesce(a.application_name, '') as application
       from pg_replication_slots s left join pg_stat_activity a on a.pid = s.active_pid
      where s.slot_name = $1 and s.active_pid is not null and coalesce(a.application_name, $2) <> $2`,
    [slot, name],
  );
  return reader === undefined ? undefined : taken({ name, leader, slot, ...reader });
}

const locked = (node: string, blockers: readonly Blocker[], first: Blocker): RepctlError =>
  new RepctlError(
    'replica-locked',
    `${node} cannot apply what arrives: ${blockerText(first)} holds a lock that its apply worker waits for.`,
    {
      exit: EXIT.incomplete,
      hint: `${endBlocker(node, first)}, or let it end; ${node} then goes on by itself: repctl status`,
      details: { node, blockers },
    },
  );

const taken = (about: {
  readonly name: string;
  readonly leader: string;
  readonly slot: string;
  readonly pid: number;
  readonly application: string;
}): RepctlError =>
  new RepctlError(
    'slot-active',
    `Slot ${about.slot} on ${about.leader}, which feeds ${about.name}, is in use by somebody else: process ${String(about.pid)}${about.application === '' ? '' : ` (${about.application})`}.`,
    {
      exit: EXIT.incomplete,
      hint: `Stop its reader; on ${about.leader}: select pg_terminate_backend(${String(about.pid)}); ${about.name} then goes on by itself: repctl status`,
      details: { node: about.name, leader: about.leader, slot: about.slot, pid: about.pid },
    },
  );

const notStreaming = (node: string, leader: string, ms: number): RepctlError =>
  new RepctlError(
    'not-streaming',
    `A row written to ${leader} has not become visible on ${node} within ${(ms / 1000).toFixed(0)} s.`,
    { exit: EXIT.incomplete, hint: `repctl subscription show ${node}`, details: { node, leader } },
  );
