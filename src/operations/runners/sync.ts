/** Runners of the sync mode: the record, the server's setting, and how replicas apply. */
import type { Fleet } from '../../cluster/fleet.js';
import type { ReachableNode } from '../../cluster/model.js';
import { SYNC_KIND } from '../../cluster/names.js';
import { quorumOf, sameQuorum, settingOf, syncText } from '../../cluster/sync.js';
import { EXIT, RepctlError } from '../../errors.js';
import type { StepResult } from '../../plan/execute.js';
import { literal } from '../../postgres/quote.js';
import type { Session } from '../../postgres/session.js';
import { synchronousCommitSql } from '../../replication/subscriptions.js';
import type { SyncCommit, SyncRecorded, SyncSetting, SyncTarget } from '../actions.js';
import { type RunnerContext, type SwitchoverContext, look, waitFor } from './context.js';

export async function syncCommit(context: RunnerContext, action: SyncCommit): Promise<StepResult> {
  const session = await context.fleet.session(action.node);
  await session.simple(synchronousCommitSql(action.subscription, action.value));
  return undefined;
}

/** `synchronous_standby_names` in pg_settings, as the server knows it. */
const namesOf = (node: ReachableNode): string => node.settings['synchronous_standby_names'] ?? '';

export async function syncSetting(context: RunnerContext, action: SyncSetting): Promise<StepResult> {
  const session = await context.fleet.session(action.node);
  await setStandbyNames(session, action.value);
  // Nothing may be recorded as promised before it is kept; what is taken back is kept a little longer.
  if ((quorumOf(action.value)?.k ?? 0) > 0) await proveThatCommitsWait(context, session);
  else await checkpointerHeard(session, limits(context).timeoutMs);
  return undefined;
}

const limits = (context: RunnerContext): { timeoutMs: number } => ({
  timeoutMs: Math.min(context.fleet.config.statementTimeoutMs, 10_000),
});

/** ALTER SYSTEM cannot run in a transaction block; until the reload is heard, the old value holds. */
async function setStandbyNames(session: Session, value: string): Promise<void> {
  await session.query(
    value === ''
      ? 'alter system reset synchronous_standby_names'
      : `alter system set synchronous_standby_names = ${literal(value)}`,
  );
  await session.query('select pg_reload_conf()');
  const heard = await waitFor(
    async () => {
      const [row] = await session.query<{ value: string }>(
        `select current_setting('synchronous_standby_names') as value`,
      );
      return row?.value === value ? true : undefined;
    },
    { timeoutMs: 5000, pauseMs: 2 },
  );
  if (heard === undefined)
    throw new RepctlError(
      'setting-not-effective',
      `${session.node}: synchronous_standby_names does not become '${value}': it is set in another place too.`,
      {
        exit: EXIT.incomplete,
        hint: `Look where: select * from pg_file_settings where name = 'synchronous_standby_names'; the server's command line goes before all files.`,
        details: { node: session.node, value },
      },
    );
}

/**
 * Committing sessions ask a flag in shared memory that the checkpointer clears when it hears of the reload
 * (SyncRepUpdateSyncStandbysDefined), so commits go on once it has: seen asleep again, twice. It sleeps in its main
 * loop or, while a checkpoint is spread over minutes, between two writes; the signal wakes it from either, and both
 * look at the flag before they sleep again (CheckpointerMain, CheckpointWriteDelay). One that has not had its turn
 * since the signal looks asleep too: good enough for taking back, and no proof that commits wait.
 */
async function checkpointerHeard(session: Session, timeoutMs: number): Promise<void> {
  let idleBefore = false;
  await waitFor(
    async () => {
      const [row] = await session.query<{ event: string | null }>(
        `select wait_event as event from pg_stat_activity where backend_type = 'checkpointer'`,
      );
      // Not visible without pg_monitor (or none in single-user mode): then the reload's own time must do.
      const idle =
        row === undefined ||
        row.event === null ||
        /^(?:checkpointer_?main|checkpoint_?write_?delay)$/iu.test(row.event);
      if (idle && idleBefore) return true;
      idleBefore = idle;
      return undefined;
    },
    { timeoutMs, pauseMs: 10 },
  );
}

/**
 * Before a node is promoted: makes its commits wait as `sync` says, and proves it. So the promise holds from the first
 * write after the promotion. Without `sync` a setting of an earlier attempt is taken back.
 */
export async function arm(
  context: RunnerContext,
  node: ReachableNode,
  sync: SyncTarget | undefined,
): Promise<void> {
  const session = await context.fleet.session(node.name);
  const wanted = sync === undefined ? '' : settingOf(sync);
  const there = namesOf(node);
  if (wanted === '') {
    if ((quorumOf(there)?.k ?? 0) === 0) return;
    await setStandbyNames(session, '');
    await checkpointerHeard(session, limits(context).timeoutMs);
    return;
  }
  if (there !== wanted) await setStandbyNames(session, wanted);
  await proveThatCommitsWait(context, session);
}

/** {@link arm} for the target of a switchover, before anybody is kept waiting. */
export async function armTarget(
  context: SwitchoverContext,
  target: string,
  sync: SyncTarget | undefined,
): Promise<void> {
  const node = await look(context, target);
  if (sync !== undefined) context.handover.armed = target;
  await arm(context, node, sync);
}

/** Takes back what arm() set, when the node is not promoted after all. */
export async function disarm(fleet: Fleet, name: string): Promise<void> {
  const session = await fleet.fresh(name);
  try {
    await setStandbyNames(session, '');
  } finally {
    await session.close();
  }
}

/**
 * One commit that waits in SyncRep shows that the setting holds. Where nobody follows yet it hangs, and is let go; on a
 * leader replicas confirm it after a moment, which may be too short to be seen: then another one is tried.
 */
async function proveThatCommitsWait(context: RunnerContext, session: Session): Promise<void> {
  const other = await context.fleet.fresh(session.node);
  try {
    const [own] = await other.query<{ pid: number }>('select pg_backend_pid() as pid');
    const pid = own?.pid ?? 0;
    const deadline = performance.now() + 5000;
    while (performance.now() < deadline) {
      const commit = { done: false };
      // Published nowhere, so no sibling will ever see it.
      const write = other
        .simple('set synchronous_commit = on; update repctl.node set name = name')
        .finally(() => {
          commit.done = true;
        });
      const waits = await waitFor(
        async () => {
          const [row] = await session.query<{ event: string | null }>(
            'select wait_event as event from pg_stat_activity where pid = $1',
            [pid],
          );
          if (row?.event === 'SyncRep') return 'waits' as const;
          return commit.done ? ('done' as const) : undefined;
        },
        { timeoutMs: 2000, pauseMs: 1 },
      );
      if (waits !== 'done') await session.query('select pg_cancel_backend($1)', [pid]);
      await write.catch(() => undefined);
      if (waits === 'waits') return;
    }
  } finally {
    await other.close();
  }
  throw new RepctlError(
    'sync-not-effective',
    `${session.node}: commits do not wait although synchronous_standby_names is set.`,
    { exit: EXIT.incomplete, hint: 'Is synchronous_commit on there, and max_wal_senders above 0?' },
  );
}

/** The record, in the transaction of the caller. It is the newest of its epoch even where a clock was set back since. */
export const syncRecordSql = (
  context: RunnerContext,
  epoch: number,
  { mode, k, names }: SyncTarget,
): string =>
  `insert into repctl.event (at, epoch, kind, operator, reason, details) values (greatest(clock_timestamp(), (select max(at) + interval '1 microsecond' from repctl.event where kind = ${literal(SYNC_KIND)} and epoch = ${String(epoch)})), ${String(epoch)}, ${literal(SYNC_KIND)}, ` +
  `${literal(context.operator)}, ${context.reason === null ? 'null' : literal(context.reason)}, ${literal(JSON.stringify({ mode, k, names }))})`;

/**
 * Writes the record, and where it promises less than before waits until as many replicas have it as commits waited
 * for: then any set of replicas for which a failover would promise something holds one that knows better.
 */
export async function syncRecorded(context: RunnerContext, action: SyncRecorded): Promise<StepResult> {
  const { node: leader, epoch, sync, heardBy } = action;
  const session = await context.fleet.session(leader);
  const newest = (await look(context, leader)).syncRecord;
  const there = newest?.epoch === epoch && newest.mode === sync.mode && sameQuorum(newest, sync);
  if (!there)
    await session.transaction(async () => {
      await session.simple('set local synchronous_commit = local');
      await session.simple(syncRecordSql(context, epoch, sync));
    });
  if (heardBy.k === 0) return undefined;
  const { timeoutMs } = limits(context);
  const heard = new Set<string>();
  await waitFor(
    async () => {
      await Promise.all(
        heardBy.names.map(async (name) => {
          if (heard.has(name)) return;
          const record = await look(context, name).then(
            (found) => found.syncRecord,
            () => null,
          );
          if (record?.epoch === epoch && record.mode === sync.mode && sameQuorum(record, sync))
            heard.add(name);
        }),
      );
      return heard.size >= heardBy.k ? true : undefined;
    },
    { timeoutMs, pauseMs: 20 },
  );
  if (heard.size < heardBy.k)
    throw new RepctlError(
      'sync-unrecorded',
      `Only ${heard.size === 0 ? 'none' : [...heard].join(', ')} of ${heardBy.names.join(', ')} heard that commits wait for ${syncText(sync)}; ${String(heardBy.k)} must, or a failover would promise too much.`,
      {
        exit: EXIT.incomplete,
        hint: 'Bring them back, or go on without: --accept-unrecorded',
        details: { heard: [...heard], needed: heardBy.k },
      },
    );
  return { heard: [...heard] };
}
