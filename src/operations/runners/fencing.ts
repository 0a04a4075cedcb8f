/** Runners of `fence` and `unfence`: by hand, and proved by writes that are really tried. */
import { epochOf } from '../../cluster/epochs.js';
import type { ReachableNode, TableName } from '../../cluster/model.js';
import { BARRIER_KIND } from '../../cluster/names.js';
import { EXIT, RepctlError } from '../../errors.js';
import type { RunContext, StepResult } from '../../plan/execute.js';
import { qualified } from '../../postgres/quote.js';
import type { Session } from '../../postgres/session.js';
import { setFence, unfencedTables } from '../../replication/fencing.js';
import { holderText } from '../../replication/lock-holders.js';
import type { FenceNode, UnfenceNode } from '../actions.js';
import { type RunnerContext, look } from './context.js';

export async function fenceNode(
  context: RunnerContext,
  action: FenceNode,
  { report }: Pick<RunContext, 'report'>,
): Promise<StepResult> {
  const node = await look(context, action.node);
  const session = await context.fleet.session(action.node);
  const { epoch } = action;
  const outcome = await setFence(session, {
    tables: node.tables,
    wanted: 'enabled',
    timeoutMs: action.timeoutMs,
    terminateBlockers: action.terminateBlockers,
    ...(action.endUnconfirmed ? { endUnconfirmed: () => context.fleet.fresh(action.node) } : {}),
    onWait: (blockers) => {
      report({ message: `waits: ${blockers.map(holderText).join('; ')}` });
    },
    ...(epoch === null ? {} : { within: (there) => tell(context, there, { kind: 'fence', epoch, node }) }),
  });
  const open = await unfencedTables(session, node.tables);
  if (open.length > 0) throw notHolding(action.node, open);
  return { ...outcome, refused: true };
}

/**
 * The node is asked once more, with its tables locked, whether it still leads: a promotion elsewhere that reached it
 * meanwhile is in its own epoch table.
 */
export async function unfenceNode(context: RunnerContext, action: UnfenceNode): Promise<StepResult> {
  const node = await look(context, action.node);
  if (epochOf(node) !== action.epoch || node.epochs[0]?.leader !== action.node)
    throw new RepctlError(
      'not-leader',
      `${action.node} does not lead epoch ${String(action.epoch)} any more.`,
      {
        exit: EXIT.refused,
        hint: 'repctl status',
      },
    );
  const session = await context.fleet.session(action.node);
  const outcome = await setFence(session, {
    tables: node.tables,
    wanted: 'disabled',
    timeoutMs: action.timeoutMs,
    within: async (there) => {
      // A switchover that was given up: its barrier must not be taken for one that holds.
      await there.query('delete from repctl.event where kind = $1', [BARRIER_KIND]);
      await tell(context, there, { kind: 'unfence', epoch: action.epoch, node });
    },
  });
  const open = await unfencedTables(session, node.tables);
  if (open.length === 0 && node.tables.length > 0)
    throw new RepctlError('still-fenced', `${action.node} refuses writes although its fence is down.`, {
      exit: EXIT.incomplete,
      hint: 'repctl status',
    });
  return { ...outcome };
}

interface Told {
  readonly kind: 'fence' | 'unfence';
  readonly epoch: number;
  readonly node: ReachableNode;
}

async function tell(context: RunnerContext, session: Session, { kind, epoch, node }: Told): Promise<void> {
  await session.query(
    `insert into repctl.event (epoch, kind, node, operator, reason, details) values ($1, $2, $3, $4, $5, $6)`,
    [
      epoch,
      kind,
      node.name,
      context.operator,
      context.reason,
      JSON.stringify({ tables: node.tables.length }),
    ],
  );
}

const notHolding = (node: string, open: readonly TableName[]): RepctlError =>
  new RepctlError('fence-not-holding', `${node}: a write was let in on ${open.map(qualified).join(', ')}.`, {
    exit: EXIT.incomplete,
    hint: 'Look for a trigger or a rule there that turns deletes away before the fence sees them.',
    details: { node, tables: open },
  });
