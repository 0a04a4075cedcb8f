/** Does what plan.ts planned. */
import type { Fleet } from '../../cluster/fleet.js';
import { commonFlavour } from '../../consistency/equal.js';
import { findDifferences } from '../../consistency/repair/find.js';
import { type SettleTable, type Settled, settle } from '../../consistency/repair/settle.js';
import { verify } from '../../consistency/repair/verify.js';
import { keepRows } from '../../consistency/reconcile/kept.js';
import { EXIT, RepctlError } from '../../errors.js';
import type { RunContext, Runners, StepResult } from '../../plan/execute.js';
import { tableKey } from '../../replication/publications.js';
import { subscriptionOf } from '../facts.js';
import { look } from '../runners/context.js';
import { keptFile, knock } from '../runners/reconcile.js';
import { insertEvent } from '../tables/events.js';
import { clearWay, lookAhead } from './clear-way.js';
import type { RepairContext } from './context.js';
import { failingText, isFailing, skipText } from './failing.js';
import type { RepairAction, SetRight, SetRightResult } from './model.js';
import { withRepairSessions } from './sessions.js';

export const repairRunners = (context: RepairContext): Runners<RepairAction> => ({
  'clear-way': (action, run) => clearWay(context, action, run),
  'set-right': async (action, run) => ({ ...(await setRight(context, action, run)) }),
  record: async (action, run) => record(context, action, run),
});

async function setRight(context: RepairContext, action: SetRight, run: RunContext): Promise<SetRightResult> {
  const { fleet } = context;
  const subscription = subscriptionOf(await look(context, action.node), action.epoch);
  if (subscription?.enabled !== true)
    throw new RepctlError('node-detached', `${action.node} does not follow ${action.leader} any more.`, {
      exit: EXIT.refused,
      hint: `repctl rewire ${action.node}`,
    });
  const { tables, problem } =
    action.compare === undefined
      ? { tables: action.tables, problem: null }
      : await compareNow(context, action, run);
  const kept = keepRows(keptFile(context.stateDir ?? '', fleet, { node: action.node }));
  try {
    return await withRepairSessions(fleet, action.leader, action.node, async (sessions) => {
      const flavour = await commonFlavour([sessions.leader, sessions.source, sessions.node]);
      const patience = { leftMs: context.waitMs };
      const settled = await settle({
        sessions,
        tables,
        flavour,
        subscription: subscription.oid,
        epoch: action.epoch,
        patience,
        knock: (name) => knock(fleet, name),
        kept,
        onRows: (done, total) => {
          run.report({ done, total, unit: 'rows settled' });
        },
        writersMs: context.writersMs,
        signal: context.signal,
      });
      run.report({ message: 'looking at them once more' });
      const verified = await verify({
        leader: sessions.leader,
        node: sessions.node,
        tables,
        flavour,
        subscription: subscription.oid,
        patience,
      });
      const onDisk = await kept.finish();
      return {
        ...countsOf(settled),
        why: (await whyOpen(fleet, settled, action)) ?? problem,
        stillDiffering: verified.differing,
        unverified: verified.undecided + (problem === null ? 0 : 1),
        overwritten: onDisk?.file ?? null,
      };
    });
  } finally {
    await kept.close();
  }
}

/** What differs now; refused like a plan when it is too much. */
async function compareNow(
  context: RepairContext,
  { node, leader, compare }: SetRight,
  run: RunContext,
): Promise<{ readonly tables: readonly SettleTable[]; readonly problem: string | null }> {
  const { tables = [], maxRows = 0 } = compare ?? {};
  const [first, replica] = await Promise.all([look(context, leader), look(context, node)]);
  const { differences: found, unpublished } = await findDifferences(
    context.fleet,
    { leader: first, replicas: [replica] },
    {
      tables,
      concurrency: 2,
      blockRows: 50_000,
      most: maxRows + 1,
      samples: 0,
      waitMs: context.waitMs,
      onProgress: ({ table, rows, ofRows }) => {
        run.report({
          message: tableKey(table),
          done: rows,
          total: Math.max(rows, ofRows),
          unit: 'rows compared',
        });
      },
      signal: context.signal,
    },
  );
  if (found.some(({ more }) => more) || found.reduce((sum, { rows }) => sum + rows.length, 0) > maxRows)
    throw new RepctlError(
      'too-many-rows',
      `More than ${maxRows.toLocaleString('en-US')} rows of ${node} differ.`,
      {
        exit: EXIT.incomplete,
        hint: `The stream goes on again. repctl check --node ${node} shows some of them; --max-rows N raises the limit.`,
        details: { node },
      },
    );
  return {
    tables: found.map(({ table, rows }) => ({ table, keys: rows.map(({ key }) => key) })),
    problem:
      found.find((one) => one.problem !== null)?.problem ??
      unpublished.map((table) => `${tableKey(table)} is not published, and was not compared`)[0] ??
      null,
  };
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

async function whyLagging(
  fleet: Fleet,
  { node, leader }: Pick<SetRight, 'node' | 'leader'>,
): Promise<string> {
  const late = `${node} did not catch up with ${leader} in time`;
  if (!(await isFailing(fleet, node))) return late;
  const stall = await lookAhead({ fleet, leader, node });
  if (stall === undefined) return `${late}: its apply worker keeps failing; repctl status`;
  if (stall.obstacles.length > 0)
    return `${late}: a row is in the way of its apply worker, which the same command removes`;
  return `${late}: ${failingText(node)}; ${skipText(node, stall)}`;
}

async function whyOpen(
  fleet: Fleet,
  { why, writers }: Settled,
  action: Pick<SetRight, 'node' | 'leader'>,
): Promise<string | null> {
  if (why === null) return null;
  if (why === 'lagging') return whyLagging(fleet, action);
  const [writer] = writers;
  if (why === 'busy' || writer === undefined)
    return 'they change faster than they can be read: the same command tries again';
  const who =
    writer.pid === null
      ? 'a prepared transaction'
      : `process ${String(writer.pid)} (${writer.user ?? '?'}, ${writer.application ?? '?'})`;
  return `${who} on ${action.leader} has written to the table since ${writer.since ?? '?'} and has not ended its transaction`;
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
