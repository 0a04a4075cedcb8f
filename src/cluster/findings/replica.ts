/** Findings about the stream to each replica: subscription, worker, tables, slot. Pure. */
import { ident } from '../../postgres/quote.js';
import { ownSubscription, reachableNodes, slotFor, upstreamOf } from '../epochs.js';
import type { Finding, ReachableNode, SlotInfo, SubscriptionInfo, TableName } from '../model.js';
import { slotName, subscriptionEpoch } from '../names.js';
import { isStaleLeader, type NodeReport } from '../report.js';
import { bytes, names, seconds } from '../words.js';
import type { View } from './view.js';

export function replicaFindings(view: View): readonly Finding[] {
  if (view.leaderName === null) return [];
  return reachableNodes(view.snapshot)
    .filter((node) => node.name !== view.leaderName && node.identity !== null)
    .filter((node) => !isStaleLeader(view.snapshot, node))
    .flatMap((node) => ofReplica(view, node));
}

function ofReplica(view: View, node: ReachableNode): readonly Finding[] {
  const subscription = ownSubscription(node);
  const report = view.reports.find((it) => it.name === node.name);
  const say = (code: string, severity: Finding['severity'], message: string, fix?: string): Finding => ({
    code,
    severity,
    node: node.name,
    message,
    ...(fix === undefined ? {} : { fix }),
  });
  if (!subscription)
    return [
      say(
        'subscription-missing',
        'error',
        'it follows nobody: it has no subscription',
        `repctl rewire ${node.name}`,
      ),
    ];
  if (subscriptionEpoch(subscription.name) !== view.epoch) {
    const upstream = upstreamOf(view.snapshot, subscription) ?? 'a former leader';
    return [
      say(
        'follows-old-leader',
        'error',
        `it still follows ${upstream} (${subscription.name}), not ${view.leaderName ?? 'the leader'}`,
        `repctl rewire ${node.name}`,
      ),
    ];
  }
  const findings: Finding[] = [];
  const slot = view.leader && slotFor(view.leader, node.name);
  const feed = view.leader ? slotProblem(view.leader, node, slot) : undefined;
  if (feed) findings.push(feed);
  if (!subscription.enabled) {
    findings.push(
      say(
        'subscription-disabled',
        'error',
        `${subscription.name} is disabled: nothing arrives`,
        `repctl subscription enable ${node.name}`,
      ),
    );
  } else if (report?.state === 'stalled' && !feed) {
    findings.push(stalled(view, node, subscription));
  }
  if (subscription.origin === 'none') {
    findings.push(
      say(
        'origin-none',
        'error',
        `${subscription.name} has origin = none: it drops what the leader itself received from a former leader`,
        `alter subscription ${subscription.name} set (origin = any)`,
      ),
    );
  }
  findings.push(...tableProblems(view, node, subscription, say));
  if (subscription.appliedUnknown !== undefined && subscription.appliedLsn === null) {
    findings.push(
      say(
        'position-unknown',
        'info',
        `its applied position cannot be read: ${subscription.appliedUnknown}`,
        `As superuser in ${node.database}: grant execute on function pg_show_replication_origin_status() to ${ident(node.user)}`,
      ),
    );
  }
  if (report && isBehind(view, report)) {
    const time = report.behindMs === null ? '' : ` and ${seconds(report.behindMs)}`;
    findings.push(
      say(
        'replica-behind',
        'warning',
        `${bytes(report.behindBytes ?? 0)}${time} behind ${view.leaderName ?? 'the leader'}`,
        'repctl lag --watch',
      ),
    );
  }
  const conflicts = Object.entries(subscription.conflicts).filter(([, count]) => count > 0);
  if (conflicts.length > 0) {
    findings.push(
      say(
        'conflicts',
        'info',
        `conflicts counted so far: ${conflicts.map(([kind, count]) => `${kind} ${String(count)}`).join(', ')}`,
        `repctl check --node ${node.name}`,
      ),
    );
  }
  return findings;
}

const isBehind = ({ limits }: View, report: NodeReport): boolean =>
  (report.behindBytes ?? 0) > limits.behindBytes || (report.behindMs ?? 0) > limits.behindMs;

/** Without its slot no worker can go on: then this is the reason, and the worker's failing only follows. */
function slotProblem(
  leader: ReachableNode,
  node: ReachableNode,
  slot: SlotInfo | undefined,
): Finding | undefined {
  if (!slot) {
    return {
      code: 'slot-missing',
      severity: 'error',
      node: leader.name,
      message: `slot ${slotName(node.name)}, which feeds ${node.name}, is gone`,
      fix: `repctl rewire ${node.name}`,
    };
  }
  if (slot.invalidReason !== null || slot.walStatus === 'lost') {
    return {
      code: 'slot-invalidated',
      severity: 'error',
      node: leader.name,
      message: `slot ${slot.name}, which feeds ${node.name}, was invalidated (${slot.invalidReason ?? 'lost'})`,
      fix: `repctl rewire ${node.name}`,
    };
  }
  return undefined;
}

/** Conflicts that end the worker with an error (conflict.c); the others are counted and passed over. */
const FATAL_CONFLICTS = new Set(['insert_exists', 'update_exists', 'multiple_unique_conflicts']);

/** With fewer failures and no such conflict a worker that is gone has most likely lost its connection. */
const FEW_ERRORS = 3;

/**
 * The server counts lost connections as apply errors too, so the count alone accuses no row: a worker that gets as
 * far as the slot and leaves it again and again (17+ tell when) fails on what it receives.
 */
function stalled(view: View, node: ReachableNode, subscription: SubscriptionInfo): Finding {
  const { leader } = view;
  const since = leader && slotFor(leader, node.name)?.inactiveSince;
  const turnedAway =
    since == null || leader === undefined
      ? false
      : Date.parse(leader.serverTime) - Date.parse(since) > view.limits.retryMs;
  const kinds = Object.entries(subscription.conflicts).flatMap(([kind, count]) => (count > 0 ? [kind] : []));
  const accused = subscription.applyErrors >= FEW_ERRORS || kinds.some((kind) => FATAL_CONFLICTS.has(kind));
  if (leader && accused && subscription.applyErrors > 0 && !turnedAway) {
    return {
      code: 'apply-error',
      severity: 'error',
      node: node.name,
      // The text of the error is in the server's log alone.
      message: `the apply worker keeps failing (${[`${String(subscription.applyErrors)} tries`, ...kinds].join(', ')}); the log of ${node.name} says on what`,
      fix: `repctl repair --node ${node.name} shows the row that is in the way, if one is, and lets the stream go on. The other way, which loses what that transaction changed here: repctl subscription skip ${node.name} --lsn LSN, which that log names`,
    };
  }
  return {
    code: 'worker-down',
    severity: 'error',
    node: node.name,
    message: `no apply worker runs for ${subscription.name}${leader ? '' : ': its leader does not answer'}`,
    fix: leader
      ? `Look whether ${node.name} can reach ${leader.name} (repctl doctor) and for free workers (max_logical_replication_workers ${node.settings['max_logical_replication_workers'] ?? '?'}).`
      : 'repctl failover',
  };
}

type Say = (code: string, severity: Finding['severity'], message: string, fix?: string) => Finding;

function tableProblems(
  view: View,
  node: ReachableNode,
  subscription: SubscriptionInfo,
  say: Say,
): readonly Finding[] {
  const findings: Finding[] = [];
  const has = (list: readonly TableName[], table: TableName): boolean =>
    list.some((it) => it.schema === table.schema && it.name === table.name);
  // A change of a published table that the subscription does not know is skipped without a word.
  // (pg_publication_tables lists the leaves of a partitioned table, as pg_subscription_rel does.)
  const published = view.leader?.publications.find((it) => it.own)?.tables ?? [];
  const skipped = published.filter((table) => !has(subscription.tables, table));
  if (skipped.length > 0) {
    findings.push(
      say(
        'table-not-subscribed',
        'error',
        `${names(skipped)} is published by ${view.leaderName ?? 'the leader'} but not subscribed here: changes are skipped in silence`,
        `repctl subscription refresh ${node.name}`,
      ),
    );
  }
  const waiting = subscription.tables.filter((table) => table.state !== 'r');
  const idle = waiting.length > 0 && !waiting.some((table) => table.syncing === true);
  const started = subscription.workerStartedAt ?? null;
  const aged = started !== null && Date.parse(node.serverTime) - Date.parse(started) > view.limits.syncMs;
  if (waiting.length > 0 && (subscription.syncErrors > 0 || (idle && aged))) {
    findings.push(
      say(
        'table-sync-stuck',
        'error',
        subscription.syncErrors > 0
          ? `the initial copy of ${names(waiting)} fails (${String(subscription.syncErrors)} tries); the log of ${node.name} says why`
          : `nobody copies ${names(waiting)} although it is not ready`,
        `Look at the log of ${node.name}; repctl rewire ${node.name} --recopy begins again`,
      ),
    );
  }
  return findings;
}
