/**
 * Constraints, indexes, triggers and what is published of a table on a replica against the leader's; pure. Severities
 * as in schema.ts: `error` breaks apply, `warning` hurts once the replica leads, `info` is harmless.
 */
import type { Finding, TableName } from '../cluster/model.js';
import type { ConstraintShape, TableDefinition, TriggerShape } from './definition.js';
import type { SchemaFinding } from './schema.js';

type Difference = readonly [code: string, severity: Finding['severity'], message: string];

/** All findings on one table of one replica. */
export function compareDefinitions(
  leader: TableDefinition,
  node: TableDefinition,
  { schema, name }: TableName,
  replica: string,
): SchemaFinding[] {
  return [
    ...compareConstraints(leader.constraints, node.constraints),
    ...compareIndexes(leader, node),
    ...compareIdentity(leader, node),
    ...compareTriggers(leader.triggers, node.triggers),
    ...compareLabels(leader, node),
    ...compareRowSecurity(leader, node),
    ...comparePublished(leader, node),
  ].map(([code, severity, message]) => ({ code, severity, node: replica, schema, name, message }));
}

const KINDS: Readonly<Record<string, string>> = { c: 'check', f: 'foreign key', x: 'exclusion' };

/** By definition: a constraint of another name does the same. */
function compareConstraints(
  leader: readonly ConstraintShape[],
  node: readonly ConstraintShape[],
): Difference[] {
  const found: Difference[] = [];
  const has = (list: readonly ConstraintShape[], { type, definition }: ConstraintShape) =>
    list.find((other) => other.type === type && other.definition === definition);
  for (const constraint of node) {
    const { type, name, definition, validated } = constraint;
    const kind = KINDS[type] ?? type;
    const ours = has(leader, constraint);
    if (ours === undefined && type === 'f')
      found.push([
        'foreign-key-extra',
        'warning',
        `foreign key ${name} is only here: it holds for clients, not for replicated rows (${definition})`,
      ]);
    else if (ours === undefined)
      found.push([
        `${kind}-extra`,
        'error',
        `${kind} constraint ${name} is only here: rows of the leader may violate it (${definition})`,
      ]);
    else if (ours.validated && !validated)
      found.push(['constraint-not-valid', 'info', `${kind} constraint ${name} was not validated here`]);
  }
  for (const constraint of leader.filter((candidate) => has(node, candidate) === undefined)) {
    const kind = KINDS[constraint.type] ?? constraint.type;
    found.push([
      `${kind.replace(' ', '-')}-missing`,
      'warning',
      `${kind} constraint ${constraint.name} is missing (${constraint.definition})`,
    ]);
  }
  return found;
}

function compareIndexes(leader: TableDefinition, node: TableDefinition): Difference[] {
  return [
    ...leader.indexes
      .filter((index) => !node.indexes.includes(index))
      .map((index): Difference => ['index-missing', 'warning', `index ${index} is missing`]),
    ...node.indexes
      .filter((index) => !leader.indexes.includes(index))
      .map((index): Difference => ['index-extra', 'info', `index ${index} is only here`]),
    ...node.invalid.map((index): Difference => [
      'index-invalid',
      'warning',
      `index ${index} was never finished: reindex index concurrently, or drop it`,
    ]),
  ];
}

const IDENTITIES: Readonly<Record<string, string>> = {
  d: 'the primary key',
  n: 'nothing',
  f: 'the whole row',
};
const identityText = (identity: string): string => IDENTITIES[identity] ?? `index ${identity.slice(2)}`;

function compareIdentity(leader: TableDefinition, node: TableDefinition): Difference[] {
  const found: Difference[] = [];
  if (leader.identity !== node.identity)
    found.push([
      'replica-identity',
      'warning',
      `replica identity is ${identityText(node.identity)} instead of ${identityText(leader.identity)}`,
    ]);
  if (node.bound !== leader.bound)
    found.push([
      'partition-bound',
      'error',
      node.bound === null
        ? `it is no partition here, on the leader one ${leader.bound ?? ''}: queries of the whole do not see its rows`
        : `as a partition it takes rows ${node.bound} alone, on the leader ${leader.bound ?? 'any'}`,
    ]);
  return found;
}

const firesInApply = ({ enabled }: TriggerShape): boolean => enabled === 'A' || enabled === 'R';

function compareTriggers(leader: readonly TriggerShape[], node: readonly TriggerShape[]): Difference[] {
  const found: Difference[] = [];
  const ours = new Map(leader.map((trigger) => [trigger.name, trigger]));
  for (const trigger of node) {
    const { name, enabled, definition, changesRows } = trigger;
    if (firesInApply(trigger))
      found.push([
        'trigger-fires',
        'warning',
        `trigger ${name} (enable ${enabled === 'A' ? 'always' : 'replica'}) fires for replicated rows${changesRows ? ', and may change them' : ''}`,
      ]);
    const other = ours.get(name);
    if (other === undefined) found.push(['trigger-extra', 'warning', `trigger ${name} is only here`]);
    else if (other.definition !== definition)
      found.push(['trigger-differs', 'warning', `trigger ${name} is another one than on the leader`]);
    else if (other.enabled !== enabled && !firesInApply(trigger))
      found.push([
        'trigger-differs',
        'warning',
        `trigger ${name} is ${enabled === 'D' ? 'disabled' : 'enabled'} here`,
      ]);
  }
  const theirs = new Set(node.map(({ name }) => name));
  for (const { name } of leader.filter((trigger) => !theirs.has(trigger.name)))
    found.push(['trigger-missing', 'warning', `trigger ${name} is missing`]);
  return found;
}

function compareLabels(leader: TableDefinition, node: TableDefinition): Difference[] {
  const theirs = new Map(node.labels.map(({ column, labels }) => [column, labels]));
  return leader.labels.flatMap(({ column, labels }): Difference[] => {
    const known = theirs.get(column);
    if (known === undefined) return []; // no enum here: the column's type differs, which schema.ts tells
    const missing = labels.filter((label) => !known.includes(label));
    if (missing.length > 0)
      return [['enum-label-missing', 'error', `column ${column} knows no ${missing.join(', ')}`]];
    const extra = known.filter((label) => !labels.includes(label));
    if (extra.length > 0)
      return [['enum-label-extra', 'info', `column ${column} also knows ${extra.join(', ')}`]];
    return labels.join('\0') === known.join('\0')
      ? []
      : [['enum-order', 'warning', `values of column ${column} are ordered otherwise`]];
  });
}

function compareRowSecurity(leader: TableDefinition, node: TableDefinition): Difference[] {
  if (node.rowSecurityBlocksApply)
    return [
      [
        'row-security',
        'error',
        "row-level security is forced on the table's owner, who applies changes: apply refuses the table",
      ],
    ];
  if (leader.rowSecurity === node.rowSecurity) return [];
  return [['row-security', 'warning', `row-level security is ${node.rowSecurity ? 'on' : 'off'} here alone`]];
}

/** What the replica's own publication would send, once it leads. */
function comparePublished(leader: TableDefinition, node: TableDefinition): Difference[] {
  const found: Difference[] = [];
  if (leader.published === null) return found;
  if (node.published === null)
    return [
      [
        'not-published',
        'warning',
        'its own publication lacks the table: nothing of it is sent once it leads',
      ],
    ];
  // Columns that only one of them has are told of elsewhere.
  const common = leader.columns.filter((column) => node.columns.includes(column));
  const listed = ({ published }: TableDefinition) =>
    common.filter((column) => published?.columns.includes(column)).join(', ');
  if (listed(leader) !== listed(node))
    found.push([
      'publication-columns',
      'warning',
      `its own publication sends columns (${listed(node)}) instead of (${listed(leader)})`,
    ]);
  if (leader.published.filter !== node.published.filter)
    found.push([
      'publication-filter',
      'warning',
      `its own publication has row filter ${node.published.filter ?? 'none'} instead of ${leader.published.filter ?? 'none'}`,
    ]);
  return found;
}
