/**
 * A switchover that fails before its promotion committed is undone: the fence comes down, the barrier row goes, and
 * the cluster is as before. After it there is only the way forward. Whether it committed is not guessed: the target
 * is asked once the session that sent it is certainly gone.
 */
import type { Fleet } from '../cluster/fleet.js';
import type { Lock } from '../cluster/lock.js';
import { BARRIER_KIND } from '../cluster/names.js';
import { EXIT, RepctlError, messageOf } from '../errors.js';
import type { FinishedStep } from '../plan/execute.js';
import type { Journal } from '../plan/journal.js';
import type { Plan } from '../plan/plan.js';
import type { Session } from '../postgres/session.js';
import { isConnectionLoss } from '../postgres/sqlstate.js';
import { setFence } from '../replication/fencing.js';
import type { TableName } from '../cluster/model.js';
import type { Action, Promote } from './actions.js';
import { mayGoBack } from './locked.js';
import { waitFor } from './runners/context.js';
import { disarm } from './runners/sync.js';
import type { Handover } from './runners/handed-on.js';

/** How long the target is asked what became of the promotion, and the leader to take its fence down. */
const ASK_MS = 10_000;

export interface Undo {
  readonly fleet: Fleet;
  readonly lock?: Lock | undefined;
  readonly acceptMinority?: boolean | undefined;
  readonly journal: Journal;
  readonly handover: Handover;
}

/** Runs `body`; when the plan is a switchover's and it fails before the promotion committed, undoes it and throws that. */
export async function orRollBack(
  plan: Plan<Action>,
  undo: Undo,
  body: () => Promise<FinishedStep[]>,
): Promise<FinishedStep[]> {
  const promotion = plan.steps
    .map(({ action }) => action)
    .find((action) => action.kind === 'promote' && action.drained === true) as Promote | undefined;
  if (promotion === undefined) return body();
  try {
    return await body();
  } catch (error) {
    if (undo.handover.promoted !== undefined) throw error;
    const fences = plan.steps.some(({ action }) => action.kind === 'fence');
    if (fences && undo.handover.fenceSent === undefined) {
      await undo.handover.target?.session.close();
      // A setting that is left there is told by `status`, with what to type.
      if (undo.handover.armed !== undefined)
        await disarm(undo.fleet, undo.handover.armed).catch(() => undefined);
      throw isRefusal(error)
        ? error
        : rolledBack(error, 'the fence was not up yet; the cluster is as before.');
    }
    throw await rollBack(promotion, undo, error);
  }
}

async function rollBack(
  promotion: Promote,
  { fleet, journal, handover, lock, acceptMinority = false }: Undo,
  error: unknown,
): Promise<unknown> {
  const { node: target, previousLeader: leader } = promotion;
  const about = { operation: promotion.operation, node: leader };
  const told = (code: string) =>
    journal.append({ event: 'rolled-back', ...about, code }).catch(() => undefined);
  if (handover.promotionSent === true) {
    const fate = await promotionFate(fleet, promotion, handover);
    if (fate === 'committed') return error;
    if (fate === 'unknown') return unknownFate(promotion, error);
  }
  await handover.target?.session.close();
  try {
    if (!(await mayGoBack(lock, { fleet, operation: 'rollback', acceptMinority })))
      throw new RepctlError('lock-lost', 'Another operation has begun.', { exit: EXIT.refused });
    const lifted = await lift(fleet, leader, handover);
    if (handover.armed !== undefined) await disarm(fleet, handover.armed).catch(() => undefined);
    if (!lifted && isRefusal(error)) return error;
    await told(error instanceof RepctlError ? error.code : 'bug');
    return rolledBack(error, `${leader} leads and takes writes; the cluster is as before.`);
  } catch (failure) {
    return leaderGone(leader, failure)
      ? nothingPromoted(promotion, error, failure)
      : stillFenced(promotion, error, failure, target);
  }
}

/** A runner that refused before the fence was up changed nothing: that stays a refusal. */
const isRefusal = (error: unknown): boolean => error instanceof RepctlError && error.exit === EXIT.refused;

async function promotionFate(
  fleet: Fleet,
  { node, epoch }: Promote,
  { target }: Handover,
): Promise<'committed' | 'not' | 'unknown'> {
  const answer = await waitFor(
    async () => {
      const session = await fleet.fresh(node).catch(() => undefined);
      if (session === undefined) return undefined;
      try {
        if (target !== undefined) await endSession(session, target.pid);
        const rows = await session.query('select from repctl.epoch where epoch = $1', [epoch]);
        return rows.length > 0 ? ('committed' as const) : ('not' as const);
      } catch {
        return undefined;
      } finally {
        await session.close();
      }
    },
    { timeoutMs: ASK_MS, pauseMs: 100 },
  );
  return answer ?? 'unknown';
}

/** Its server process may still be about to commit: it is ended and waited for. */
async function endSession(session: Session, pid: number): Promise<void> {
  const gone = async () => {
    const [row] = await session.query<{ there: boolean }>(
      `select exists (select from pg_stat_activity where pid = $1 and application_name = 'repctl' and usename = current_user) as there`,
      [pid],
    );
    if (row?.there !== true) return true;
    await session.query('select pg_terminate_backend($1)', [pid]);
    return undefined;
  };
  if (!(await waitFor(gone, { timeoutMs: ASK_MS, pauseMs: 10 })))
    throw new RepctlError('bug', `${session.node}: process ${String(pid)} does not end.`);
}

/** Takes the fence down that the barrier raised, and the barrier with it. False when it was not up. */
async function lift(fleet: Fleet, leader: string, { fenceSent }: Handover): Promise<boolean> {
  const session = await fleet.fresh(leader);
  try {
    if (fenceSent !== undefined) await endSession(session, fenceSent.pid);
    const barriers = await session.query('select from repctl.event where kind = $1', [BARRIER_KIND]);
    if (barriers.length === 0) return false;
    const tables = await session.query<TableName>(
      `select n.nspname as schema, c.relname as name from pg_publication p join pg_publication_rel r on r.prpubid = p.oid
         join pg_class c on c.oid = r.prrelid join pg_namespace n on n.oid = c.relnamespace where p.pubname = 'repctl'`,
    );
    await setFence(session, {
      tables,
      wanted: 'disabled',
      timeoutMs: ASK_MS,
      within: async () => {
        await session.query('delete from repctl.event where kind = $1', [BARRIER_KIND]);
      },
    });
    return true;
  } finally {
    await session.close();
  }
}

function rolledBack(error: unknown, state: string): RepctlError {
  const inner = error instanceof RepctlError ? error : undefined;
  const interrupted = inner?.exit === EXIT.interrupted;
  const [first = ''] = (inner?.hint ?? '').split('\n');
  const hint = /the same command goes on from there|^Nothing was changed|^Run the same command/u.test(first)
    ? ''
    : first;
  return new RepctlError(inner?.code ?? 'bug', messageOf(error), {
    exit: interrupted ? EXIT.interrupted : EXIT.rolledBack,
    hint: [...(hint === '' ? [] : [hint]), `Rolled back: ${state}`].join('\n'),
    details: { ...inner?.details, rolledBack: true },
    cause: error,
  });
}

const unknownFate = ({ node, previousLeader }: Promote, error: unknown): RepctlError =>
  new RepctlError(
    'promotion-unknown',
    `${node} does not answer, and it is not known whether its promotion was committed: ${messageOf(error)}`,
    {
      exit: EXIT.incomplete,
      hint: `${previousLeader} stays fenced, so that two nodes never take writes. When ${node} is back: repctl switchover ${node}`,
      details: { node, leader: previousLeader },
      cause: error,
    },
  );

const leaderGone = (leader: string, failure: unknown): boolean =>
  isConnectionLoss(failure) && failure instanceof RepctlError && failure.details['node'] === leader;

const nothingPromoted = ({ node, previousLeader }: Promote, error: unknown, failure: unknown): RepctlError =>
  new RepctlError(
    'leader-gone',
    `${previousLeader} does not answer any more, and nothing was promoted: ${previousLeader} is the leader still.\n${messageOf(failure)}`,
    {
      exit: EXIT.incomplete,
      hint: `repctl failover\nShould ${previousLeader} come back first, it may be fenced: repctl switchover ${node} goes on, repctl unfence ${previousLeader} gives it up`,
      details: { leader: previousLeader, during: messageOf(error) },
      cause: error,
    },
  );

const stillFenced = (
  { previousLeader }: Promote,
  error: unknown,
  failure: unknown,
  target: string,
): RepctlError =>
  new RepctlError(
    'leader-fenced',
    `${messageOf(error)}\nAnd the fence of ${previousLeader} could not be taken down again: ${messageOf(failure)}`,
    {
      exit: EXIT.incomplete,
      hint: `repctl switchover ${target} tries again; repctl unfence ${previousLeader} gives it up; if ${previousLeader} is gone: repctl failover`,
      details: { leader: previousLeader },
      cause: error,
    },
  );
