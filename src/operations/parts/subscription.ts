/** enable, disable, refresh and skip of a subscription, as plans. Pure. */
import type { Finding, ReachableNode, SubscriptionInfo } from '../../cluster/model.js';
import { type Planned, planned, refused } from '../../plan/plan.js';
import type { Lsn } from '../../postgres/lsn.js';
import {
  disableSubscriptionSql,
  enableSubscriptionSql,
  refreshSubscriptionSql,
  skipTransactionSql,
} from '../../replication/subscriptions.js';
import type { Found } from '../../replication/views/found.js';
import type { PartAction } from './actions.js';
import { finding, foreignFinding } from './findings.js';

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
