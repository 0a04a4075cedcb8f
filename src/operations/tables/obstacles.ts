/** Why tables cannot be added or dropped now. Pure. */
import type { Finding, TableName } from '../../cluster/model.js';
import { tableKey } from '../../replication/publications.js';
import type { NodeTable, TablesState } from './model.js';
import { leaderFirst, publishedRoot, tableOn, unfinishedTables } from './state.js';

const finding = (code: string, message: string, fix?: string, node?: string): Finding => ({
  code,
  severity: 'error',
  message,
  ...(node === undefined ? {} : { node }),
  ...(fix === undefined ? {} : { fix }),
});

export function notReady(state: TablesState): Finding[] {
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
export function unsubscribedOthers(state: TablesState, open: readonly TableName[]): Finding[] {
  const keys = new Set(open.map(tableKey));
  const { leader, replicas } = leaderFirst(state);
  const others = (leader?.tables ?? []).filter(
    (table) =>
      table.published &&
      !keys.has(tableKey(table)) &&
      replicas.some((node) => node.subscription !== null && tableOn(node, table)?.sync === null),
  );
  return others.map((table) =>
    finding(
      'table-unsubscribed',
      `${tableKey(table)} is published, but not every replica has subscribed to it.`,
      `repctl publication add ${tableKey(table)}`,
    ),
  );
}

export function addObstacles(state: TablesState, table: TableName): Finding[] {
  const key = tableKey(table);
  if (table.schema === 'repctl') return [finding('own-table', `${key} is repctl's own.`)];
  const nodes = state.nodes.map((node) => ({ name: node.name, table: tableOn(node, table) }));
  const findings = tableFindings(table, state.leader, nodes);
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

/** What decides whether a table can be replicated. */
export type TableFacts = Pick<
  NodeTable,
  'schema' | 'name' | 'kind' | 'permanent' | 'columns' | 'identifiable'
>;

export interface TableOnNode {
  readonly name: string;
  /** undefined where the node has no such table. */
  readonly table: TableFacts | undefined;
}

/** Why a table cannot be replicated from `leader` to the other nodes; empty when it can. */
export function tableFindings(table: TableName, leader: string, nodes: readonly TableOnNode[]): Finding[] {
  const key = tableKey(table);
  const model = nodes.find((node) => node.name === leader)?.table;
  return nodes.flatMap(({ name, table: one }) => {
    if (one === undefined)
      return [
        finding(
          'table-missing',
          `${name} has no table ${key}.`,
          `Create it on ${name} with the same columns: replication does not carry CREATE TABLE.`,
          name,
        ),
      ];
    const findings: Finding[] = [];
    if (!['r', 'p'].includes(one.kind) || !one.permanent)
      findings.push(
        finding(
          'table-kind',
          `${key} on ${name} is no permanent table, and cannot be replicated.`,
          undefined,
          name,
        ),
      );
    if (!one.identifiable)
      findings.push(
        finding(
          'replica-identity',
          `${key} on ${name} has no primary key: an UPDATE or DELETE could not name its row.`,
          `ALTER TABLE ${key} ADD PRIMARY KEY (…), or ALTER TABLE ${key} REPLICA IDENTITY FULL (slow), on every node.`,
          name,
        ),
      );
    if (model !== undefined && name !== leader) findings.push(...schemaDrift(name, one, model));
    return findings;
  });
}

function schemaDrift(node: string, one: TableFacts, model: TableFacts): Finding[] {
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

export function dropObstacles(
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
