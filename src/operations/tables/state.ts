/** Questions to the state of the tables. Pure. */
import type { FenceState, TableName } from '../../cluster/model.js';
import type { Lsn } from '../../postgres/lsn.js';
import { compareTables, tableKey } from '../../replication/publications.js';
import type { NodeTable, NodeTables, TablesState, TableVerb } from './model.js';

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
export function barrierOf(state: TablesState): Lsn | null {
  return (
    state.events.findLast(
      (event) => event.verb === 'add' && event.phase === 'end' && event.epoch === state.epoch,
    )?.lsn ?? null
  );
}

/** The table as that node has it. */
export const tableOn = (node: NodeTables, table: TableName): NodeTable | undefined =>
  node.tables.find((one) => tableKey(one) === tableKey(table));

export const wantedFence = (state: TablesState, node: NodeTables): FenceState =>
  node.name === state.leader ? 'disabled' : 'enabled';

export const leaderFirst = (state: TablesState) => ({
  leader: state.nodes.find((node) => node.name === state.leader),
  replicas: state.nodes.filter((node) => node.name !== state.leader),
});

/** Replicated everywhere: fenced, published, and ready on every replica. */
export const isComplete = (state: TablesState, table: TableName): boolean =>
  state.nodes.every((node) => {
    const one = tableOn(node, table);
    return (
      one?.published === true &&
      one.fence === wantedFence(state, node) &&
      (node.name === state.leader || one.sync === 'r')
    );
  });

export function publishedRoot(state: TablesState, table: TableName): TableName | undefined {
  for (const node of state.nodes) {
    const ancestors = tableOn(node, table)?.ancestors ?? [];
    const root = ancestors.find((ancestor) => tableOn(node, ancestor)?.published);
    if (root !== undefined) return root;
  }
  return undefined;
}

export function unique(tables: readonly TableName[]): readonly TableName[] {
  const byKey = new Map(tables.map(({ schema, name }) => [tableKey({ schema, name }), { schema, name }]));
  return [...byKey.values()].sort(compareTables);
}
