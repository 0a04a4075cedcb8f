/** Findings about room for slots, senders and workers, and about what takes it in vain. Pure. */
import { ident } from '../../postgres/quote.js';
import type { Finding, ReachableNode, Severity } from '../model.js';
import { isOwnSlot, slotName, subscriptionName } from '../names.js';
import { seconds } from '../words.js';
import type { DoctorView } from './view.js';

/** Room for what the cluster will need, besides what is there already. */
export function roomFindings({ config }: DoctorView, node: ReachableNode): readonly Finding[] {
  const findings: Finding[] = [];
  const others = config.nodes.map((it) => it.name).filter((name) => name !== node.name);
  const add = (code: string, severity: Severity, message: string, fix: string) => {
    findings.push({ code, severity, node: node.name, message, fix });
  };
  const needed = others.filter((name) => !node.slots.some((slot) => slot.name === slotName(name))).length;
  const most = Number(node.settings['max_replication_slots'] ?? Number.NaN);
  const free = most - node.slots.length;
  if (free < needed)
    add(
      'slots-short',
      'error',
      `${String(needed)} more replication slots are needed and ${String(Math.max(0, free))} of ${String(most)} are free`,
      `alter system set max_replication_slots = ${String(most - free + needed + 5)}, then restart ${node.name}`,
    );
  const fed = node.senders.filter((sender) => others.includes(sender.applicationName)).length;
  const senders = Number(node.settings['max_wal_senders'] ?? Number.NaN);
  const idle = senders - node.senders.length;
  if (idle < others.length - fed)
    add(
      'senders-short',
      'error',
      `as a leader it must feed ${String(others.length)} replicas, and ${String(Math.max(0, idle))} of ${String(senders)} WAL senders are free`,
      `alter system set max_wal_senders = ${String(senders - idle + others.length + 5)}, then restart ${node.name}`,
    );
  const workers = Number(node.settings['max_logical_replication_workers'] ?? Number.NaN);
  if (workers < 2)
    add(
      'workers-short',
      'error',
      `max_logical_replication_workers is ${String(workers)}: applying and copying need at least 2`,
      `alter system set max_logical_replication_workers = 4, then restart ${node.name}`,
    );
  if (Number(node.settings['idle_replication_slot_timeout'] ?? 0) > 0)
    add(
      'slots-time-out',
      'warning',
      'idle_replication_slot_timeout is set: standby slots idle by design and would be invalidated',
      `alter system set idle_replication_slot_timeout = 0, or run repctl slot advance more often`,
    );
  return findings;
}

/** Slots and subscriptions in repctl's form that belong to nobody, and slots that nobody has read for long. */
export function leftovers({ config, analysis }: DoctorView, node: ReachableNode): readonly Finding[] {
  const findings: Finding[] = [];
  const known = new Set(config.nodes.map((it) => slotName(it.name)));
  const warn = (code: string, message: string, fix: string) => {
    findings.push({ code, severity: 'warning', node: node.name, message, fix });
  };
  for (const slot of node.slots) {
    const stranger = isOwnSlot(slot.name) && slot.own && !known.has(slot.name) && !slot.temporary;
    const sync = /^pg_\d+_sync_\d+_\d+$/.test(slot.name) && !slot.active;
    // On the leader status says so already.
    if ((stranger && node.name !== analysis.leader) || (stranger && analysis.leader === null) || sync)
      warn(
        'slot-orphaned',
        `slot ${slot.name} belongs to ${sync ? 'an initial copy that nobody goes on with' : 'no node of the configuration'}`,
        `repctl slot drop ${slot.name} --node ${node.name}${sync ? ' --foreign' : ''}`,
      );
    const idleMs =
      slot.inactiveSince == null || slot.active
        ? 0
        : Date.parse(node.serverTime) - Date.parse(slot.inactiveSince);
    if (idleMs > 24 * 3_600_000)
      warn(
        'slot-idle',
        `nobody has used slot ${slot.name} for ${seconds(idleMs)}`,
        slot.own
          ? `repctl slot advance --node ${node.name}`
          : `repctl slot drop ${slot.name} --node ${node.name} --foreign, if nobody needs it`,
      );
  }
  for (const subscription of node.subscriptions.filter((it) => it.own)) {
    const expected = new RegExp(`^${subscriptionName(node.name, 0).slice(0, -1)}\\d+$`);
    if (!expected.test(subscription.name))
      warn(
        'subscription-orphaned',
        `subscription ${subscription.name} bears the name of another node`,
        `drop subscription ${ident(subscription.name)} on ${node.name}, if nothing needs it`,
      );
  }
  return findings;
}
