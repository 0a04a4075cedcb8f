/** A table before it is compared: what it looks like on every node, by which columns and rows it can be compared. */
import type { TableName } from '../../cluster/model.js';
import type { Session } from '../../postgres/session.js';
import { type Side, type TablePlan, methodOf } from '../blocks.js';
import { compareDefinitions } from '../compare-definitions.js';
import { problemOf } from '../compare/problem.js';
import type { Lane } from '../compare/run.js';
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
  /** Those of them that gave no answer: how the table is defined there is not known either. */
  readonly unseen: ReadonlyMap<string, string>;
  /** Of the replicas' tables, where they are there. */
  readonly bytes: ReadonlyMap<string, number>;
  readonly findings: readonly SchemaFinding[];
}

/**
 * Undefined: the leader has no such table any more. Throws what the leader's session throws; a replica that does not
 * answer, or not in time (somebody holds the table locked), is skipped with that reason.
 */
export async function seeTable(
  lane: Lane,
  table: TableName,
  flavour: Flavour,
): Promise<SeenTable | undefined> {
  const names = [...lane.nodes.keys()];
  const replicas = [...lane.nodes.values()];
  const unseen = new Map<string, string>();
  const answerOf = async <T>(session: Session, work: Promise<T>): Promise<T | undefined> => {
    try {
      return await work;
    } catch (error) {
      unseen.set(session.node, problemOf(error));
      return undefined;
    }
  };
  const look = (session: Session) => Promise.all([findShape(session, table), findDefinition(session, table)]);
  const [[leader, definition], ...theirs] = await Promise.all([
    look(lane.leader),
    ...replicas.map((session) => answerOf(session, look(session))),
  ]);
  if (!leader || !definition) return undefined;
  const shapes = theirs.map((found) => found?.[0]);
  const columns = digestColumns(
    leader,
    shapes.filter((shape) => shape !== undefined),
  );
  const key = leader.key.flatMap((name) => columns.filter((column) => column.name === name));
  const wanted = columns.map(({ name }) => name);
  const [unreadable, ...unreadableThere] = await Promise.all([
    whyUnreadable(lane.leader, table, wanted),
    ...replicas.map((session) => answerOf(session, whyUnreadable(session, table, wanted))),
  ]);
  const nodes = new Map<string, Side>();
  const skipped = new Map(unseen);
  const bytes = new Map<string, number>();
  const findings: SchemaFinding[] = [];
  for (const [index, name] of names.entries()) {
    if (unseen.has(name)) continue;
    const shape = shapes[index];
    const other = theirs[index]?.[1];
    findings.push(...compareShapes(leader, shape, name));
    if (other) findings.push(...compareDefinitions(definition, other, table, name));
    const why = unreadable ?? unreadableThere[index] ?? whyNotComparable(shape, wanted);
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
    unseen,
    bytes,
    findings,
  };
}

function whyNotComparable(shape: TableShape | undefined, columns: readonly string[]): string | null {
  if (!shape) return 'the table does not exist here';
  if (columns.length === 0) return 'no column of it is replicated';
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
