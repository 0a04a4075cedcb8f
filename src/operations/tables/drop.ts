/** Planning `publication drop`: the leader's publication first, so that nothing more is sent. Pure. */
import type { TableName } from '../../cluster/model.js';
import { planned, type Planned, refused } from '../../plan/plan.js';
import { tableKey } from '../../replication/publications.js';
import type { TablesAction, TablesStep } from './actions.js';
import type { NodeTable, TablesState } from './model.js';
import { dropObstacles, notReady, unsubscribedOthers } from './obstacles.js';
import { leaderFirst, publishedRoot, tableOn, unfinishedTables, unique } from './state.js';
import { stepOf } from './steps.js';

export function planDropTables(state: TablesState, request: readonly TableName[]): Planned<TablesAction> {
  const operation = 'publication-drop';
  const unfinished = unfinishedTables(state, 'drop');
  const known = state.nodes.flatMap((node) => node.tables);
  const tables = unique([...request, ...known.filter((table) => unfinished.includes(tableKey(table)))]);
  const begun = [...unfinished, ...unfinishedTables(state, 'add')];
  const open = tables.filter(
    (table) =>
      (begun.includes(tableKey(table)) || state.nodes.some((node) => leftover(tableOn(node, table)))) &&
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
    if (leader !== undefined && tableOn(leader, table)?.published)
      steps.push(stepOf({ kind: 'unpublish-table', node: leader.name, table, leads: true }));
    for (const node of replicas) {
      const one = tableOn(node, table);
      if (one?.subscribed === true && node.subscription !== null)
        steps.push(
          stepOf(
            { kind: 'detach-table', node: node.name, subscription: node.subscription, table },
            `detach:${key}`,
          ),
        );
    }
    for (const node of replicas)
      if (tableOn(node, table)?.published)
        steps.push(
          stepOf({ kind: 'unpublish-table', node: node.name, table, leads: false }, `unpublish:${key}`),
        );
    for (const node of state.nodes) {
      const one = tableOn(node, table);
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
