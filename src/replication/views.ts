/** What the inspecting commands print: a Snapshot, seen by publication, subscription and slot. Pure. */
import {
  appliedPosition,
  leaderOf,
  nodeNamed,
  reachableLeader,
  reachableNodes,
  upstreamOf,
} from '../cluster/epochs.js';
import type {
  Epoch,
  EventRow,
  FenceState,
  ReachableNode,
  SlotInfo,
  Snapshot,
  SubscriptionInfo,
  TableName,
  TableSyncState,
} from '../cluster/model.js';
import { PROBE_KIND, PUBLICATION, SCHEMA } from '../cluster/names.js';
import { EXIT, RepctlError } from '../errors.js';
import type { Lsn } from '../postgres/lsn.js';
import { lsnDistance } from '../postgres/lsn.js';
import type { Session } from '../postgres/session.js';
import { compareTables, tableKey } from './publications.js';

export interface Unseen {
  readonly node: string;
  readonly code: string;
  readonly message: string;
}

/** Nodes that did not answer: shown beside what the others said. */
export const unseenNodes = (snapshot: Snapshot, only?: string): readonly Unseen[] =>
  snapshot.nodes.flatMap((node) =>
    node.reachable || (only !== undefined && node.name !== only)
      ? []
      : [{ node: node.name, code: node.code, message: node.message }],
  );

/**
 * Throws `unknown-node` (exit 2), and `node-unreachable` (exit 3) when the asked node, or no node at all, answered.
 * One dead node of many is shown, not thrown: what the others say is worth seeing.
 */
export function requireAnswers(snapshot: Snapshot, only?: string): void {
  if (only !== undefined && nodeNamed(snapshot, only) === undefined) {
    throw new RepctlError('unknown-node', `There is no node ${only} in this cluster.`, {
      hint: `Known nodes: ${snapshot.nodes.map((node) => node.name).join(', ')}`,
    });
  }
  const asked = snapshot.nodes.filter((node) => only === undefined || node.name === only);
  if (asked.some((node) => node.reachable)) return;
  throw new RepctlError(
    'node-unreachable',
    unseenNodes(snapshot, only)
      .map((one) => one.message)
      .join('; '),
    {
      exit: EXIT.unreachable,
      hint: 'repctl status',
    },
  );
}

const nodesOf = (snapshot: Snapshot, only?: string): readonly ReachableNode[] =>
  reachableNodes(snapshot).filter((node) => only === undefined || node.name === only);

// ---- publications ------------------------------------------------------------------------------------------

export interface PublicationRow {
  readonly node: string;
  readonly name: string;
  readonly own: boolean;
  readonly allTables: boolean;
  readonly tables: readonly TableName[];
}

export interface PublicationList {
  readonly publications: readonly PublicationRow[];
  readonly unreachable: readonly Unseen[];
}

export const publicationList = (snapshot: Snapshot, only?: string): PublicationList => ({
  publications: nodesOf(snapshot, only).flatMap((node) =>
    node.publications.map(({ name, own, allTables, tables }) => ({
      node: node.name,
      name,
      own,
      allTables,
      tables,
    })),
  ),
  unreachable: unseenNodes(snapshot, only),
});

export interface PublicationTable extends TableName {
  /** Nodes whose publication has it. */
  readonly nodes: readonly string[];
  /** The fence on each of them; null for what repctl did not publish. */
  readonly fences: Readonly<Record<string, FenceState>> | null;
  readonly replicaIdentity: string | null;
  readonly hasPrimaryKey: boolean | null;
}

export interface PublicationView {
  readonly name: string;
  readonly own: boolean;
  /** Nodes that have a publication of this name. */
  readonly nodes: readonly string[];
  /** Reachable nodes that have none. */
  readonly missingOn: readonly string[];
  readonly allTables: boolean;
  readonly tables: readonly PublicationTable[];
  /** Every reachable node publishes the same tables. */
  readonly alike: boolean;
  readonly unreachable: readonly Unseen[];
}

/** One publication over all nodes. Throws `unknown-publication` (exit 2) when no node has it. */
export function publicationView(snapshot: Snapshot, name: string): PublicationView {
  const nodes = reachableNodes(snapshot);
  const having = nodes.filter((node) => node.publications.some((one) => one.name === name));
  if (having.length === 0) {
    const known = [...new Set(nodes.flatMap((node) => node.publications.map((one) => one.name)))];
    throw new RepctlError('unknown-publication', `No reachable node has a publication ${name}.`, {
      exit: nodes.length === 0 ? EXIT.unreachable : EXIT.usage,
      hint: known.length === 0 ? 'repctl cluster create' : `Known publications: ${known.join(', ')}`,
    });
  }
  const own = name === PUBLICATION;
  const tablesOf = (node: ReachableNode): readonly TableName[] =>
    own ? node.tables : (node.publications.find((one) => one.name === name)?.tables ?? []);
  const all = new Map<string, TableName>();
  for (const node of having) for (const table of tablesOf(node)) all.set(tableKey(table), table);
  const tables = [...all.values()].sort(compareTables).map(({ schema, name: table }): PublicationTable => {
    const key = tableKey({ schema, name: table });
    const holders = having.filter((node) => tablesOf(node).some((one) => tableKey(one) === key));
    const facts = holders.flatMap((node) =>
      node.tables.filter((one) => own && tableKey(one) === key).map((one) => [node.name, one] as const),
    );
    return {
      schema,
      name: table,
      nodes: holders.map((node) => node.name),
      fences: own ? Object.fromEntries(facts.map(([node, one]) => [node, one.fence])) : null,
      replicaIdentity: facts[0]?.[1].replicaIdentity ?? null,
      hasPrimaryKey: facts[0]?.[1].hasPrimaryKey ?? null,
    };
  });
  const missingOn = nodes.filter((node) => !having.includes(node)).map((node) => node.name);
  return {
    name,
    own,
    nodes: having.map((node) => node.name),
    missingOn,
    allTables: having.some((node) => node.publications.some((one) => one.name === name && one.allTables)),
    tables,
    alike: missingOn.length === 0 && tables.every((table) => table.nodes.length === having.length),
    unreachable: unseenNodes(snapshot),
  };
}

// ---- subscriptions -----------------------------------------------------------------------------------------

export interface SubscriptionView {
  readonly node: string;
  readonly name: string;
  readonly own: boolean;
  readonly enabled: boolean;
  /** Kept for its origin alone, until every node follows this new leader. */
  readonly tombstone: boolean;
  readonly upstream: string | null;
  readonly slotName: string | null;
  readonly publications: readonly string[];
  readonly workerPid: number | null;
  readonly appliedLsn: Lsn | null;
  readonly receivedLsn: Lsn | null;
  /** Bytes of the leader's WAL that are not applied yet; null when either position is unknown. */
  readonly behindBytes: number | null;
  readonly lastMessageAt: string | null;
  readonly tables: readonly (TableName & { readonly state: TableSyncState })[];
  readonly applyErrors: number;
  readonly syncErrors: number;
  /** By kind, 18 and later. */
  readonly conflicts: Readonly<Record<string, number>>;
}

export interface SubscriptionList {
  readonly subscriptions: readonly SubscriptionView[];
  readonly unreachable: readonly Unseen[];
}

export const subscriptionList = (snapshot: Snapshot, only?: string): SubscriptionList => ({
  subscriptions: nodesOf(snapshot, only).flatMap((node) =>
    node.subscriptions.map((one) => subscriptionView(snapshot, node, one)),
  ),
  unreachable: unseenNodes(snapshot, only),
});

export function subscriptionView(
  snapshot: Snapshot,
  node: ReachableNode,
  one: SubscriptionInfo,
): SubscriptionView {
  const upstream = one.own ? upstreamOf(snapshot, one) : null;
  const leader = reachableLeader(snapshot);
  const source = leader?.name === upstream ? leader : undefined;
  const applied = source && one.enabled ? appliedPosition(source, node) : one.appliedLsn;
  return {
    node: node.name,
    name: one.name,
    own: one.own,
    enabled: one.enabled,
    tombstone: !one.enabled && one.slotName === null,
    upstream,
    slotName: one.slotName,
    publications: one.publications,
    workerPid: one.workerPid,
    appliedLsn: one.appliedLsn,
    receivedLsn: one.receivedLsn,
    behindBytes: source && applied !== null ? Math.max(0, lsnDistance(applied, source.flushLsn)) : null,
    lastMessageAt: one.lastMessageAt,
    tables: one.tables,
    applyErrors: one.applyErrors,
    syncErrors: one.syncErrors,
    conflicts: one.conflicts,
  };
}

export interface Found<T> {
  readonly node: ReachableNode;
  readonly item: T;
}

/**
 * The subscription meant by a name of it or of its node (its newest own one). Throws `unknown-subscription`
 * or `ambiguous` (exit 2), `node-unreachable` (exit 3).
 */
export function findSubscription(snapshot: Snapshot, what: string, on?: string): Found<SubscriptionInfo> {
  const nodes = reachableNodes(snapshot).filter((node) => on === undefined || node.name === on);
  const byName = nodes.flatMap((node) =>
    node.subscriptions.filter((one) => one.name === what).map((item) => ({ node, item })),
  );
  const byNode = nodes
    .filter((node) => node.name === what)
    .flatMap((node) =>
      node.subscriptions
        .filter((one) => one.own)
        .slice(-1)
        .map((item) => ({ node, item })),
    );
  return onlyOne(snapshot, 'subscription', what, byName.length > 0 ? byName : byNode, on);
}

/** The slot of that name. Throws `unknown-slot` or `ambiguous` (exit 2), `node-unreachable` (exit 3). */
export function findSlot(snapshot: Snapshot, name: string, on?: string): Found<SlotInfo> {
  const found = reachableNodes(snapshot)
    .filter((node) => on === undefined || node.name === on)
    .flatMap((node) => node.slots.filter((one) => one.name === name).map((item) => ({ node, item })));
  return onlyOne(snapshot, 'slot', name, found, on);
}

function onlyOne<T>(
  snapshot: Snapshot,
  kind: string,
  what: string,
  found: readonly Found<T>[],
  on: string | undefined,
): Found<T> {
  const [first] = found;
  if (first !== undefined && found.length === 1) return first;
  if (first !== undefined) {
    throw new RepctlError(
      'ambiguous',
      `There is a ${kind} ${what} on ${found.map((one) => one.node.name).join(', ')}.`,
      { hint: 'Say which with --node.' },
    );
  }
  const unseen = unseenNodes(snapshot).filter((one) => on === undefined || one.node === on);
  const silent = unseen.find((one) => one.node === what || one.node === on);
  if (silent !== undefined) {
    throw new RepctlError('node-unreachable', silent.message, {
      exit: EXIT.unreachable,
      hint: 'repctl status',
    });
  }
  throw new RepctlError(
    `unknown-${kind}`,
    `There is no ${kind} ${what}${on === undefined ? '' : ` on ${on}`}${unseen.length > 0 ? ` (${unseen.map((one) => one.node).join(', ')} did not answer)` : ''}.`,
    { hint: `repctl ${kind} list` },
  );
}

// ---- slots -------------------------------------------------------------------------------------------------

/** feeds: a replica reads it; standby: held on a replica for a sibling; copy: of an initial copy in progress. */
export type SlotPurpose = 'feeds' | 'standby' | 'copy' | 'foreign';

export interface SlotView {
  readonly node: string;
  readonly name: string;
  readonly own: boolean;
  readonly purpose: SlotPurpose;
  /** The node that it feeds or would feed. */
  readonly for: string | null;
  readonly active: boolean;
  readonly activePid: number | null;
  readonly walStatus: string | null;
  readonly invalidReason: string | null;
  readonly retainedBytes: number;
  readonly safeWalBytes: number | null;
  readonly restartLsn: Lsn | null;
  readonly confirmedFlushLsn: Lsn | null;
  /** Of a standby slot: it holds every transaction after this position in the WAL of that epoch's leader. */
  readonly base: { readonly epoch: number; readonly lsn: Lsn } | null;
}

export interface SlotList {
  readonly slots: readonly SlotView[];
  readonly unreachable: readonly Unseen[];
}

export const slotList = (snapshot: Snapshot, only?: string): SlotList => ({
  slots: nodesOf(snapshot, only).flatMap((node) => node.slots.map((slot) => slotView(snapshot, node, slot))),
  unreachable: unseenNodes(snapshot, only),
});

/** Whether repctl made it: its name, a logical slot, and of this database. */
export const isOwn = (node: ReachableNode, slot: SlotInfo): boolean =>
  slot.own && slot.type === 'logical' && slot.database === node.database;

export function slotView(snapshot: Snapshot, node: ReachableNode, slot: SlotInfo): SlotView {
  const own = isOwn(node, slot);
  const target = own ? slot.name.slice(SCHEMA.length + 1) : null;
  const base = node.standbyBases.find((one) => own && one.sibling === target);
  const copy = /^pg_\d+_sync_\d+_\d+$/.test(slot.name);
  return {
    node: node.name,
    name: slot.name,
    own: own || copy,
    purpose: own ? (leaderOf(snapshot)?.name === node.name ? 'feeds' : 'standby') : copy ? 'copy' : 'foreign',
    for: target,
    active: slot.active,
    activePid: slot.activePid,
    walStatus: slot.walStatus,
    invalidReason: slot.invalidReason,
    retainedBytes: slot.retainedBytes,
    safeWalBytes: slot.safeWalBytes ?? null,
    restartLsn: slot.restartLsn,
    confirmedFlushLsn: slot.confirmedFlushLsn,
    base: base === undefined ? null : { epoch: base.epoch, lsn: base.baseLsn },
  };
}

// ---- history -----------------------------------------------------------------------------------------------

export interface History {
  /** The node it was read from: the leader, or the most advanced one that answers. */
  readonly readFrom: string;
  readonly leader: string | null;
  /** Newest first. */
  readonly epochs: readonly Epoch[];
  readonly events: readonly EventRow[];
  readonly unreachable: readonly Unseen[];
}

/** More events than a snapshot holds, newest first. */
export const readEvents = (session: Session, limit: number): Promise<readonly EventRow[]> =>
  session
    .query<{ events: EventRow[] }>(
      `select coalesce(json_agg(to_json(e)), '[]') as events from (
         select id, at, epoch, kind, node, operator, reason, details from repctl.event
         where kind <> $1 order by at desc limit $2) e`,
      [PROBE_KIND, limit],
    )
    // PostgreSQL writes +00:00 in JSON; everywhere else repctl says Z.
    .then((rows) =>
      (rows[0]?.events ?? []).map((event) => ({ ...event, at: new Date(event.at).toISOString() })),
    );

/** Throws `not-created` (exit 2), or `node-unreachable` (exit 3) when no node answers. */
export function historyOf(snapshot: Snapshot): History {
  const nodes = reachableNodes(snapshot);
  const newest = (node: ReachableNode): number => node.epochs[0]?.epoch ?? 0;
  const highest = Math.max(0, ...nodes.map(newest));
  const from =
    reachableLeader(snapshot) ??
    nodes
      .filter((node) => newest(node) === highest)
      .toSorted((a, b) => ((a.events[0]?.at ?? '') < (b.events[0]?.at ?? '') ? 1 : -1))[0];
  if (from === undefined) {
    throw new RepctlError('node-unreachable', 'No node of this cluster answers.', {
      exit: EXIT.unreachable,
      hint: 'repctl status',
    });
  }
  if (from.epochs.length === 0) {
    throw new RepctlError('not-created', 'This cluster has no history: it was not created yet.', {
      hint: 'repctl cluster create',
    });
  }
  return {
    readFrom: from.name,
    leader: leaderOf(snapshot)?.name ?? from.epochs[0]?.leader ?? null,
    epochs: from.epochs,
    events: from.events,
    unreachable: unseenNodes(snapshot),
  };
}
