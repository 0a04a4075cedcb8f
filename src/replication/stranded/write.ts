/** Writes stranded changes to the leader inside its open transaction, and learns which of them it refuses. */
import type { TableShape } from '../../consistency/shape.js';
import { messageOf } from '../../errors.js';
import { ident, literal, qualified } from '../../postgres/quote.js';
import type { Session } from '../../postgres/session.js';
import { sqlStateOf } from '../../postgres/sqlstate.js';
import { setValues } from './judge.js';
import type { StrandedLine } from './model.js';

interface Target {
  readonly leader: Session;
  /** The definition of a table on the leader. */
  readonly shape: (schema: string, table: string) => TableShape | undefined;
}

/** What the leader may refuse of a row: class 22 and 23, 42 (a value or column that does not fit), a trigger's P0. */
const REFUSAL = /^(?:22|23|42|P0)/;

/** A deferred constraint would be refused at the commit only, when it is too late to say of which line. */
export const IMMEDIATE_SQL = 'set constraints all immediate';

/** Whether the leader took all of them; when not, none. `last`: nothing of the transaction comes after them. */
export async function writeAll(
  lines: readonly StrandedLine[],
  last: boolean,
  { leader, shape }: Target,
): Promise<boolean> {
  const statements = lines.map((line) => {
    const table = shape(line.schema, line.table);
    return table && writeSql(line, table, (value) => (value === null ? 'null' : literal(value))).sql;
  });
  if (statements.includes(undefined)) return false;
  await leader.simple('savepoint repctl_rows');
  try {
    const all = [...statements, ...(last ? [IMMEDIATE_SQL] : []), 'release savepoint repctl_rows'];
    await leader.simple(all.join('; '));
    return true;
  } catch (error) {
    if (!REFUSAL.test(sqlStateOf(error) ?? '')) throw error;
    await leader.simple('rollback to savepoint repctl_rows; release savepoint repctl_rows');
    return false;
  }
}

/** Undefined, or why the leader did not take it: a constraint (class 23), a value or column that does not fit. */
export async function write(line: StrandedLine, { leader, shape }: Target): Promise<string | undefined> {
  const table = shape(line.schema, line.table);
  if (table === undefined) return 'the leader has no such table';
  const { sql, params } = writeSql(line, table);
  await leader.simple('savepoint repctl_row');
  try {
    await leader.query(sql, params);
    await leader.simple('release savepoint repctl_row');
    return undefined;
  } catch (error) {
    if (!REFUSAL.test(sqlStateOf(error) ?? '')) throw error;
    await leader.simple('rollback to savepoint repctl_row');
    return messageOf(error);
  }
}

/** The statement for one change; a column that the update did not touch is not set. `inline`: values as literals. */
function writeSql(
  line: StrandedLine,
  table: TableShape,
  inline?: (value: string | null) => string,
): { readonly sql: string; readonly params: readonly (string | null)[] } {
  const key = line.oldKey ?? line.key;
  const params: (string | null)[] = [];
  const put = (value: string | null) => inline?.(value) ?? `$${String(params.push(value))}`;
  const where = () =>
    Object.entries(key)
      .map(([name, value]) => `${ident(name)} = ${put(value)}`)
      .join(' and ');
  const name = qualified(table);
  if (line.op === 'delete') return { sql: `delete from ${name} where ${where()}`, params };
  const stored = new Set(
    table.columns.filter((column) => column.generated === '').map((column) => column.name),
  );
  const values = Object.entries(setValues(line)).filter(([column]) => stored.has(column));
  if (line.op === 'insert') {
    const columns = values.map(([column]) => ident(column)).join(', ');
    const list = values.map(([, value]) => put(value)).join(', ');
    return { sql: `insert into ${name} (${columns}) overriding system value values (${list})`, params };
  }
  // An identity column that is always generated may not be set, not even to what it is.
  const sets = values
    .filter(([column, value]) => key[column] !== value)
    .map(([column, value]) => `${ident(column)} = ${put(value)}`);
  const set =
    sets.length > 0
      ? sets.join(', ')
      : Object.keys(key)
          .map((column) => `${ident(column)} = ${ident(column)}`)
          .join(', ');
  return { sql: `update ${name} set ${set} where ${where()}`, params };
}
