/** Findings about each server: slots and their WAL, limits, long transactions, schema, clock. Pure. */
import { reachableNodes, slotFor } from '../epochs.js';
import type { Finding, ReachableNode, SlotInfo, TableName } from '../model.js';
import { PUBLICATION, slotName } from '../names.js';
import { bytes, names, seconds } from '../words.js';
import type { View } from './view.js';

export function serverFindings(view: View): readonly Finding[] {
  return reachableNodes(view.snapshot).flatMap((node) => [
    ...slotFindings(view, node),
    ...standbyFindings(view, node),
    ...capacityFindings(node),
    ...transactionFindings(view, node),
    ...schemaFindings(view, node),
    ...clockFindings(view, node),
    ...publicationFindings(view, node),
    ...foreignFindings(node),
  ]);
}

/** Whom a slot of repctl's feeds. */
const readerOf = (slot: SlotInfo): string => slot.name.slice(slotName('').length);

function slotFindings(view: View, node: ReachableNode): readonly Finding[] {
  const findings: Finding[] = [];
  const leads = node.name === view.leaderName;
  for (const slot of node.slots) {
    const retains = slot.retainedBytes > view.limits.slotBytes;
    const dying =
      slot.safeWalBytes !== undefined && slot.safeWalBytes !== null && slot.walStatus === 'unreserved';
    if (retains || dying) {
      findings.push({
        code: 'slot-retains-wal',
        severity: dying ? 'error' : 'warning',
        node: node.name,
        message: `slot ${slot.name} holds ${bytes(slot.retainedBytes)} of WAL${slot.active ? '' : ' and nobody reads it'}${dying ? ': the server is about to invalidate it' : ''}`,
        fix: slot.own
          ? leads
            ? `Bring ${readerOf(slot)} back, or repctl node remove ${readerOf(slot)}`
            : `repctl slot advance --node ${node.name}`
          : `repctl slot drop ${slot.name} --node ${node.name} --foreign, if nobody needs it`,
      });
    }
    if (!leads || !slot.own) continue;
    const reader = view.reports.find((it) => it.name === readerOf(slot));
    if (!slot.active && slot.invalidReason === null && reader && reader.state !== 'stalled') {
      findings.push({
        code: 'slot-inactive',
        severity: 'warning',
        node: node.name,
        message: `nobody reads slot ${slot.name}: it holds ${bytes(slot.retainedBytes)} of WAL and goes on growing`,
        fix:
          reader.state === 'unreachable'
            ? `Bring ${reader.name} back, or repctl node remove ${reader.name}`
            : `repctl ${reader.state === 'stale' ? 'rejoin' : 'rewire'} ${reader.name}`,
      });
    } else if (!reader) {
      findings.push({
        code: 'slot-orphaned',
        severity: 'warning',
        node: node.name,
        message: `slot ${slot.name} feeds a node that the configuration does not know; it holds ${bytes(slot.retainedBytes)} of WAL`,
        fix: `repctl slot drop ${slot.name} --node ${node.name}`,
      });
    }
  }
  return findings;
}

/** The slots that a replica keeps for its siblings, in case that it is promoted. */
function standbyFindings(view: View, node: ReachableNode): readonly Finding[] {
  if (view.leaderName === null || node.name === view.leaderName || node.identity === null) return [];
  const report = view.reports.find((it) => it.name === node.name);
  if (report?.state !== 'streaming' && report?.state !== 'catching-up') return [];
  const siblings = view.snapshot.nodes.filter((it) => it.name !== node.name).map((it) => it.name);
  // Who is not attached gets one on everybody when it is.
  const members = siblings.filter((it) => it === view.leaderName || isMember(view, it));
  // Others may have an older slot for it, but not a node that led once: see standbySiblings().
  const led = view.leader?.epochs.some((row) => row.leader === node.name) ?? false;
  const due = led ? members : siblings;
  const missing = members.filter(
    (it) => !slotFor(node, it) || !node.standbyBases.some((base) => base.sibling === it),
  );
  const findings: Finding[] = [];
  if (missing.length > 0) {
    findings.push({
      code: 'standby-slot-missing',
      severity: 'warning',
      node: node.name,
      message: `no standby slot for ${missing.join(', ')}: after a promotion of ${node.name} they would have to be copied again`,
      fix: `repctl rewire ${node.name}`,
    });
  }
  const broken = siblings.filter((it) => slotFor(node, it)?.invalidReason != null);
  if (broken.length > 0) {
    findings.push({
      code: 'slot-invalidated',
      severity: 'warning',
      node: node.name,
      message: `the standby slot for ${broken.join(', ')} was invalidated: after a promotion of ${node.name} they would have to be copied again`,
      fix: `repctl rewire ${node.name}`,
    });
  }
  const heavy = siblings.filter((it) => (slotFor(node, it)?.retainedBytes ?? 0) > view.limits.standbyBytes);
  const old = node.standbyBases.filter(
    (base) => base.epoch < view.epoch && due.includes(base.sibling) && slotFor(node, base.sibling),
  );
  if (heavy.length > 0 || old.length > 0) {
    const held = Math.max(0, ...siblings.map((it) => slotFor(node, it)?.retainedBytes ?? 0));
    findings.push({
      code: 'standby-slot-stale',
      severity: 'warning',
      node: node.name,
      message:
        heavy.length > 0
          ? `the standby slots for ${heavy.join(', ')} hold up to ${bytes(held)} of WAL, all of which a failover would decode`
          : `the standby slots for ${old.map((it) => it.sibling).join(', ')} are from epoch ${String(old[0]?.epoch ?? 0)}`,
      // Moving a slot within its epoch is upkeep; one of an earlier epoch belongs to an attach that was not finished.
      fix: heavy.length > 0 ? `repctl slot advance --node ${node.name}` : `repctl rewire ${node.name}`,
    });
  }
  return findings;
}

const isMember = (view: View, name: string): boolean => {
  const state = view.reports.find((it) => it.name === name)?.state;
  return state === 'streaming' || state === 'catching-up';
};

function capacityFindings(node: ReachableNode): readonly Finding[] {
  const findings: Finding[] = [];
  const full = (code: string, setting: string, used: number, what: string) => {
    const most = Number(node.settings[setting] ?? Number.NaN);
    if (used < most || Number.isNaN(most)) return;
    findings.push({
      code,
      severity: 'warning',
      node: node.name,
      message: `all ${String(most)} ${what} are taken (${setting})`,
      fix: `alter system set ${setting} = ${String(most * 2)}, then restart ${node.name}; or drop what is not needed`,
    });
  };
  full('slots-exhausted', 'max_replication_slots', node.slots.length, 'replication slots');
  full('senders-exhausted', 'max_wal_senders', node.senders.length, 'WAL senders');
  if (node.settings['wal_level'] !== undefined && node.settings['wal_level'] !== 'logical') {
    findings.push({
      code: 'wal-level',
      severity: 'error',
      node: node.name,
      message: `wal_level is ${node.settings['wal_level']}; logical replication needs logical`,
      fix: `alter system set wal_level = 'logical', then restart ${node.name}`,
    });
  }
  if (node.versionNum < 150_000) {
    findings.push({
      code: 'version-unsupported',
      severity: 'error',
      node: node.name,
      message: `PostgreSQL ${node.version}; repctl needs 15 or later`,
      fix: 'Upgrade the server.',
    });
  }
  return findings;
}

/** An old transaction keeps vacuum from cleaning, slots from being made and restart_lsn from moving. */
function transactionFindings(view: View, node: ReachableNode): readonly Finding[] {
  const long = node.longTransactions.filter((it) => it.seconds * 1000 > view.limits.transactionMs);
  const findings: Finding[] = long.map((it) => ({
    code: 'long-transaction',
    severity: 'warning',
    node: node.name,
    message: `a transaction of ${it.user ?? 'another user'}${it.applicationName === '' ? '' : ` (${it.applicationName})`} is open for ${seconds(it.seconds * 1000)}: it holds the horizon`,
    fix: `select pg_terminate_backend(${String(it.pid)}) on ${node.name}, if it is not needed`,
  }));
  for (const it of node.prepared ?? []) {
    findings.push({
      code: 'prepared-transaction',
      severity: 'warning',
      node: node.name,
      message: `prepared transaction ${it.gid} in ${it.database} is pending for ${seconds(it.seconds * 1000)}: it holds the horizon and stops a switchover`,
      fix: `commit prepared or rollback prepared '${it.gid.replaceAll("'", "''")}' in ${it.database} on ${node.name}`,
    });
  }
  return findings;
}

const typed = (tables: readonly TableName[]): string =>
  tables.map((table) => `${table.schema}.${table.name}`).join(' ');

/** Tables of the leader's publication against the same ones here. */
function schemaFindings(view: View, node: ReachableNode): readonly Finding[] {
  const { leader } = view;
  if (!leader || leader.name === node.name || node.identity === null) return [];
  const findings: Finding[] = [];
  const key = (table: { schema: string; name: string }) => JSON.stringify([table.schema, table.name]);
  const here = new Map(node.tables.map((table) => [key(table), table]));
  const unpublished = leader.tables.filter((table) => !here.has(key(table)));
  const surplus = node.tables.filter((table) => !leader.tables.some((it) => key(it) === key(table)));
  if (unpublished.length > 0 || surplus.length > 0) {
    const parts = [
      ...(unpublished.length > 0 ? [`lacks ${names(unpublished)}`] : []),
      ...(surplus.length > 0 ? [`has ${names(surplus)} besides`] : []),
    ];
    findings.push({
      code: 'publication-drift',
      severity: 'warning',
      node: node.name,
      message: `its publication ${parts.join(' and ')}: after a promotion it would replicate other tables than ${leader.name} does`,
      // Either the addition of a table that was not finished, or one that was never meant.
      fix: `repctl publication add ${typed([...unpublished, ...surplus])}, or publication drop`,
    });
  }
  for (const table of leader.tables) {
    const other = here.get(key(table));
    if (!other) continue;
    const drift = [
      ...table.columns.flatMap((column) => {
        const twin = other.columns.find((it) => it.name === column.name);
        if (!twin) return [`${column.name} is missing`];
        if (twin.type !== column.type) return [`${column.name} is ${twin.type}, not ${column.type}`];
        return twin.notNull && !column.notNull ? [`${column.name} is not null here alone`] : [];
      }),
      ...other.columns
        .filter((column) => !table.columns.some((it) => it.name === column.name))
        .map((column) => `${column.name} is here alone`),
    ];
    if (drift.length === 0) continue;
    findings.push({
      code: 'schema-drift',
      severity: 'error',
      node: node.name,
      message: `${names([table])} differs from ${leader.name}: ${drift.join('; ')}`,
      fix: `Bring the table on ${node.name} to the leader's definition; DDL is not replicated.`,
    });
  }
  return findings;
}

function clockFindings(view: View, node: ReachableNode): readonly Finding[] {
  // The measurement is only as good as the round trip.
  if (Math.abs(node.clockOffsetMs) <= view.limits.clockMs + node.roundTripMs / 2) return [];
  return [
    {
      code: 'clock-drift',
      severity: 'warning',
      node: node.name,
      message: `its clock is ${seconds(Math.abs(node.clockOffsetMs))} ${node.clockOffsetMs > 0 ? 'ahead of' : 'behind'} this machine's: times in history and lag are off by that`,
      fix: `Synchronise the clock of ${node.name} (NTP).`,
    },
  ];
}

/** A kind of change that is not sent is lost to every replica in silence: no stream fails, and no lag shows it. */
function publicationFindings(view: View, node: ReachableNode): readonly Finding[] {
  const withheld = node.publications.find((it) => it.own)?.withholds ?? [];
  if (withheld.length === 0) return [];
  const leads = node.name === view.leaderName;
  const what = withheld.join(', ');
  return [
    {
      code: 'publication-withholds',
      severity: leads ? 'error' : 'warning',
      node: node.name,
      message: leads
        ? `its publication does not send ${what}: the replicas never see it`
        : `once it leads, its publication does not send ${what}`,
      fix: `On ${node.name}: alter publication "${PUBLICATION}" set (publish = 'insert, update, delete, truncate'); then repctl check finds what was missed.`,
    },
  ];
}

/** What somebody else made is none of repctl's business, but it takes slots and may bring rows in. */
function foreignFindings(node: ReachableNode): readonly Finding[] {
  const findings: Finding[] = [];
  const info = (code: string, message: string) => {
    findings.push({ code, severity: 'info', node: node.name, message });
  };
  const subscriptions = node.subscriptions.filter((it) => !it.own).map((it) => it.name);
  if (subscriptions.length > 0)
    info('foreign-subscription', `subscriptions that repctl did not make: ${subscriptions.join(', ')}`);
  const publications = node.publications.filter((it) => !it.own).map((it) => it.name);
  if (publications.length > 0)
    info('foreign-publication', `publications that repctl did not make: ${publications.join(', ')}`);
  const slots = node.slots
    .filter((it) => !it.own && !it.temporary && !/^pg_\d+_sync_/.test(it.name))
    .map((it) => it.name);
  if (slots.length > 0) info('foreign-slot', `slots that repctl did not make: ${slots.join(', ')}`);
  return findings;
}
