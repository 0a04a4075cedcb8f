import { tableKey } from '../replication/publications.js';
import type { SubscriptionList, SubscriptionView } from '../replication/views/subscription.js';
import type { Style } from './color.js';
import { formatBytes } from './format.js';
import { dash, facts, owner, withUnseen } from './parts.js';
import { renderTable } from './table.js';

const STATES: Readonly<Record<string, string>> = {
  i: 'waiting for its copy',
  d: 'copying rows',
  f: 'copied, catching up',
  s: 'synchronised',
  r: 'ready',
};

function state(one: SubscriptionView, { c }: Style): string {
  if (one.tombstone) return c.dim('tombstone');
  if (!one.enabled) return c.yellow('disabled');
  return one.workerPid === null ? c.red('no worker') : c.green('running');
}

const ready = (one: SubscriptionView): string =>
  `${String(one.tables.filter((table) => table.state === 'r').length)}/${String(one.tables.length)}`;

const behind = (one: SubscriptionView): string =>
  one.behindBytes === null ? '–' : formatBytes(one.behindBytes);

export function renderSubscriptions(result: SubscriptionList, style: Style): string {
  const rows = result.subscriptions.map((one) => [
    one.node,
    one.name,
    state(one, style),
    dash(one.upstream),
    dash(one.appliedLsn),
    behind(one),
    ready(one),
    String(one.applyErrors + one.syncErrors),
    owner(one.own, style),
  ]);
  const table =
    rows.length === 0
      ? 'No subscription.'
      : renderTable(
          [
            { head: 'Node' },
            { head: 'Subscription' },
            { head: 'State' },
            { head: 'Upstream' },
            { head: 'Applied', optional: true },
            { head: 'Behind' },
            { head: 'Tables' },
            { head: 'Errors', align: 'right' },
            { head: 'Made by' },
          ],
          rows,
          style,
        );
  return withUnseen(table, result.unreachable, style);
}

export function renderSubscription(one: SubscriptionView, style: Style): string {
  const conflicts = Object.entries(one.conflicts);
  const head = facts(
    [
      ['Subscription', `${one.name} on ${one.node} (${owner(one.own, style)})`],
      ['State', state(one, style)],
      ['Upstream', dash(one.upstream)],
      ['Slot', dash(one.slotName)],
      ['Publications', one.publications.join(', ')],
      ['Worker', one.workerPid === null ? 'none' : `process ${String(one.workerPid)}`],
      ['Applied', dash(one.appliedLsn)],
      ['Received', dash(one.receivedLsn)],
      ['Behind', behind(one)],
      ['Last message', dash(one.lastMessageAt)],
      ['Apply errors', String(one.applyErrors)],
      ['Copy errors', String(one.syncErrors)],
      [
        'Conflicts',
        conflicts.length === 0
          ? 'counted from version 18 on'
          : conflicts
              .filter(([, count]) => count > 0)
              .map(([kind, count]) => `${kind} ${String(count)}`)
              .join(', ') || 'none',
      ],
    ],
    style,
  );
  const tables = renderTable(
    [{ head: 'Table' }, { head: 'State' }],
    one.tables.map((table) => [tableKey(table), STATES[table.state] ?? table.state]),
    style,
  );
  return one.tables.length === 0 ? head : `${head}\n\n${tables}`;
}
