/** A table on the leader and on the node, as it has to be known to set one right by the other. */
import type { TableName } from '../../cluster/model.js';
import { EXIT, RepctlError } from '../../errors.js';
import type { Session } from '../../postgres/session.js';
import { type Side, type TablePlan, methodOf } from '../blocks.js';
import { type Flavour, digestColumns } from '../digest.js';
import { compareShapes } from '../schema.js';
import { type ColumnShape, findShape, readShape } from '../shape.js';

export interface ReconcileTable {
  readonly plan: TablePlan;
  readonly leader: Side;
  readonly node: Side;
}

/**
 * Reads both definitions. Sessions pinned for digests. Throws `table-missing` (the leader has none) and
 * `schema-drift` (exit 6) when rows of the leader might not fit into the node's table.
 */
export async function describeTable(
  leader: Session,
  node: Session,
  table: TableName,
  flavour: Flavour,
): Promise<ReconcileTable> {
  const [ours, theirs] = await Promise.all([readShape(leader, table), findShape(node, table)]);
  const errors = compareShapes(ours, theirs, node.node).filter((finding) => finding.severity === 'error');
  if (theirs === undefined || errors.length > 0)
    throw new RepctlError(
      'schema-drift',
      `${node.node}: ${table.schema}.${table.name} is not as on ${leader.node}: ${errors.map((finding) => finding.message).join('; ')}.`,
      {
        exit: EXIT.refused,
        hint: `Make the table on ${node.node} like the leader's; repctl doctor shows what differs.`,
        details: { findings: errors },
      },
    );
  const columns = digestColumns(ours, [theirs]);
  const key = ours.key.flatMap((name) => columns.filter((column) => column.name === name));
  return {
    plan: { method: methodOf(ours), columns, key, flavour },
    leader: { shape: ours, filter: ours.filter },
    node: { shape: theirs, filter: null },
  };
}

/** What the node's row keeps when it is replaced: columns that the leader does not send, computed ones left out. */
export const keptColumns = ({ plan, node }: ReconcileTable): readonly ColumnShape[] =>
  node.shape.columns.filter(
    (column) => column.generated === '' && !plan.columns.some(({ name }) => name === column.name),
  );

/** Columns that are written: what the leader sends and the node does not compute itself. */
export const sentColumns = ({ plan, node }: ReconcileTable): readonly string[] =>
  plan.columns
    .map(({ name }) => name)
    .filter((name) => node.shape.columns.some((column) => column.name === name && column.generated === ''));
