/** What every runner works with. */
import type { Fleet } from '../../cluster/fleet.js';
import type { ReachableNode, SyncRecord } from '../../cluster/model.js';
import { observe } from '../../cluster/observe.js';
import { replicationUrl } from '../../config/schema.js';
import { conninfoOf } from '../../config/connection.js';
import { EXIT, RepctlError } from '../../errors.js';
import type { SubscriptionRequest } from '../../replication/subscriptions.js';
import type { Handover } from './handed-on.js';

export interface RunnerContext {
  readonly fleet: Fleet;
  /** Who does it, as repctl.epoch and repctl.event will tell: `user@host`. */
  readonly operator: string;
  /** Why, in the operator's words. */
  readonly reason: string | null;
  /** Where files that outlive the run go (rows that were overwritten); without one nothing is kept. */
  readonly stateDir?: string | undefined;
  /** The operator goes on although fewer than a majority can be reached. */
  readonly acceptMinority?: boolean | undefined;
  /** What the steps of a switchover hand on to each other. */
  readonly handover?: Handover;
}

export type SwitchoverContext = RunnerContext & { readonly handover: Handover };

/** One node as it is now. Throws `node-unreachable` (exit 3). */
export async function look(context: RunnerContext, name: string): Promise<ReachableNode> {
  const { nodes } = await observe(context.fleet, { nodes: [name] });
  const node = nodes[0];
  if (node?.reachable === true) return node;
  throw new RepctlError('node-unreachable', node?.message ?? `${name} does not answer.`, {
    exit: EXIT.unreachable,
    hint: 'repctl status',
    details: { node: name },
  });
}

/**
 * The subscription by which `node` follows `leader` in `epoch`. `record`: the sync mode as the leader has it; what the
 * node itself has heard of it may be old.
 */
export function subscriptionRequest(
  context: RunnerContext,
  node: ReachableNode,
  leader: string,
  epoch: number,
  copyData: boolean,
  record: SyncRecord | null | undefined = node.syncRecord,
): SubscriptionRequest {
  const { name, versionNum } = node;
  return subscriptionRequestFor(context, {
    node: name,
    leader,
    epoch,
    versionNum,
    copyData,
    confirms: waits(record),
  });
}

/** Whether commits wait for replicas. */
export const waits = (record: SyncRecord | null | undefined): boolean =>
  record != null && record.mode !== 'async';

export interface Following {
  readonly node: string;
  readonly leader: string;
  readonly epoch: number;
  /** server_version_num of the node. */
  readonly versionNum: number;
  readonly copyData: boolean;
  /** Commits on the leader wait for it. */
  readonly confirms: boolean;
}

/** {@link subscriptionRequest} for a node of which no more than that is known. */
export function subscriptionRequestFor(
  context: RunnerContext,
  { node, leader, epoch, versionNum, copyData, confirms }: Following,
): SubscriptionRequest {
  const url = replicationUrl(context.fleet.node(leader), node);
  const connection = conninfoOf(url, { application_name: node });
  return { node, epoch, connection, copyData, versionNum, confirms };
}

/** The sync mode as the leader has it. */
export const modeOf = async (context: RunnerContext, leader: string): Promise<SyncRecord | null> =>
  (await look(context, leader)).syncRecord ?? null;

export interface WaitOptions {
  readonly timeoutMs: number;
  /** Pause between two questions, milliseconds. */
  readonly pauseMs?: number;
}

/** Asks until `question` answers with something; undefined when the time is over. */
export async function waitFor<T>(
  question: () => Promise<T | undefined>,
  { timeoutMs, pauseMs = 5 }: WaitOptions,
): Promise<T | undefined> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const answer = await question();
    if (answer !== undefined) return answer;
    if (performance.now() > deadline) return undefined;
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}

/**
 * For a session that takes its time over whole tables, or holds a transaction open while another one does: a server or
 * a role may have limits for both.
 */
export const AS_LONG_AS_IT_TAKES_SQL =
  'set statement_timeout = 0; set idle_in_transaction_session_timeout = 0';
