/** Small changes to single parts (subscription, slot, sequence) as plans: shown, asked, run like any other. Pure. */
import { leaderOf } from '../cluster/epochs.js';
import type {
  Finding,
  ReachableNode,
  Snapshot,
  SlotInfo,
  SubscriptionInfo,
  TableName,
} from '../cluster/model.js';
import { type Plan, type Planned, planned, refused } from '../plan/plan.js';
import type { Lsn } from '../postgres/lsn.js';
import { dropSlotSql } from '../replication/slots.js';
import {
  disableSubscriptionSql,
  enableSubscriptionSql,
  refreshSubscriptionSql,
  skipTransactionSql,
} from '../replication/subscriptions.js';
import { type UpkeepMove, type UpkeepSkip, planUpkeep, upkeepSql } from '../replication/upkeep.js';
import { tableKey } from '../replication/publications.js';
import type { SequenceSync } from '../replication/sequence-view.js';
import type { Found } from '../replication/views/found.js';
import { isOwn, slotView } from '../replication/views/slot.js';

export interface RunSql {
  readonly kind: 'sql';
  readonly node: string;
  readonly sql: readonly string[];
}

export interface DropSlot {
  readonly kind: 'drop-slot';
  readonly node: string;
  readonly slot: string;
  /** Of which sibling, where it was a standby slot: its base goes too. */
  readonly sibling: string | null;
}

export interface AdvanceSlot {
  readonly kind: 'advance-slot';
  readonly move: UpkeepMove;
}

export type PartAction = RunSql | DropSlot | AdvanceSlot;
export type PartPlan = Plan<PartAction>;

const finding = (code: string, node: string, message: string, fix?: string): Finding => ({
  code,
  severity: 'error',
  node,
  message,
  ...(fix === undefined ? {} : { fix }),
});

const foreignFinding = (kind: string, node: string, name: string): Finding =>
  finding(
    'foreign',
    node,
    `${kind} ${name} on ${node} was not made by repctl.`,
    'Add --foreign if you are sure that nobody else needs it as it is.',
  );

// ---- subscriptions -----------------------------------------------------------------------------------------

export type SubscriptionChange =
  | { readonly verb: 'enable' }
  | { readonly verb: 'disable' }
  | { readonly verb: 'refresh'; readonly copyData: boolean }
  | { readonly verb: 'skip'; readonly lsn: Lsn };

const CHANGES: Readonly<Record<SubscriptionChange['verb'], { why: string; notes: readonly string[] }>> = {
  enable: { why: 'its worker starts and goes on where it stopped', notes: [] },
  disable: {
    why: 'its worker ends after the present transaction',
    notes: [
      'The node falls behind from now on, and the leader keeps all WAL for it until it is enabled again.',
    ],
  },
  refresh: {
    why: 'it takes up tables that were added to the publication and forgets those that were dropped',
    notes: [],
  },
  skip: {
    why: 'the one transaction that ends there is passed over',
    notes: [
      'Everything that this transaction changed is lost on this node, rows that would not have failed included.',
      'Afterwards the node differs from the leader: repctl check, then repctl repair.',
    ],
  },
};

/** enable, disable, refresh or skip of one subscription. Nothing to do gives a plan without steps. */
export function planSubscription(
  { node, item }: Found<SubscriptionInfo>,
  change: SubscriptionChange,
  foreignAllowed: boolean,
): Planned<PartAction> {
  const operation = `subscription-${change.verb}`;
  const findings = [
    ...(item.own || foreignAllowed ? [] : [foreignFinding('Subscription', node.name, item.name)]),
    ...subscriptionObstacles(node, item, change),
  ];
  if (findings.length > 0) return refused(operation, findings);
  const done = (change.verb === 'enable' && item.enabled) || (change.verb === 'disable' && !item.enabled);
  const { why, notes } = CHANGES[change.verb];
  return planned({
    operation,
    title: `${change.verb} subscription ${item.name} on ${node.name}`,
    notes,
    steps: done
      ? []
      : [
          {
            id: `${operation}:${item.name}`,
            node: node.name,
            title: `${change.verb} ${item.name}`,
            why,
            sql: [subscriptionSql(item.name, change)],
            action: { kind: 'sql', node: node.name, sql: [subscriptionSql(item.name, change)] },
          },
        ],
  });
}

function subscriptionSql(name: string, change: SubscriptionChange): string {
  switch (change.verb) {
    case 'enable':
      return enableSubscriptionSql(name);
    case 'disable':
      return disableSubscriptionSql(name);
    case 'refresh':
      return refreshSubscriptionSql(name, change.copyData);
    case 'skip':
      return skipTransactionSql(name, change.lsn);
  }
}

function subscriptionObstacles(
  node: ReachableNode,
  item: SubscriptionInfo,
  change: SubscriptionChange,
): Finding[] {
  const findings: Finding[] = [];
  if (change.verb === 'enable' && item.slotName === null)
    findings.push(
      finding(
        'tombstone',
        node.name,
        `${item.name} has no slot: it is kept only for the origin of what it applied.`,
        'repctl rewire attaches a node.',
      ),
    );
  if (change.verb === 'refresh' && !item.enabled)
    findings.push(
      finding(
        'subscription-disabled',
        node.name,
        `${item.name} is disabled, and PostgreSQL refreshes only an enabled one.`,
        `repctl subscription enable ${item.name}`,
      ),
    );
  // "must be superuser to skip transaction", 15 to 18.
  if (change.verb === 'skip' && !node.superuser)
    findings.push(
      finding(
        'superuser-needed',
        node.name,
        `Only a superuser may skip a transaction; ${node.user} on ${node.name} is none.`,
        'Make the transaction apply instead (repctl check, then repctl repair), or connect as a superuser.',
      ),
    );
  return findings;
}

// ---- slots -------------------------------------------------------------------------------------------------

/** Drops a slot that nobody reads or needs. */
export function planSlotDrop(
  snapshot: Snapshot,
  { node, item }: Found<SlotInfo>,
  foreignAllowed: boolean,
): Planned<PartAction> {
  const view = slotView(snapshot, node, item);
  const findings: Finding[] = [];
  if (!isOwn(node, item) && !foreignAllowed) findings.push(foreignFinding('Slot', node.name, item.name));
  if (item.active)
    findings.push(
      finding(
        'slot-active',
        node.name,
        `Slot ${item.name} on ${node.name} is being read by process ${String(item.activePid)}.`,
        view.for === null
          ? 'Stop its reader first.'
          : `repctl node remove ${view.for} detaches the node that reads it.`,
      ),
    );
  const member = snapshot.nodes.find((one) => one.name === view.for)?.name;
  if (view.own && member !== undefined && view.invalidReason === null && view.walStatus !== 'lost')
    findings.push(
      finding(
        'slot-needed',
        node.name,
        view.purpose === 'feeds'
          ? `Slot ${item.name} holds what ${member} has not received yet: without it that node must be copied again.`
          : `Slot ${item.name} lets ${member} follow ${node.name} without a copy if that is promoted.`,
        view.purpose === 'feeds'
          ? `repctl node remove ${member}`
          : `repctl slot advance --node ${node.name} frees the WAL that it holds in vain.`,
      ),
    );
  if (findings.length > 0) return refused('slot-drop', findings);
  return planned({
    operation: 'slot-drop',
    title: `drop slot ${item.name} on ${node.name}`,
    notes: [`It keeps ${String(item.retainedBytes)} bytes of WAL, which the server may then remove.`],
    steps: [
      {
        id: `drop-slot:${item.name}`,
        node: node.name,
        title: `drop ${item.name}`,
        why: 'nobody reads it',
        sql: [dropSlotSql(item.name)],
        action: { kind: 'drop-slot', node: node.name, slot: item.name, sibling: view.for },
      },
    ],
  });
}

export interface SlotAdvancePlan {
  readonly planned: Planned<PartAction>;
  readonly skipped: readonly UpkeepSkip[];
}

/** Standby-slot upkeep; `only`: of one node. */
export function planSlotAdvance(snapshot: Snapshot, only?: string): SlotAdvancePlan {
  const { moves, skipped } = planUpkeep(snapshot, only);
  const notes = skipped.map((one) => `left alone: ${one.slot} on ${one.node}: ${one.reason}`);
  if (only !== undefined && leaderOf(snapshot)?.name === only)
    notes.push(`${only} is the leader: its slots feed the replicas and move with them.`);
  return {
    skipped,
    planned: planned({
      operation: 'slot-advance',
      title: 'move standby slots to what their nodes have for good',
      notes,
      steps: moves.map((move) => ({
        id: `advance:${move.node}:${move.sibling}`,
        node: move.node,
        title: `advance ${move.slot} on ${move.node}`,
        why:
          move.durable === null
            ? `${move.sibling} leads: of this node's WAL it needs nothing`
            : `${move.sibling} has everything up to ${move.durable} of the leader's WAL on disk`,
        sql: upkeepSql(move),
        // Decoding takes the processor of its node: nodes side by side, slots of one node one by one.
        action: { kind: 'advance-slot', move },
      })),
    }),
  };
}

// ---- sequences ---------------------------------------------------------------------------------------------

/** One step per replica. */
export function planSequences(
  moves: readonly SequenceSync[],
  missing: readonly (TableName & { readonly node: string })[],
): Planned<PartAction> {
  const nodes = [...new Set(moves.map((move) => move.node))];
  return planned({
    operation: 'sequence-sync',
    title: "bring the replicas' sequences to where the leader's are",
    notes: missing.map((one) => `missing on ${one.node}: ${tableKey(one)}`),
    steps: nodes.map((node) => {
      const own = moves.filter((move) => move.node === node);
      const sql = own.map((move) => move.sql);
      return {
        id: `sequences:${node}`,
        node,
        title: `set ${own.map((move) => `${tableKey(move.sequence)} ${move.from} → ${move.to}`).join(', ')} on ${node}`,
        why: 'the less a promotion has to guess, the fewer values are left out',
        sql,
        group: 'sequences',
        action: { kind: 'sql', node, sql },
      };
    }),
  });
}
