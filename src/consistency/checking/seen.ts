/** A table before it is compared: what it looks like on every node, by which columns and rows it can be compared. */
import type { TableName } from '../../cluster/model.js';
import type { Session } from '../../postgres/session.js';
import { type Side, type TablePlan, methodOf } from '../blocks.js';
import { compareDefinitions } from '../compare-definitions.js';
import { type Lane, sessionsOf } from '../compare/run.js';
import { findDefinition } from '../definition.js';
import { type Flavour, digestColumns } from '../digest.js';
import { whyUnreadable } from '../readable.js';
import { type SchemaFinding, compareShapes } from '../schema.js';
import { type TableShape, findShape } from '../shape.js';

export interface SeenTable {
  readonly table: TableName;
  readonly leader: Side;
  readonly plan: TablePlan;
  /** Replicas that have what is to be compared. */
  readonly nodes: ReadonlyMap<string, Side>;
  /** Why the others cannot be compared. */
  readonly skipped: ReadonlyMap<string, string>;
  /** Of the replicas' tables, where they are there. */
  readonly bytes: ReadonlyMap<string, number>;
  readonly findings: readonly SchemaFinding[];
}

/** Undefined: the leader has no such table any more. */
export async function seeTable(
  lane: Lane,
  table: TableName,
  flavour: Flavour,
): Promise<SeenTable | undefined> {
  const sessions = sessionsOf([lane]);
  const [[leader, ...shapes], [definition, ...definitions]] = await Promise.all([
    Promise.all(sessions.map((session) => findShape(session, table))),
    Promise.all(sessions.map((session) => findDefinition(session, table))),
  ]);
  if (!leader || !definition) return undefined;
  const names = [...lane.nodes.keys()];
  const columns = digestColumns(
    leader,
    shapes.filter((shape) => shape !== undefined),
  );
  const key = leader.key.flatMap((name) => columns.filter((column) => column.name === name));
  const wanted = columns.map(({ name }) => name);
  const unreadable = await Promise.all(sessions.map((session) => whyUnreadable(session, table, wanted)));
  const nodes = new Map<string, Side>();
  const skipped = new Map<string, string>();
  const bytes = new Map<string, number>();
  for (const [index, name] of names.entries()) {
    const shape = shapes[index];
    const why = unreadable[0] ?? unreadable[index + 1] ?? whyNotComparable(shape, wanted);
    if (shape) bytes.set(name, shape.bytes);
    if (why !== null) skipped.set(name, why);
    else if (shape) nodes.set(name, { shape, filter: null });
  }
  return {
    table,
    leader: { shape: leader, filter: leader.filter },
    plan: { method: methodOf(leader), columns, key, flavour },
    nodes,
    skipped,
    bytes,
    findings: names.flatMap((name, index) => {
      const other = definitions[index];
      return [
        ...compareShapes(leader, shapes[index], name),
        ...(other ? compareDefinitions(definition, other, table, name) : []),
      ];
    }),
  };
}

function whyNotComparable(shape: TableShape | undefined, columns: readonly string[]): string | null {
  if (!shape) return 'the table does not exist here';
  const lacking = columns.filter((name) => !shape.columns.some((column) => column.name === name));
  return lacking.length > 0 ? `column ${lacking.join(', ')} does not exist here` : null;
}

/** With the scans narrowed by an SQL condition; null leaves them as they are. */
export const narrow = (seen: SeenTable, scope: string | null): SeenTable => ({
  ...seen,
  leader: { ...seen.leader, scope },
  nodes: new Map([...seen.nodes].map(([name, side]) => [name, { ...side, scope }])),
});

/** Whether the table is still what it was when its comparison began. */
export async function isUnchanged(
  leader: Session,
  { table, leader: { shape } }: SeenTable,
): Promise<boolean> {
  const now = await findShape(leader, table);
  const form = (it: TableShape) => JSON.stringify([it.columns, it.key]);
  return now !== undefined && form(now) === form(shape);
}
