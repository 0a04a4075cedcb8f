/** Does what plan.ts planned. */
import { commonFlavour, pinForDigests } from '../../consistency/equal.js';
import { type Settled, settle } from '../../consistency/repair/settle.js';
import { verify } from '../../consistency/repair/verify.js';
import { keepRows } from '../../consistency/reconcile/kept.js';
import { EXIT, RepctlError } from '../../errors.js';
import type { Fleet } from '../../cluster/fleet.js';
import type { RunContext, Runners, StepResult } from '../../plan/execute.js';
import type { Session } from '../../postgres/session.js';
import { subscriptionOf } from '../facts.js';
import { type RunnerContext, look } from '../runners/context.js';
import { keptFile, knock } from '../runners/reconcile.js';
import { insertEvent } from '../tables/events.js';
import type { RepairAction, SetRight, SetRightResult } from './model.js';

export interface RepairContext extends RunnerContext {
  /** How long a replica that lags may be waited for, altogether. */
  readonly waitMs: number;
  readonly signal?: AbortSignal | undefined;
}

export const repairRunners = (context: RepairContext): Runners<RepairAction> => ({
  'set-right': async (action, run) => ({ ...(await setRight(context, action, run)) }),
  record: async (action, run) => record(context, action, run),
});

/**
 * A server lets go of what a client holds that is gone: at once where its connection was closed, and where the link
 * was cut, once it notices. Without these, tcp keepalive notices after two hours, and the apply worker waits for it.
 */
const SESSION_SQL = `
  set statement_timeout = '10min'; set idle_in_transaction_session_timeout = '5min';
  set tcp_keepalives_idle = 5; set tcp_keepalives_interval = 5; set tcp_keepalives_count = 3;
  set random_page_cost = 1.1;
  select case when version() like '%linux%'
              then pg_catalog.set_config('client_connection_check_interval', '1s', false) end`;

/** Three sessions of their own, for one replica; closed whatever happens. */
export async function withRepairSessions<T>(
  fleet: Fleet,
  leader: string,
  node: string,
  body: (sessions: { leader: Session; source: Session; node: Session }) => Promise<T>,
): Promise<T> {
  const opened: Session[] = [];
  const open = async (name: string) => {
    const session = await fleet.fresh(name, 'repctl repair');
    opened.push(session);
    await session.simple(SESSION_SQL);
    await pinForDigests(session);
    return session;
  };
  try {
    return await body({ leader: await open(leader), source: await open(leader), node: await open(node) });
  } finally {
    await Promise.all(opened.map((session) => session.close()));
  }
}

async function setRight(context: RepairContext, action: SetRight, run: RunContext): Promise<SetRightResult> {
  const { fleet } = context;
  const subscription = subscriptionOf(await look(context, action.node), action.epoch);
  if (subscription?.enabled !== true)
    throw new RepctlError('node-detached', `${action.node} does not follow ${action.leader} any more.`, {
      exit: EXIT.refused,
      hint: `repctl rewire ${action.node}`,
    });
  const kept = keepRows(keptFile(context.stateDir ?? '', fleet, { node: action.node }));
  try {
    return await withRepairSessions(fleet, action.leader, action.node, async (sessions) => {
      const flavour = await commonFlavour([sessions.leader, sessions.source, sessions.node]);
      const patience = { leftMs: context.waitMs };
      const settled = await settle({
        sessions,
        tables: action.tables,
        flavour,
        subscription: subscription.oid,
        epoch: action.epoch,
        patience,
        knock: (name) => knock(fleet, name),
        kept,
        onRows: (done, total) => {
          run.report({ done, total, unit: 'rows settled' });
        },
        signal: context.signal,
      });
      run.report({ message: 'looking at them once more' });
      const verified = await verify({
        leader: sessions.leader,
        node: sessions.node,
        tables: action.tables,
        flavour,
        subscription: subscription.oid,
        patience,
      });
      const onDisk = await kept.finish();
      return {
        ...countsOf(settled),
        why: whyOpen(settled, action),
        stillDiffering: verified.differing,
        unverified: verified.undecided,
        overwritten: onDisk?.file ?? null,
      };
    });
  } finally {
    await kept.close();
  }
}

const countsOf = ({ tables }: Settled) => {
  const sum = (of: (one: Settled['tables'][number]) => number) =>
    tables.reduce((all, one) => all + of(one), 0);
  return {
    inserted: sum((one) => one.inserted),
    updated: sum((one) => one.updated),
    deleted: sum((one) => one.deleted),
    equal: sum((one) => one.equal),
    open: sum((one) => one.open.length),
  };
};

function whyOpen({ why, writers }: Settled, { node, leader }: SetRight): string | null {
  if (why === null) return null;
  if (why === 'lagging') return `${node} did not catch up with ${leader} in time`;
  const [writer] = writers;
  if (why === 'busy' || writer === undefined)
    return 'they change faster than they can be read: the same command tries again';
  const who =
    writer.pid === null
      ? 'a prepared transaction'
      : `process ${String(writer.pid)} (${writer.user ?? '?'}, ${writer.application ?? '?'})`;
  return `${who} on ${leader} has written to the table since ${writer.since ?? '?'} and has not ended its transaction`;
}

async function record(
  context: RepairContext,
  action: Extract<RepairAction, { kind: 'record' }>,
  run: RunContext,
): Promise<StepResult> {
  const leader = await context.fleet.session(action.leader);
  await insertEvent(context, leader, 'repair', action.epoch, {
    nodes: action.nodes,
    tables: action.tables,
    steps: run.finished.map(({ id, node, ms, result }) => ({ id, node, ms: Math.round(ms), result })),
  });
  return undefined;
}
