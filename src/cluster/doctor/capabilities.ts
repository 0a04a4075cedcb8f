/** Findings about what was tried and did not work. Pure. */
import { ident } from '../../postgres/quote.js';
import { isReachable } from '../epochs.js';
import type { Finding, ReachableNode, Severity } from '../model.js';
import type { Capability, Failure, Trials } from './trials.js';
import type { DoctorView } from './view.js';

export function trialFindings(view: DoctorView, trials: Trials): readonly Finding[] {
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
