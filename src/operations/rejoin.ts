/** `rejoin NODE`: a former leader comes back as a replica; what only it has is saved first. */
import { epochOf, fenced, ledUnheard } from '../cluster/epochs.js';
import type { Finding, ReachableNode, Snapshot } from '../cluster/model.js';
import { SCHEMA, slotName } from '../cluster/names.js';
import type { ClusterConfig } from '../config/schema.js';
import { type Planned, planned, refused } from '../plan/plan.js';
import type { StrandedCounts } from '../replication/stranded/model.js';
import { type EndedReign, endedReign, strandedSource } from '../replication/stranded/source.js';
import type { Action, OperationStep } from './actions.js';
import { type Facts, factsOf, isAttached, nodeOf } from './facts.js';
import { finishSteps } from './finish.js';
import { obstacles } from './rewire.js';
import { stepFor } from './steps.js';
import { unconfirmedAtFormer, unconfirmedAtLeader } from './unconfirmed.js';

export interface RejoinRequest {
  readonly node: string;
  /** Where the stranded file goes. */
  readonly directory: string;
  /** Offer what was stranded to the leader. */
  readonly replay: boolean;
  /** What is stranded as far as it was counted before the plan was made; undefined where nobody looked. */
  readonly counted?: StrandedCounts | undefined;
  /** Why they could not be counted. */
  readonly uncounted?: string | undefined;
  /** How long the fence waits for transactions in flight, milliseconds. */
  readonly fenceTimeoutMs: number;
  readonly terminateBlockers: boolean;
}

const OPERATION = 'rejoin';

export function planRejoin(
  snapshot: Snapshot,
  config: ClusterConfig,
  request: RejoinRequest,
): Planned<Action> {
  const facts = factsOf(snapshot, config);
  const node = nodeOf(facts, request.node);
  const findings = obstacles(facts, { node: request.node }, node);
  if (findings.length > 0) return refused(OPERATION, findings);
  const { epoch, leader } = facts;
  if (epoch === undefined || leader === undefined || node === undefined) return refused(OPERATION, []);
  const attached = isAttached(node, epoch.epoch);
  const reign = attached ? undefined : endedReign(node, leader.epochs);
  if (!attached && reign === undefined) return refused(OPERATION, [notFormerLeader(facts, node)]);
  const refusals = reign === undefined ? [] : inTheWay(facts, node, reign);
  if (refusals.length > 0) return refused(OPERATION, refusals);

  const begin =
    reign === undefined ? { steps: [], notes: [] } : beginning(facts, { node, leader, reign, request });
  const saved = savedFile(leader, node.name, reign?.epoch);
  // Where it could not be decoded there are rows to look at, but no transactions to repeat.
  const decoded = saved !== undefined || (reign !== undefined && strandedSource(node, reign).kind === 'slot');
  const replay =
    request.replay && decoded ? replaySteps(leader, node, epoch.epoch, reign, request, saved) : [];
  const finish = finishSteps(facts, {
    leader: leader.name,
    epoch: epoch.epoch,
    replicas: [node],
    fresh: attached ? [] : [node.name],
    operation: OPERATION,
    subject: node.name,
  });
  // A replica that never was anything else has nothing to finish here.
  const steps = [...begin.steps, ...replay, ...finish];
  return planned({
    operation: OPERATION,
    title: `Rejoin ${node.name} to ${leader.name} (epoch ${String(epoch.epoch)})`,
    notes:
      steps.length === 0
        ? [`${node.name} follows ${leader.name} already`]
        : attached
          ? [`${node.name} follows ${leader.name} already; what is left`]
          : [...begin.notes, ...unconfirmedAtLeader(facts)],
    ...(request.counted === undefined ? {} : { data: { stranded: request.counted } }),
    steps,
  });
}

interface Beginning {
  readonly node: ReachableNode;
  readonly leader: ReachableNode;
  readonly reign: EndedReign;
  readonly request: RejoinRequest;
}

function beginning(
  facts: Facts,
  { node, leader, reign, request }: Beginning,
): { steps: OperationStep[]; notes: string[] } {
  const epoch = facts.epoch?.epoch ?? 0;
  const source = strandedSource(node, reign);
  const closed = fenced(node);
  const tables = leader.tables
    .filter((table) => table.schema !== SCHEMA)
    .map(({ schema, name }) => ({ schema, name }));
  const fence = closed
    ? []
    : [
        stepFor({
          kind: 'fence-node',
          node: node.name,
          epoch: null,
          timeoutMs: request.fenceTimeoutMs,
          terminateBlockers: request.terminateBlockers,
          endUnconfirmed: true,
        }),
      ];
  const notes = [
    `${node.name} led epoch ${String(reign.epoch)} until ${reign.successor.leader} took over at ${reign.forkPoint}`,
    ...(closed
      ? []
      : [`${node.name} takes writes right now: it is fenced first`, ...unconfirmedAtFormer(node)]),
  ];
  if (source.kind === 'none') {
    return {
      steps: [
        ...fence,
        stepFor({
          kind: 'reconcile',
          node: node.name,
          leader: leader.name,
          epoch,
          tables,
          keptAs: `${request.directory}/stranded-${node.name}-${String(reign.epoch)}-rows`,
        }),
      ],
      notes: [
        ...notes,
        `its own transactions cannot be read: ${source.why}; so whole tables are compared, and the rows that only ${node.name} has, or has otherwise, are saved before they are replaced`,
        ...(request.replay
          ? ['there will be nothing to replay: rows that differ tell no order of writes']
          : []),
      ],
    };
  }
  const about = {
    node: node.name,
    leader: leader.name,
    epoch,
    reign: reign.epoch,
    successorEpoch: reign.successor.epoch,
    forkPoint: reign.forkPoint,
  };
  const told = closed && savedFile(leader, node.name, reign.epoch) !== undefined;
  return {
    steps: [
      ...fence,
      ...(told
        ? []
        : [
            stepFor({
              kind: 'save-stranded',
              ...about,
              successor: reign.successor.leader,
              slot: source.slot,
              directory: request.directory,
            }),
          ]),
      stepFor({ kind: 'rejoin', ...about, slot: source.slot, tables }),
    ],
    notes: [...notes, ...strandedNotes(node, request), methodNote(node, leader)],
  };
}

function strandedNotes(node: ReachableNode, { counted, uncounted }: RejoinRequest): string[] {
  if (uncounted !== undefined) return [`what is stranded could not be counted yet: ${uncounted}`];
  if (counted === undefined) return [];
  if (counted.transactions === 0) return [`nothing is stranded: ${node.name} has nothing that others lack`];
  const tables = counted.tables.map(({ schema, table, inserts, updates, deletes, truncates }) => {
    const parts = [
      [inserts, 'inserted'],
      [updates, 'updated'],
      [deletes, 'deleted'],
      [truncates, 'truncated'],
    ] as const;
    const figures = parts.filter(([count]) => count > 0).map(([count, what]) => `${String(count)} ${what}`);
    return `${schema}.${table} ${figures.join(', ')}`;
  });
  return [
    `stranded: ${String(counted.changes)} ${counted.changes === 1 ? 'change' : 'changes'} in ${String(counted.transactions)} ${counted.transactions === 1 ? 'transaction' : 'transactions'} that only ${node.name} has, committed from ${counted.firstAt ?? ''} to ${counted.lastAt ?? ''}: ${tables.join('; ')}`,
  ];
}

const methodNote = (node: ReachableNode, leader: ReachableNode): string => {
  const slot = leader.slots.find((one) => one.name === slotName(node.name));
  return slot === undefined || slot.walStatus === 'lost'
    ? `method: whole tables are compared, since ${leader.name} has no slot ${slotName(node.name)} any more; only rows that differ are written`
    : `method: only rows changed on either side since the fork are compared; no table is copied`;
};

/** Where the stranded writes of the node's last reign went, as the leader's history tells; null: nothing was stranded. */
function savedFile(leader: ReachableNode, node: string, reign?: number): string | null | undefined {
  const event = leader.events.find(
    ({ kind, node: about, details }) =>
      kind === 'stranded' && about === node && (reign === undefined || details['reign'] === reign),
  );
  if (event === undefined) return undefined;
  const file = event.details['file'];
  return typeof file === 'string' ? file : null;
}

function replaySteps(
  leader: ReachableNode,
  node: ReachableNode,
  epoch: number,
  reign: EndedReign | undefined,
  request: RejoinRequest,
  saved: string | null | undefined,
): OperationStep[] {
  const event = leader.events.find(({ kind, node: about }) => kind === 'stranded' && about === node.name);
  const number = reign?.epoch ?? Number(event?.details['reign'] ?? 0);
  const done = leader.events.some(
    ({ kind, node: about, details }) =>
      kind === 'replay' && about === node.name && details['reign'] === number,
  );
  if (done || saved === null || number === 0) return [];
  const file = saved ?? `${request.directory}/stranded-${node.name}-${String(number)}.jsonl`;
  return [
    stepFor({ kind: 'replay-stranded', leader: leader.name, node: node.name, reign: number, epoch, file }),
  ];
}

const error = (code: string, node: string, message: string, fix: string): Finding => ({
  code,
  severity: 'error',
  node,
  message,
  fix,
});

function notFormerLeader(facts: Facts, node: ReachableNode): Finding {
  const own = node.epochs[0];
  if (own?.leader === node.name && epochOf(node) === facts.epoch?.epoch)
    return error(
      'epoch-conflict',
      node.name,
      `${node.name} and ${facts.epoch.leader} both say that they lead epoch ${String(own.epoch)}: nobody can tell from where they differ.`,
      `repctl fence ${node.name}, then repctl rewire ${node.name}`,
    );
  if (facts.leader !== undefined && ledUnheard(facts.leader, node))
    return error(
      'epoch-unknown',
      node.name,
      `${node.name} led epoch ${String(epochOf(node))}, of which ${facts.leader.name} has never heard: nobody can tell from where it and ${facts.epoch?.leader ?? 'the leader'} differ.`,
      `repctl fence ${node.name}, then repctl rewire ${node.name}: it compares whole tables; rows that only ${node.name} has, or has otherwise, are kept in a file`,
    );
  return error(
    'not-a-former-leader',
    node.name,
    `${node.name} did not lead the last epoch that it knows (${String(epochOf(node))}), so it can have no writes of its own.`,
    `repctl rewire ${node.name}`,
  );
}

/** What would go wrong half-way. */
function inTheWay(facts: Facts, node: ReachableNode, reign: EndedReign): Finding[] {
  const findings: Finding[] = [];
  if (node.preparedTransactions > 0)
    findings.push(
      error(
        'prepared-transactions',
        node.name,
        `${node.name} holds prepared transactions (${String(node.preparedTransactions)}): whether they were to commit only their owner knows, and their locks keep the fence from closing.`,
        `On ${node.name}: commit prepared or rollback prepared each of pg_prepared_xacts`,
      ),
    );
  for (const other of facts.reachable) {
    const follows = other.subscriptions.some(
      ({ name, enabled }) => enabled && name === `${slotName(other.name)}_e${String(reign.epoch)}`,
    );
    if (other.name !== node.name && follows)
      findings.push(
        error(
          'sibling-follows',
          other.name,
          `${other.name} still follows ${node.name} and would get what is set right there as if it were new writes.`,
          `repctl rewire ${other.name}`,
        ),
      );
  }
  return findings;
}
