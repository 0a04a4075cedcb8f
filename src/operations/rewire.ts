/** `rewire NODE`: attach a node to the present leader by the cheapest safe method. */
import { epochBefore, epochOf, knowsUnheard, ledUnheard } from '../cluster/epochs.js';
import type { ClusterConfig } from '../config/schema.js';
import type {
  Epoch,
  Finding,
  ReachableNode,
  Snapshot,
  SubscriptionInfo,
  TableName,
} from '../cluster/model.js';
import { SCHEMA, slotName } from '../cluster/names.js';
import { type Planned, planned, refused } from '../plan/plan.js';
import { ZERO_LSN } from '../postgres/lsn.js';
import type { Action, OperationStep } from './actions.js';
import {
  type Facts,
  factsOf,
  hasLostCopy,
  hasStandbySlots,
  isAttached,
  isCopied,
  isUsable,
  nodeOf,
  noEpoch,
  ownSubscriptions,
  subscriptionOf,
  unknownNode,
} from './facts.js';
import { isPublished, nodeObstacles } from './create.js';
import { finishSteps, standbySiblings } from './finish.js';
import { whyNotMappable } from './mappable.js';
import { countTables, stepFor } from './steps.js';
import { unconfirmedAtLeader } from './unconfirmed.js';

export interface RewireRequest {
  readonly node: string;
  /** Empty the node and copy everything again, if nothing cheaper is safe. */
  readonly recopy: boolean;
  /** Compare every row, even where the stream alone would bring the node on. */
  readonly reconcile?: boolean;
  /** A former leader's transactions that nobody else has may be thrown away. */
  readonly acceptDataLoss: boolean;
  /** What makes the node or its tables unfit, see unfit(). */
  readonly unfit?: readonly Finding[];
  /** Tables of the node that hold rows; asked where the database was never in the cluster. */
  readonly holding?: readonly TableName[];
  /** Rows of such a database may be replaced by the leader's. */
  readonly overwrite?: boolean;
}

const OPERATION = 'rewire';

/** Steps that make a slot on the leader, which waits for every transaction there. */
const MAKES_SLOT: ReadonlySet<Action['kind']> = new Set(['reconcile', 'recopy', 'subscribe']);

export function planRewire(
  snapshot: Snapshot,
  config: ClusterConfig,
  request: RewireRequest,
): Planned<Action> {
  const facts = factsOf(snapshot, config);
  const { epoch, leader } = facts;
  const node = nodeOf(facts, request.node);
  const findings = obstacles(facts, request, node);
  if (findings.length > 0) return refused(OPERATION, findings);
  if (epoch === undefined || leader === undefined || node === undefined) return refused(OPERATION, []);

  const siblings = standbySiblings(facts, leader.name, epoch.epoch, node.name, []);
  const finish = (fresh: readonly string[]): OperationStep[] => [
    ...finishSteps(facts, {
      fresh,
      leader: leader.name,
      epoch: epoch.epoch,
      replicas: [node],
      operation: OPERATION,
      subject: node.name,
    }),
  ];
  const make = (
    method: string,
    steps: readonly OperationStep[],
    fresh: readonly string[] = [],
  ): Planned<Action> =>
    planned({
      operation: OPERATION,
      title: `Attach ${node.name} to ${leader.name} (epoch ${String(epoch.epoch)})`,
      notes: [
        method,
        ...(steps.some(({ action }) => MAKES_SLOT.has(action.kind)) ? unconfirmedAtLeader(facts) : []),
      ],
      steps: [...steps, ...finish(fresh)],
    });

  const anew = request.recopy || request.reconcile === true;
  const present = subscriptionOf(node, epoch.epoch);
  // One that is enabled, but whose slot the leader has not (any more), will never get anything.
  const attached = isAttached(node, epoch.epoch) && present !== undefined && hasItsSlot(present, leader);
  const lost = attached && hasLostCopy(present, leader);
  if (attached && !lost && !isCopied(present))
    return make('method: the initial copy goes on', [awaitCopy(node, leader, epoch)]);
  // Every copy of repctl.epoch has a row: somebody emptied or dropped it.
  if (attached && !lost && epochOf(node) === 0 && !request.recopy)
    return refused(OPERATION, [forgetful(node)]);
  if (attached && !lost && (!anew || !hasStandbySlots(node, siblings, epoch.epoch)))
    return make(
      finish([]).length === 0
        ? `${node.name} follows ${leader.name} already`
        : 'method: attached already; what is left',
      [],
    );
  if (present?.enabled === false && hasItsSlot(present, leader) && !anew)
    return make('method: its subscription is disabled; it goes on exactly where it stopped', [
      stepFor({ kind: 'resume', node: node.name, subscription: present.name }),
      ...(isCopied(present) ? [] : [awaitCopy(node, leader, epoch)]),
    ]);

  const why = whyNotMapped(node, leader, epoch);
  if (why === undefined && !anew) {
    const from = epochBefore(leader.epochs, epoch.epoch)?.epoch ?? 0;
    const subscription = subscriptionOf(node, from);
    return make(mappedNote(node, leader), [
      ...(subscription?.enabled
        ? [stepFor({ kind: 'quiesce', node: node.name, subscription: subscription.name })]
        : []),
      stepFor({ kind: 'attach', node: node.name, leader: leader.name, epoch: epoch.epoch, from }),
    ]);
  }
  if (request.recopy && knowsUnheard(leader, node) && !request.acceptDataLoss)
    return refused(OPERATION, [
      wouldDiscard(node, `repctl rewire ${node.name} compares, and keeps them in a file`),
    ]);
  if (mayHoldStranded(facts, node) && !request.acceptDataLoss)
    return refused(OPERATION, [
      request.recopy
        ? wouldDiscard(node)
        : rejoinNeeded(node, why === undefined ? 'rows are to be compared' : undefined),
    ]);
  if (node.identity === null && request.overwrite !== true && (request.holding ?? []).length > 0)
    return refused(OPERATION, [foreignRows(node, request)]);
  const unfit = request.unfit ?? [];
  if (unfit.length > 0) return refused(OPERATION, unfit);

  const tables = leader.tables
    .filter((table) => table.schema !== SCHEMA)
    .map(({ schema, name }): TableName => ({ schema, name }));
  const about = { node: node.name, leader: leader.name, epoch: epoch.epoch, tables };
  const begin = [
    ...(attached
      ? [
          stepFor({
            kind: 'unsubscribe',
            node: node.name,
            subscriptions: node.subscriptions.filter((one) => one.own).map((one) => one.name),
          }),
        ]
      : []),
    ...(node.identity === null ? [stepFor({ kind: 'prepare', node: node.name, products: false })] : []),
    ...(isPublished(node, tables, false)
      ? []
      : [stepFor({ kind: 'publish', node: node.name, tables, leads: false })]),
  ];
  const because = why === undefined ? ', because it was asked for' : `; mapped is not possible: ${why}`;
  if (request.recopy)
    return make(
      `method: recopy${because}; every row of ${countTables(tables)} is copied`,
      [...begin, stepFor({ kind: 'recopy', ...about }), awaitCopy(node, leader, epoch)],
      [node.name],
    );
  return make(
    `method: reconcile${because}; cost: one digest scan of ${rowsOf(leader)} on both nodes, and the rows that differ: those of ${node.name} are overwritten, what they were is kept in a file`,
    [...begin, stepFor({ kind: 'reconcile', ...about })],
    [node.name],
  );
}

/** WAL that is decoded in some seconds: below it, what else could be done is not worth a word. */
const MUCH_WAL = 256 * 1024 * 1024;

/**
 * Mapped is taken wherever it is exact, also where its slot has held WAL for weeks. What the slot holds is no
 * measure of the gap: most of it may be vacuum, full pages and tables that nobody published, read past at disk speed,
 * while reconcile locks the node's tables, takes its subscription away and reads every row twice. So the figures of
 * both are said, and the choice the other way is the operator's.
 */
function mappedNote(node: ReachableNode, leader: ReachableNode): string {
  const note = `method: mapped; no row is copied, the cost grows with what ${node.name} missed`;
  const held = leader.slots.find((slot) => slot.name === slotName(node.name))?.retainedBytes ?? 0;
  if (held < MUCH_WAL) return note;
  const mebibytes = Math.round(held / 1024 ** 2).toLocaleString('en-US');
  return `${note}: slot ${slotName(node.name)} on ${leader.name} holds ${mebibytes} MiB of WAL to be decoded; --reconcile would read ${rowsOf(leader)} on both nodes instead`;
}

/** Undefined where mapping is possible. */
function whyNotMapped(node: ReachableNode, leader: ReachableNode, epoch: Epoch): string | undefined {
  if (node.identity === null) return `${node.name} was never part of the cluster`;
  const present = subscriptionOf(node, epoch.epoch);
  if (present !== undefined && hasLostCopy(present, leader))
    return `the initial copy of ${node.name} lost its slot on ${leader.name}`;
  if (present !== undefined)
    return present.slotName === null
      ? `${node.name} has stopped following ${leader.name} without its slot`
      : `slot ${present.slotName} on ${leader.name} is ${leader.slots.some((slot) => slot.name === present.slotName) ? 'invalidated' : 'gone'}`;
  if (epochOf(node) === epoch.epoch) {
    // Down over two changes of leader, its old subscription found a slot of the same name where it had left one.
    const old = ownSubscriptions(node).find((one) => one.slotName !== null)?.name;
    return old === undefined
      ? `${node.name} has no subscription of epoch ${String(epoch.epoch)} any more`
      : `${node.name} followed ${leader.name} by ${old} from a later point than it had reached`;
  }
  if (ledUnheard(leader, node))
    return `${node.name} led epoch ${String(epochOf(node))}, of which ${leader.name} knows nothing, and may hold acknowledged writes that nobody else has`;
  const from = epochBefore(leader.epochs, epoch.epoch);
  return from?.epoch === epochOf(node)
    ? whyNotMappable({ node, leader, from, forkPoint: epoch.forkPoint ?? ZERO_LSN })
    : `${node.name} has reached epoch ${String(epochOf(node))}, ${leader.name} knows the way only from epoch ${String(from?.epoch ?? 0)}`;
}

const rowsOf = (leader: ReachableNode): string => {
  const rows = leader.tables.reduce((sum, table) => sum + Math.max(0, table.estimatedRows ?? 0), 0);
  return `about ${Math.round(rows).toLocaleString('en-US')} rows`;
};

const hasItsSlot = (subscription: SubscriptionInfo, leader: ReachableNode): boolean =>
  leader.slots.some((slot) => slot.name === subscription.slotName && isUsable(slot));

const awaitCopy = (node: ReachableNode, leader: ReachableNode, epoch: Epoch): OperationStep =>
  stepFor({ kind: 'await-copy', nodes: [node.name], leader: leader.name, epoch: epoch.epoch });

/** A node that led an epoch which the present leader did not end in peace. */
function mayHoldStranded(facts: Facts, node: ReachableNode): boolean {
  return (facts.leader?.epochs ?? []).some(
    (row) => row.previousLeader === node.name && epochOf(node) < row.epoch,
  );
}

export function obstacles(
  facts: Facts,
  request: Pick<RewireRequest, 'node'>,
  node: ReachableNode | undefined,
): Finding[] {
  if (!facts.config.nodes.some((one) => one.name === request.node)) return [unknownNode(facts, request.node)];
  const error = (code: string, message: string, fix: string): Finding => ({
    code,
    severity: 'error',
    node: request.node,
    message,
    fix,
  });
  if (facts.epoch === undefined) return noEpoch(facts);
  if (facts.leader === undefined)
    return [
      error(
        'no-leader',
        `${facts.epoch.leader}, which leads epoch ${String(facts.epoch.epoch)}, does not answer.`,
        'repctl failover',
      ),
    ];
  if (node === undefined)
    return [
      error(
        'node-unreachable',
        `${request.node} does not answer.`,
        `Start ${request.node}, then run the same command again.`,
      ),
    ];
  if (node.name === facts.leader.name)
    return [
      error('is-leader', `${node.name} is the leader: there is nobody to attach it to.`, 'repctl status'),
    ];
  return nodeObstacles(facts, node).filter((finding) => finding.code !== 'node-detached');
}

const forgetful = (node: ReachableNode): Finding => ({
  code: 'epoch-missing',
  severity: 'error',
  node: node.name,
  message: `${node.name} has no readable row in repctl.epoch: it cannot learn who leads.`,
  fix: `repctl rewire ${node.name} --recopy`,
});

const rejoinNeeded = (node: ReachableNode, why: string | undefined): Finding => ({
  code: 'rejoin-needed',
  severity: 'error',
  node: node.name,
  message: `${node.name} led epoch ${String(epochOf(node))} and may hold acknowledged writes that nobody else has${why === undefined ? '' : `: ${why}`}.`,
  fix: `repctl rejoin ${node.name} saves them first; repctl rewire ${node.name} --accept-data-loss does not.`,
});

/** A name mistyped must not cost a database its rows: a yes to the plan is not enough for that. */
function foreignRows(node: ReachableNode, { holding = [], recopy }: RewireRequest): Finding {
  const [first] = holding;
  const tables = `${first === undefined ? '' : `${first.schema}.${first.name}`}${holding.length > 1 ? ` and ${String(holding.length - 1)} more` : ''}`;
  return {
    code: 'foreign-rows',
    severity: 'error',
    node: node.name,
    message: `The database of ${node.name} was never in this cluster and holds rows (${tables}); those that the leader does not have would be ${recopy ? 'thrown away' : 'replaced'}.`,
    fix: `If ${node.name} is the right database: repctl rewire ${node.name}${recopy ? ' --recopy' : ''} --overwrite`,
  };
}

const wouldDiscard = (
  node: ReachableNode,
  instead = `repctl rejoin ${node.name} saves them first`,
): Finding => ({
  code: 'data-loss',
  severity: 'error',
  node: node.name,
  message: `${node.name} was the leader, or followed one of whom nobody else has heard, and may hold acknowledged writes that nobody else has; a fresh copy throws them away.`,
  fix: `${instead}; repctl rewire ${node.name} --recopy --accept-data-loss does not.`,
});
