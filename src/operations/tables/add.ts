/**
 * Planning `publication add`. Pure.
 *
 * Order, table by table, since one REFRESH takes up everything new with one choice of copy_data:
 * fence everywhere (the leader's disabled) → the replicas' publications, so that their standby slots decode the
 * table from its first change on → the leader's publication → each replica's subscription. Then, once the rows
 * are there, an event ends it, and the standby slots are moved past the copies: the copy's own transactions
 * would otherwise ship to a sibling a second time.
 */
import type { TableName } from '../../cluster/model.js';
import { planned, type Planned, refused } from '../../plan/plan.js';
import { compareLsn } from '../../postgres/lsn.js';
import { compareTables, tableKey } from '../../replication/publications.js';
import type { TablesAction, TablesStep } from './actions.js';
import type { NodeTable, NodeTables, TablesState } from './model.js';
import { addObstacles, notReady, unsubscribedOthers } from './obstacles.js';
import {
  barrierOf,
  isComplete,
  leaderFirst,
  tableOn,
  unfinishedTables,
  unique,
  wantedFence,
} from './state.js';
import { stepOf } from './steps.js';

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
  const waiting = replicas.filter((node) => open.some((table) => copying(tableOn(node, table))));
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
    if (tableOn(node, table)?.fence !== wantedFence(state, node))
      steps.push(
        stepOf(
          { kind: 'fence', node: node.name, table, enabled: node.name !== state.leader },
          `fence:${key}`,
        ),
      );
  }
  for (const node of replicas) {
    if (tableOn(node, table)?.published !== true)
      steps.push(stepOf({ kind: 'publish-table', node: node.name, table, leads: false }, `publish:${key}`));
  }
  if (leader !== undefined && tableOn(leader, table)?.published !== true)
    steps.push(stepOf({ kind: 'publish-table', node: leader.name, table, leads: true }));
  for (const node of replicas) {
    const one = tableOn(node, table);
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
    const missing = replicas.filter((node) => tableOn(node, table)?.sync === null);
    const copied = missing.filter((node) => tableOn(node, table)?.empty).map((node) => node.name);
    const proved = missing.filter((node) => !tableOn(node, table)?.empty).map((node) => node.name);
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

/** Those that the leader publishes already come first: a refresh must not meet two new tables at once. */
function inOrder(state: TablesState, tables: readonly TableName[]): readonly TableName[] {
  const { leader } = leaderFirst(state);
  const rank = (table: TableName): number =>
    leader !== undefined && tableOn(leader, table)?.published === true ? 0 : 1;
  return [...tables].sort((a, b) => rank(a) - rank(b) || compareTables(a, b));
}
