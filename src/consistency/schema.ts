/**
 * The table's definition on a replica against the leader's; pure. `error` is what breaks the apply of changes (or
 * already did), `warning` what would hurt once the replica leads, `info` what is harmless.
 */
import type { Finding, TableName } from '../cluster/model.js';
import { formOf, isInteger } from './digest.js';
import type { ColumnShape, TableShape } from './shape.js';

export interface SchemaFinding extends Finding, TableName {
  readonly node: string;
}

const WIDTH: Readonly<Record<string, number>> = { int2: 2, int4: 4, int8: 8, float4: 4, float8: 8 };
const TEXTS = new Set(['text', 'varchar']);

/** `numeric(12,2)` → [12, 2]; [] without a modifier. */
const modifiers = (type: string): number[] =>
  (/\(([\d,]+)\)/.exec(type)?.[1] ?? '').split(',').flatMap((part) => (part === '' ? [] : [Number(part)]));

/** Whether every value of the leader's type fits into the replica's type unchanged. */
export function holdsAll(leader: ColumnShape, node: ColumnShape): boolean {
  if (leader.type === node.type) return true;
  if (leader.base !== node.base) {
    const [mine, theirs] = [WIDTH[leader.base], WIDTH[node.base]];
    if (mine !== undefined && theirs !== undefined)
      return mine <= theirs && isInteger(formOf(leader)) === isInteger(formOf(node));
    if (!TEXTS.has(leader.base) || !TEXTS.has(node.base)) return false;
  }
  const [wanted, given] = [modifiers(leader.type), modifiers(node.type)];
  if (given.length === 0) return true;
  if (wanted.length === 0) return false;
  // numeric rounds to its scale, so that must be the same; before the point it may be wider.
  return (wanted[0] ?? 0) <= (given[0] ?? 0) && (wanted[1] ?? 0) === (given[1] ?? 0);
}

const byName = (shape: TableShape) => new Map(shape.columns.map((column) => [column.name, column]));

/** All findings on one table of one replica, in the leader's order of columns. */
export function compareShapes(
  leader: TableShape,
  node: TableShape | undefined,
  name: string,
): SchemaFinding[] {
  const { schema, name: table } = leader;
  const findings: SchemaFinding[] = [];
  const add = (code: string, severity: Finding['severity'], message: string) =>
    findings.push({ code, severity, node: name, schema, name: table, message });
  if (!node) {
    add('table-missing', 'error', `table ${schema}.${table} does not exist`);
    return findings;
  }
  const theirs = byName(node);
  for (const column of leader.columns) {
    const other = theirs.get(column.name);
    if (!other)
      add(
        'column-missing',
        column.published ? 'error' : 'info',
        `column ${column.name} (${column.type}) is missing`,
      );
    else for (const [code, severity, message] of compareColumns(column, other)) add(code, severity, message);
  }
  const ours = byName(leader);
  for (const column of node.columns.filter((candidate) => !ours.has(candidate.name))) {
    const required =
      column.notNull &&
      column.defaultExpression === null &&
      column.identity === '' &&
      column.generated === '';
    if (required)
      add('column-required', 'error', `column ${column.name} is only here, NOT NULL and without a default`);
    else add('column-extra', 'info', `column ${column.name} (${column.type}) is only here`);
  }
  if (!node.keys.some((key) => key.join('\0') === leader.key.join('\0')))
    add('key-differs', 'error', `key is (${node.key.join(', ')}) instead of (${leader.key.join(', ')})`);
  for (const index of node.uniques.filter((candidate) => !leader.uniques.includes(candidate)))
    add('unique-extra', 'error', `unique index ${index} is only here: rows of the leader may violate it`);
  for (const index of leader.uniques.filter((candidate) => !node.uniques.includes(candidate)))
    add('unique-missing', 'warning', `unique index ${index} is missing`);
  return findings;
}

type Difference = readonly [code: string, severity: Finding['severity'], message: string];

function compareColumns(leader: ColumnShape, node: ColumnShape): Difference[] {
  const { name } = leader;
  const found: Difference[] = [];
  if (leader.type !== node.type) {
    const fits = holdsAll(leader, node);
    const wider = fits ? ', which holds all of its values' : '';
    found.push([
      'column-type',
      fits ? 'info' : 'error',
      `column ${name} is ${node.type} instead of ${leader.type}${wider}`,
    ]);
  }
  if (node.notNull && !leader.notNull)
    found.push(['column-not-null', 'error', `column ${name} is NOT NULL only here`]);
  if (leader.notNull && !node.notNull)
    found.push(['column-nullable', 'info', `column ${name} may be null here`]);
  // What is sent has nowhere to go in a column that computes itself, whether the leader's does too or not.
  const breaks = leader.published && node.generated !== '';
  if (breaks || leader.generated !== node.generated) {
    found.push([
      'column-generated',
      breaks ? 'error' : 'warning',
      `column ${name} is ${node.generated === '' ? 'not ' : ''}generated here`,
    ]);
  } else if (leader.defaultExpression !== node.defaultExpression) {
    const [here, there] = [node.defaultExpression ?? 'none', leader.defaultExpression ?? 'none'];
    found.push([
      'column-default',
      'warning',
      leader.generated === ''
        ? `column ${name} has default ${here} instead of ${there}`
        : `column ${name} is computed otherwise, so whoever reads it here sees other values: ${here} instead of ${there}`,
    ]);
  }
  if (leader.identity !== node.identity)
    found.push(['column-identity', 'warning', `column ${name} is another kind of identity here`]);
  if (leader.collation !== node.collation)
    found.push([
      'column-collation',
      'info',
      `column ${name} has collation ${node.collation ?? 'none'} instead of ${leader.collation ?? 'none'}`,
    ]);
  return found;
}
