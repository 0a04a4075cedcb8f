/** What doctor saw and tried → findings. Pure. */
import type { ClusterConfig } from '../config/schema.js';
import { ident } from '../postgres/quote.js';
import type { Analysis } from './analyse.js';
import { tableFindings } from './doctor-tables.js';
import type { Capability, Failure, Trials } from './doctor-trials.js';
import { isReachable, reachableNodes } from './epochs.js';
import type { Finding, ReachableNode, Severity, Snapshot } from './model.js';
import { isOwnSlot, slotName, subscriptionName } from './names.js';
import { seconds } from './words.js';

export interface DoctorView {
  readonly snapshot: Snapshot;
  readonly config: ClusterConfig;
  readonly analysis: Analysis;
  readonly trials: readonly Trials[];
  /** Nodes whose URL is a pooler's. */
  readonly pooled: readonly string[];
}

const RANK: readonly Severity[] = ['critical', 'error', 'warning', 'info'];

export function doctorFindings(view: DoctorView): readonly Finding[] {
  const nodes = reachableNodes(view.snapshot);
  const findings = [
    ...analysisFindings(view),
    ...hostFindings(view),
    ...nodes.flatMap((node) => [...roomFindings(view, node), ...leftovers(view, node)]),
    ...twinFindings(nodes),
    ...view.trials.flatMap((trials) => trialFindings(view, trials)),
    ...tableFindings(view),
  ];
  const order = (finding: Finding) => view.snapshot.nodes.findIndex((node) => node.name === finding.node);
  return findings.toSorted(
    (a, b) => RANK.indexOf(a.severity) - RANK.indexOf(b.severity) || order(a) - order(b),
  );
}

/** Everything status finds, but that there is no cluster yet is no fault here, and tables are compared below. */
function analysisFindings({ analysis, snapshot }: DoctorView): readonly Finding[] {
  const bare = reachableNodes(snapshot).every((node) => node.metadata === 'missing');
  return analysis.findings
    .filter((it) => it.code !== 'schema-drift' && it.code !== 'position-unknown')
    .map((it) => (it.code === 'no-leader' && bare ? { ...it, severity: 'info' as const } : it));
}

function hostFindings({ config, pooled }: DoctorView): readonly Finding[] {
  return config.nodes.flatMap((node): readonly Finding[] => {
    if (pooled.includes(node.name)) {
      return [
        {
          code: 'pooled-host',
          severity: 'error',
          node: node.name,
          message:
            'the URL leads to a connection pooler: sessions, locks and replication do not work through it',
          fix: 'Use the direct host: the same name without -pooler.',
        },
      ];
    }
    if (!/\.neon\.tech(?:[:/?]|$)/u.test(node.url)) return [];
    return [
      {
        code: 'neon-host',
        severity: 'info',
        node: node.name,
        message:
          'a Neon host: slots that nobody reads for about 40 hours are removed, and a branch restore drops all of them',
        fix: 'repctl slot advance every few hours counts as use',
      },
    ];
  });
}

/** Room for what the cluster will need, besides what is there already. */
function roomFindings({ config }: DoctorView, node: ReachableNode): readonly Finding[] {
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
function leftovers({ config, analysis }: DoctorView, node: ReachableNode): readonly Finding[] {
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

/** Copied data directories, restored backups and Neon branches; two databases of one server too. */
function twinFindings(nodes: readonly ReachableNode[]): readonly Finding[] {
  const identifiers = new Set(nodes.map((node) => node.systemIdentifier).filter((it) => it !== ''));
  const groups = [...identifiers].map((it) => nodes.filter((node) => node.systemIdentifier === it));
  return groups
    .filter((group) => group.length > 1)
    .map((group) => ({
      code: 'shared-system-identifier',
      severity: 'info',
      message: `${group.map((node) => node.name).join(', ')} share the system identifier ${group[0]?.systemIdentifier ?? ''}: their initial copies are made one after the other`,
    }));
}

function trialFindings(view: DoctorView, trials: Trials): readonly Finding[] {
  const node = view.snapshot.nodes.filter(isReachable).find((it) => it.name === trials.node);
  if (!node) return [];
  const say = (code: string, severity: Severity, message: string, fix: string): Finding => ({
    code,
    severity,
    node: node.name,
    message,
    fix,
  });
  if (trials.failure)
    return [say('not-examined', 'error', trials.failure.message, 'Run repctl doctor again.')];
  const capabilities = (Object.entries(trials.failed) as [Capability, Failure][]).map(
    ([capability, failure]) => capabilityFinding(node, capability, failure),
  );
  const reach = Object.entries(trials.reach)
    .filter((entry): entry is [string, Failure] => entry[1] !== null)
    .map(([to, failure]) => {
      const silent = failure.sqlState === '57014';
      const why = failure.message.replace(/^.*?could not connect to the publisher: /u, '');
      return say(
        'node-cannot-reach',
        'error',
        `${node.name} itself cannot replicate from ${to}: ${silent ? 'no answer' : why}`,
        `Check replicationUrl of ${to}, its listen_addresses and pg_hba.conf, the network from ${node.name}, and the password in the URL.`,
      );
    });
  return [...capabilities.filter((it) => it !== undefined), ...reach];
}

function capabilityFinding(
  node: ReachableNode,
  capability: Capability,
  failure: Failure,
): Finding | undefined {
  const role = ident(node.user);
  const denied = failure.sqlState === '42501';
  const finding = (code: string, severity: Severity, message: string, fix: string): Finding => ({
    code,
    severity,
    node: node.name,
    message,
    fix,
  });
  const missing = (what: string, fix: string) =>
    finding('privilege-missing', 'error', `${node.user} may not ${what}: ${failure.message}`, fix);
  const database = `grant create on database ${ident(node.database)} to ${role}`;
  if (denied) {
    switch (capability) {
      case 'create-schema':
        return missing('create schema repctl', database);
      case 'create-publication':
        return missing(
          'publish the tables',
          failure.message.includes('database')
            ? database
            : `alter table … owner to ${role}, or grant the owner's role to ${role}`,
        );
      case 'create-slot':
        return missing('create replication slots', `alter role ${role} replication`);
      case 'create-subscription':
        return missing(
          'create subscriptions',
          node.versionNum < 160_000
            ? `alter role ${role} superuser (before version 16 nothing less will do)`
            : failure.message.includes('database')
              ? database
              : `grant pg_create_subscription to ${role}`,
        );
      case 'read-origins':
        return finding(
          'origin-status-denied',
          'warning',
          `${node.user} may not read how far it has applied; repctl decodes a slot instead, which is slower and at times impossible`,
          `As superuser in ${node.database}: grant execute on function pg_show_replication_origin_status() to ${role}`,
        );
      case 'read-stats':
        return finding(
          'stats-hidden',
          'info',
          `${node.user} sees only its own sessions: long transactions of others and the details of WAL senders are hidden`,
          `grant pg_monitor to ${role}`,
        );
    }
  }
  // 53400 and 55000 at a slot: no slot free, wal_level too low; both have findings of their own.
  if (capability === 'create-slot') {
    if (failure.sqlState === '55P03' || failure.sqlState === '57014')
      return finding(
        'slot-creation-blocked',
        'warning',
        'a new slot would have to wait for transactions that are open now',
        'End them (repctl status names those that it may see), then run repctl doctor again.',
      );
    if (failure.sqlState === '53400' || failure.sqlState === '55000') return undefined;
  }
  if (capability === 'create-subscription' && failure.sqlState === '2F003')
    return finding(
      'password-missing',
      'error',
      `subscriptions of ${node.user}, who is no superuser, need a password in the connection: ${failure.message}`,
      'Give the URL of this node a password (or PGPASSWORD, .pgpass).',
    );
  if (failure.sqlState === '55P03')
    return finding(
      'table-locked',
      'warning',
      `${capability} could not be tried: a lock is held by another session`,
      'Run repctl doctor again when that session has ended.',
    );
  return finding(
    'capability-missing',
    'error',
    `${capability} failed: ${failure.message}`,
    'See the message of the server.',
  );
}
