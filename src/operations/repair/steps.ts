/** A repair action as a step that an operator can read. */
import { literal, qualified } from '../../postgres/quote.js';
import { tableKey } from '../../replication/publications.js';
import type { Differences, RepairAction, RepairStep } from './model.js';

export interface StepFacts {
  readonly counts: readonly Differences[];
  /** Statements row by row; empty: the outline alone. */
  readonly sql: readonly string[];
}

export function stepOf(action: RepairAction, facts: StepFacts = { counts: [], sql: [] }): RepairStep {
  if (action.kind === 'record')
    return {
      id: `record:${action.leader}`,
      node: action.leader,
      title: `record it on ${action.leader}`,
      why: 'for the history; it travels in the stream, as everything else does',
      sql: [`insert into repctl.event (kind, …) values (${literal('repair')}, …)`],
      action,
    };
  if (action.kind === 'clear-way')
    return {
      id: `clear-way:${action.node}`,
      node: action.node,
      title: `let the stream of ${action.node} go on: remove what stands in its way`,
      why: 'a row there has a unique value that the next transaction needs, or an exclusion constraint keeps one of its rows out by it; it is kept in a file, and comes back below if the leader has it',
      sql: [
        'begin',
        'lock table … in share row exclusive mode',
        '-- fence and triggers off; only if the transaction has still not been applied: delete the row',
        'commit',
        '-- until the replica has caught up, for whatever stops it next',
      ],
      group: 'clear-way',
      action,
    };
  const { node, leader, tables, compare } = action;
  if (compare !== undefined)
    return {
      id: `set-right:${node}`,
      node,
      title: `compare ${node} again and set right what differs then`,
      why: `it can be known only once the stream goes on; at most ${compare.maxRows.toLocaleString('en-US')} rows, each proven under lock`,
      sql: [`-- as repctl repair --node ${node}`],
      group: 'set-right',
      action,
    };
  const names = tables.map(({ table }) => qualified(table)).join(', ');
  return {
    id: `set-right:${node}`,
    node,
    title: `set right on ${node}: ${facts.counts
      .filter((one) => tables.some(({ table }) => tableKey(table) === tableKey(one)))
      .map(describe)
      .join('; ')}`,
    why: `in one transaction, while the table is locked there against all but readers; a row is written only if it is proven once more that ${leader} had precisely it at that point of the stream. What it was is kept in a file`,
    sql: [
      'begin',
      `lock table ${names} in share row exclusive mode`,
      ...(facts.sql.length > 0
        ? facts.sql
        : [`-- fence and triggers off; the rows that differ: delete, then insert as ${leader} has them`]),
      'commit',
    ],
    group: 'set-right',
    action,
  };
}

function describe(one: Differences): string {
  const counts = (['missing', 'extra', 'differing', 'undecided'] as const)
    .filter((kind) => one[kind] > 0)
    .map((kind) => `${one[kind].toLocaleString('en-US')} ${kind}`);
  return `${tableKey(one)} ${counts.join(', ')}`;
}
