/**
 * `publication add` and `publication drop`: what a running cluster replicates, changed on every node alike. Pure.
 *
 * Order of an addition, table by table, since one REFRESH takes up everything new with one choice of copy_data:
 * fence everywhere (the leader's disabled) → the replicas' publications, so that their standby slots decode the
 * table from its first change on → the leader's publication → each replica's subscription. Then, once the rows
 * are there, an event ends it, and the standby slots are moved past the copies: the copy's own transactions
 * would otherwise ship to a sibling a second time.
 *
 * A row in repctl.event marks the beginning, another the end: what lies between is unfinished, whoever asks, and
 * any later run takes it up. After any prefix of its steps, planning again gives the rest.
 */
import type { FenceState, Finding, TableName, TableSyncState } from '../cluster/model.js';
import { type Lsn, compareLsn } from '../postgres/lsn.js';
import { type Planned, type Step, planned, refused } from '../plan/plan.js';
import { compareTables, tableKey } from '../replication/publications.js';
import { stepOf } from './tables-steps.js';

/** One table as one node has it. */
export interface NodeTable extends TableName {
  /** `r`, `p`, or what else the catalog says. */
  readonly kind: string;
  readonly permanent: boolean;
  /** A partitioned table above it, if one is published or asked for in its stead. */
  readonly ancestors: readonly TableName[];
  /** `name type` of each column, generated ones left out. */
  readonly columns: readonly string[];
  /** Changed rows can be named: a primary key, a replica identity index, or FULL. */
  readonly identifiable: boolean;
  /** Listed in publication repctl. */
  readonly published: boolean;
  /** Of the table and all its partitions; `missing` if any lacks it. */
  readonly fence: FenceState;
  /** In the node's own subscription: the least advanced of its partitions, null when one is not in it. */
  readonly sync: TableSyncState | null;
  /** Some partition (or the table) is in the subscription. */
  readonly subscribed: boolean;
  /** Read only where the table is not subscribed yet. */
  readonly empty: boolean;
}

export interface NodeTables {
  readonly name: string;
  readonly tables: readonly NodeTable[];
  /** Its enabled subscription to the present leader. */
  readonly subscription: string | null;
  readonly bases: readonly { readonly sibling: string; readonly epoch: number; readonly baseLsn: Lsn }[];
}

export type TableVerb = 'add' | 'drop';

/** A row of repctl.event of kind `publication-<verb>` or `publication-<verb>-begin`. */
export interface TableEvent {
  readonly verb: TableVerb;
  readonly phase: 'begin' | 'end';
  /** tableKey()s. */
  readonly tables: readonly string[];
  readonly epoch: number;
  /** Of an end: a position of the leader's WAL after all copies; standby slots must begin past it. */
  readonly lsn: Lsn | null;
}

export interface TablesState {
  readonly epoch: number;
  readonly leader: string;
  /** Every configured node. */
  readonly nodes: readonly NodeTables[];
  /** Oldest first. */
  readonly events: readonly TableEvent[];
}

export type TablesAction =
  | {
      readonly kind: 'begin';
      readonly verb: TableVerb;
      readonly leader: string;
      readonly epoch: number;
      readonly tables: readonly TableName[];
    }
  | { readonly kind: 'fence'; readonly node: string; readonly table: TableName; readonly enabled: boolean }
  | {
      readonly kind: 'publish-table';
      readonly node: string;
      readonly table: TableName;
      readonly leads: boolean;
    }
  | {
      readonly kind: 'attach-table';
      readonly node: string;
      readonly leader: string;
      readonly epoch: number;
      readonly subscription: string;
      readonly table: TableName;
      readonly copy: boolean;
    }
  | {
      readonly kind: 'await-tables';
      readonly nodes: readonly string[];
      readonly leader: string;
      readonly epoch: number;
    }
  | {
      readonly kind: 'unpublish-table';
      readonly node: string;
      readonly table: TableName;
      readonly leads: boolean;
    }
  | {
      readonly kind: 'detach-table';
      readonly node: string;
      readonly subscription: string;
      readonly table: TableName;
    }
  | { readonly kind: 'unfence'; readonly node: string; readonly table: TableName }
  | {
      readonly kind: 'end';
      readonly verb: TableVerb;
      readonly leader: string;
      readonly epoch: number;
      readonly nodes: readonly string[];
      readonly tables: readonly TableName[];
    }
  | {
      readonly kind: 'move-standby';
      readonly node: string;
      readonly siblings: readonly string[];
      readonly epoch: number;
      readonly past: Lsn | null;
    };

export type TablesStep = Step<TablesAction>;

const finding = (code: string, message: string, fix?: string, node?: string): Finding => ({
  code,
  severity: 'error',
  message,
  ...(node === undefined ? {} : { node }),
  ...(fix === undefined ? {} : { fix }),
});

/** Tables whose last `begin` of this verb has no `end`, and no `begin` of the other verb after it. */
export function unfinishedTables(state: TablesState, verb: TableVerb): readonly string[] {
  const open = new Set<string>();
  for (const event of state.events) {
    for (const table of event.tables) {
      if (event.verb === verb && event.phase === 'begin') open.add(table);
      else open.delete(table);
    }
  }
  return [...open];
}

/** The position that standby slots must begin past, of the last finished addition in this epoch. */
function barrierOf(state: TablesState): Lsn | null {
  return (
    state.events.findLast(
      (event) => event.verb === 'add' && event.phase === 'end' && event.epoch === state.epoch,
    )?.lsn ?? null
  );
}

const on = (node: NodeTables, table: TableName): NodeTable | undefined =>
  node.tables.find((one) => tableKey(one) === tableKey(table));

const wantedFence = (state: TablesState, node: NodeTables): FenceState =>
  node.name === state.leader ? 'disabled' : 'enabled';

const leaderFirst = (state: TablesState) => ({
  leader: state.nodes.find((node) => node.name === state.leader),
  replicas: state.nodes.filter((node) => node.name !== state.leader),
});

/** Replicated everywhere: fenced, published, and ready on every replica. */
const isComplete = (state: TablesState, table: TableName): boolean =>
  state.nodes.every((node) => {
    const one = on(node, table);
    return (
      one?.published === true &&
      one.fence === wantedFence(state, node) &&
      (node.name === state.leader || one.sync === 'r')
    );
  });

// ---- add ---------------------------------------------------------------------------------------------------

export function planAddTables(state: TablesState, request: readonly TableName[]): Planned<TablesAction> {
  const operation = 'publication-add';
  const unfinished = unfinishedTables(state, 'add');
  const known = state.nodes.flatMap((node) => node.tables);
  const resumed = known.filter((table) => unfinished.includes(tableKey(table)));
  const tables = unique([...request, ...resumed]);
  const open = inOrder(
    state,
    tables.filter((table) => unfinished.includes(tableKey(table)) || !isComplete(state, table)),
  );
  const findings = [
    ...notReady(state),
    ...unsubscribedOthers(state, open),
    ...open.flatMap((table) => addObstacles(state, table)),
  ];
  if (findings.length > 0) return refused(operation, findings);

  const steps: TablesStep[] = [];
  const { leader, replicas } = leaderFirst(state);
  const fresh = open.filter((table) => !unfinished.includes(tableKey(table)));
  if (fresh.length > 0)
    steps.push(
      stepOf({ kind: 'begin', verb: 'add', leader: state.leader, epoch: state.epoch, tables: fresh }),
    );
  for (const table of open) steps.push(...addSteps(state, table, leader, replicas));
  const names = replicas.map((node) => node.name);
  // What is proved instead of copied is ready at once.
  const copying = (one: NodeTable | undefined) => (one?.sync === null ? one.empty : one?.sync !== 'r');
  const waiting = replicas.filter((node) => open.some((table) => copying(on(node, table))));
  if (waiting.length > 0)
    steps.push(
      stepOf({
        kind: 'await-tables',
        nodes: waiting.map((node) => node.name),
        leader: state.leader,
        epoch: state.epoch,
      }),
    );
  if (open.length > 0)
    steps.push(
      stepOf({
        kind: 'end',
        verb: 'add',
        leader: state.leader,
        epoch: state.epoch,
        nodes: names,
        tables: open,
      }),
    );
  steps.push(...standbySteps(state, replicas, open.length > 0));
  return planned({
    operation,
    title: `Replicate ${tables.map(tableKey).join(', ')}`,
    notes: notesOf(state, open, replicas, request),
    steps,
  });
}

function addSteps(
  state: TablesState,
  table: TableName,
  leader: NodeTables | undefined,
  replicas: readonly NodeTables[],
): TablesStep[] {
  const key = tableKey(table);
  const steps: TablesStep[] = [];
  for (const node of state.nodes) {
    if (on(node, table)?.fence !== wantedFence(state, node))
      steps.push(
        stepOf(
          { kind: 'fence', node: node.name, table, enabled: node.name !== state.leader },
          `fence:${key}`,
        ),
      );
  }
  for (const node of replicas) {
    if (on(node, table)?.published !== true)
      steps.push(stepOf({ kind: 'publish-table', node: node.name, table, leads: false }, `publish:${key}`));
  }
  if (leader !== undefined && on(leader, table)?.published !== true)
    steps.push(stepOf({ kind: 'publish-table', node: leader.name, table, leads: true }));
  for (const node of replicas) {
    const one = on(node, table);
    if (one?.sync === null && node.subscription !== null)
      steps.push(
        stepOf(
          {
            kind: 'attach-table',
            node: node.name,
            leader: state.leader,
            epoch: state.epoch,
            subscription: node.subscription,
            table,
            copy: one.empty,
          },
          // Proofs hold a lock on the leader, copies do not: only these run side by side.
          one.empty ? `attach:${key}` : undefined,
        ),
      );
  }
  return steps;
}

/** Slots that begin before the last addition's copies; all of them when one is about to end. */
function standbySteps(state: TablesState, replicas: readonly NodeTables[], ending: boolean): TablesStep[] {
  const past = barrierOf(state);
  return replicas.flatMap((node) => {
    const siblings = node.bases
      .filter(
        (base) =>
          base.epoch === state.epoch && (ending || (past !== null && compareLsn(base.baseLsn, past) < 0)),
      )
      .map((base) => base.sibling);
    if (siblings.length === 0) return [];
    return [
      stepOf(
        { kind: 'move-standby', node: node.name, siblings, epoch: state.epoch, past: ending ? null : past },
        'move-standby',
      ),
    ];
  });
}

function notesOf(
  state: TablesState,
  open: readonly TableName[],
  replicas: readonly NodeTables[],
  request: readonly TableName[],
): string[] {
  const notes: string[] = [];
  const asked = new Set(request.map(tableKey));
  for (const table of open) {
    const key = tableKey(table);
    if (!asked.has(key)) notes.push(`${key}: an addition that was interrupted is finished too`);
    const missing = replicas.filter((node) => on(node, table)?.sync === null);
    const copied = missing.filter((node) => on(node, table)?.empty).map((node) => node.name);
    const proved = missing.filter((node) => !on(node, table)?.empty).map((node) => node.name);
    if (copied.length > 0) notes.push(`${key}: empty on ${copied.join(', ')}, copied from ${state.leader}`);
    if (proved.length > 0)
      notes.push(
        `${key}: not empty on ${proved.join(', ')}, so it must be equal to ${state.leader}'s, row by row; nothing is copied`,
      );
  }
  if (open.length === 0 && request.length > 0)
    notes.push(`${request.map(tableKey).join(', ')}: replicated already`);
  return notes;
}

// ---- drop --------------------------------------------------------------------------------------------------

export function planDropTables(state: TablesState, request: readonly TableName[]): Planned<TablesAction> {
  const operation = 'publication-drop';
  const unfinished = unfinishedTables(state, 'drop');
  const known = state.nodes.flatMap((node) => node.tables);
  const tables = unique([...request, ...known.filter((table) => unfinished.includes(tableKey(table)))]);
  const begun = [...unfinished, ...unfinishedTables(state, 'add')];
  const open = tables.filter(
    (table) =>
      (begun.includes(tableKey(table)) || state.nodes.some((node) => leftover(on(node, table)))) &&
      publishedRoot(state, table) === undefined,
  );
  const findings = [
    ...notReady(state),
    ...unsubscribedOthers(state, open),
    ...dropObstacles(state, request, open),
  ];
  if (findings.length > 0) return refused(operation, findings);

  const steps: TablesStep[] = [];
  const { leader, replicas } = leaderFirst(state);
  const fresh = open.filter((table) => !unfinished.includes(tableKey(table)));
  if (fresh.length > 0)
    steps.push(
      stepOf({ kind: 'begin', verb: 'drop', leader: state.leader, epoch: state.epoch, tables: fresh }),
    );
  for (const table of open) {
    const key = tableKey(table);
    if (leader !== undefined && on(leader, table)?.published)
      steps.push(stepOf({ kind: 'unpublish-table', node: leader.name, table, leads: true }));
    for (const node of replicas) {
      const one = on(node, table);
      if (one?.subscribed === true && node.subscription !== null)
        steps.push(
          stepOf(
            { kind: 'detach-table', node: node.name, subscription: node.subscription, table },
            `detach:${key}`,
          ),
        );
    }
    for (const node of replicas)
      if (on(node, table)?.published)
        steps.push(
          stepOf({ kind: 'unpublish-table', node: node.name, table, leads: false }, `unpublish:${key}`),
        );
    for (const node of state.nodes) {
      const one = on(node, table);
      if ((one?.fence ?? 'missing') !== 'missing')
        steps.push(stepOf({ kind: 'unfence', node: node.name, table }, `unfence:${key}`));
    }
  }
  if (open.length > 0)
    steps.push(
      stepOf({
        kind: 'end',
        verb: 'drop',
        leader: state.leader,
        epoch: state.epoch,
        nodes: replicas.map((node) => node.name),
        tables: open,
      }),
    );
  return planned({
    operation,
    title: `Stop replicating ${tables.map(tableKey).join(', ')}`,
    notes:
      open.length === 0
        ? [`${tables.map(tableKey).join(', ')}: not replicated`]
        : [
            'Rows stay on every node, and from then on each node is written to by itself: the fence goes with the publication.',
          ],
    steps,
  });
}

const leftover = (table: NodeTable | undefined): boolean =>
  table !== undefined && (table.published || table.subscribed || table.fence !== 'missing');

function dropObstacles(
  state: TablesState,
  request: readonly TableName[],
  open: readonly TableName[],
): Finding[] {
  const findings: Finding[] = [];
  const keys = new Set(open.map(tableKey));
  for (const table of request) {
    const key = tableKey(table);
    if (table.schema === 'repctl')
      findings.push(
        finding('own-table', `${key} is repctl's own: its epochs and events travel in the stream.`),
      );
    const root = publishedRoot(state, table);
    if (!keys.has(key) && root !== undefined)
      findings.push(
        finding(
          'partition',
          `${key} is a partition of ${tableKey(root)} and goes with it.`,
          `repctl publication drop ${tableKey(root)}`,
        ),
      );
  }
  const half = unfinishedTables(state, 'add').filter((key) => !keys.has(key));
  if (half.length > 0)
    findings.push(
      finding(
        'operation-unfinished',
        `The addition of ${half.join(', ')} is not finished.`,
        `repctl publication add ${half.join(' ')}`,
      ),
    );
  return findings;
}

// ---- refusals ----------------------------------------------------------------------------------------------

function notReady(state: TablesState): Finding[] {
  return state.nodes
    .filter((node) => node.name !== state.leader && node.subscription === null)
    .map((node) =>
      finding(
        'node-detached',
        `${node.name} does not follow ${state.leader}; tables change on all nodes alike.`,
        `repctl rewire ${node.name}`,
        node.name,
      ),
    );
}

/**
 * What the leader publishes and a replica has not subscribed to, besides the tables at hand: a refresh would take
 * it up with their choice of copy_data, and lose its rows or fail on them.
 */
function unsubscribedOthers(state: TablesState, open: readonly TableName[]): Finding[] {
  const keys = new Set(open.map(tableKey));
  const { leader, replicas } = leaderFirst(state);
  const others = (leader?.tables ?? []).filter(
    (table) =>
      table.published &&
      !keys.has(tableKey(table)) &&
      replicas.some((node) => node.subscription !== null && on(node, table)?.sync === null),
  );
  return others.map((table) =>
    finding(
      'table-unsubscribed',
      `${tableKey(table)} is published, but not every replica has subscribed to it.`,
      `repctl publication add ${tableKey(table)}`,
    ),
  );
}

/** Those that the leader publishes already come first: a refresh must not meet two new tables at once. */
function inOrder(state: TablesState, tables: readonly TableName[]): readonly TableName[] {
  const { leader } = leaderFirst(state);
  const rank = (table: TableName): number =>
    leader !== undefined && on(leader, table)?.published === true ? 0 : 1;
  return [...tables].sort((a, b) => rank(a) - rank(b) || compareTables(a, b));
}

function addObstacles(state: TablesState, table: TableName): Finding[] {
  const key = tableKey(table);
  if (table.schema === 'repctl') return [finding('own-table', `${key} is repctl's own.`)];
  const findings: Finding[] = [];
  const leaders = state.nodes.find((node) => node.name === state.leader);
  const model = leaders === undefined ? undefined : on(leaders, table);
  for (const node of state.nodes) {
    const one = on(node, table);
    if (one === undefined) {
      findings.push(
        finding(
          'table-missing',
          `${node.name} has no table ${key}.`,
          `Create it on ${node.name} with the same columns: replication does not carry CREATE TABLE.`,
          node.name,
        ),
      );
      continue;
    }
    if (!['r', 'p'].includes(one.kind) || !one.permanent)
      findings.push(
        finding(
          'table-kind',
          `${key} on ${node.name} is no permanent table, and cannot be replicated.`,
          undefined,
          node.name,
        ),
      );
    if (!one.identifiable)
      findings.push(
        finding(
          'replica-identity',
          `${key} on ${node.name} has no primary key: an UPDATE or DELETE could not name its row.`,
          `ALTER TABLE ${key} ADD PRIMARY KEY (…), or ALTER TABLE ${key} REPLICA IDENTITY FULL (slow), on every node.`,
          node.name,
        ),
      );
    if (model !== undefined && node.name !== state.leader)
      findings.push(...schemaDrift(node.name, one, model));
  }
  const root = publishedRoot(state, table);
  if (root !== undefined)
    findings.push(
      finding(
        'partition',
        `${key} is a partition of ${tableKey(root)}, which is replicated with all its partitions.`,
      ),
    );
  return findings;
}

function schemaDrift(node: string, one: NodeTable, model: NodeTable): Finding[] {
  const lacking = model.columns.filter((column) => !one.columns.includes(column));
  if (lacking.length === 0 && one.kind === model.kind) return [];
  return [
    finding(
      'schema-drift',
      `${tableKey(one)} on ${node} is not as on the leader: ${lacking.length > 0 ? `it lacks ${lacking.join(', ')}` : 'one is partitioned, the other not'}.`,
      'Make its columns alike on every node.',
      node,
    ),
  ];
}

function publishedRoot(state: TablesState, table: TableName): TableName | undefined {
  for (const node of state.nodes) {
    const ancestors = on(node, table)?.ancestors ?? [];
    const root = ancestors.find((ancestor) => on(node, ancestor)?.published);
    if (root !== undefined) return root;
  }
  return undefined;
}

function unique(tables: readonly TableName[]): readonly TableName[] {
  const byKey = new Map(tables.map(({ schema, name }) => [tableKey({ schema, name }), { schema, name }]));
  return [...byKey.values()].sort(compareTables);
}
