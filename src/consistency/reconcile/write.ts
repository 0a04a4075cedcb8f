/**
 * Sets staged rows of one table right: the old ones go, the leader's come, all old ones before any new one, so that
 * unique values may change places. What the leader does not send of a row (columns that only the node has) stays.
 */
import { EXIT, RepctlError } from '../../errors.js';
import { ident, literal, qualified } from '../../postgres/quote.js';
import type { Session } from '../../postgres/session.js';
import { type RowReading, fromKeys, rowsParams, rowsSql, sameKey } from '../blocks.js';
import { aggregate, fromTable, rowHash, where } from '../digest.js';
import { foldDoubles } from '../compare/rows.js';
import { type Knock, pipeRows } from './pipe.js';
import { type Difference, type Stage, THERE, stagedKeys } from './stage.js';
import { type ReconcileTable, keptColumns, sentColumns } from './table.js';

/** Rows of one table. With no key, a row that differs is one deleted and one inserted. */
export interface Written {
  readonly inserted: number;
  readonly updated: number;
  readonly deleted: number;
}

export interface WriteOptions {
  readonly knock: Knock;
  /** Rows fetched from the leader at once; default 5,000. */
  readonly batch?: number;
  /** Called with the number of rows written since the last call. */
  readonly onRows?: (rows: number) => void;
}

const BATCH = 5_000;

const list = (names: readonly string[], alias = ''): string =>
  names.map((name) => `${alias}${ident(name)}`).join(', ');

const textArray = (values: readonly (string | undefined)[]): string =>
  `array[${values.map((value) => literal(value ?? '')).join(', ')}]::text[]`;

/**
 * In the transaction that {@link withClearWay} cleared: makes exactly the staged rows on the node equal to what
 * the leader's session sees (a snapshot). Afterwards `stage.old` holds the rows that were there before. Both
 * sessions pinned for digests. Throws `reconcile-failed` (exit 5) when the rows are not equal then.
 */
export async function writeStage(
  leader: Session,
  node: Session,
  stage: Stage,
  options: WriteOptions,
): Promise<Written> {
  const { table, keys, old } = stage;
  const sent = sentColumns(table);
  const kept = keptColumns(table).map((column) => column.name);
  const target = fromTable(table.node.shape);
  const all = [...sent, ...kept];
  await node.simple(
    `create temp table ${old.slice('pg_temp.'.length)} on commit drop as select ${list(all, 't.')} ${target} with no data; analyze ${keys}`,
  );
  await node.simple(
    `with gone as (delete ${target} using ${doomed(stage)} returning ${list(all, 't.')}) ` +
      `insert into ${old} select * from gone`,
  );
  const direct = kept.length === 0;
  if (!direct)
    await node.simple(
      `create temp table ${stage.rows.slice('pg_temp.'.length)} on commit drop as select ${list(sent, 't.')} ${target} with no data`,
    );
  const into = `${direct ? qualified(table.node.shape) : stage.rows} (${list(sent)})`;
  let written = 0;
  for await (const batch of stagedKeys(node, stage, options.batch ?? BATCH)) {
    const rows = await pipeRows(leader, sourceSql(table, sent, batch), node, into, options.knock);
    written += rows;
    options.onRows?.(rows);
  }
  if (!direct) await insertKept(node, stage, sent, kept);
  await proveWritten(node, stage);
  return counts(node, stage, written);
}

/** What is deleted, as `x`, with the condition that ties it to t: `delete from … t using <this>`. */
function doomed(stage: Stage): string {
  const { plan, node } = stage.table;
  if (plan.method !== 'multiset') return `${stage.keys} x where ${sameKey(plan, node, 't', 'x')}`;
  // Of rows that are alike any may go; ctid alone is not unique over partitions.
  const hash = rowHash(plan.columns, plan.flavour);
  return (
    `(select y.o, y.c, k.leader, row_number() over (partition by y.h) as n ` +
    `from (select t.tableoid as o, t.ctid as c, ${hash} as h ${fromTable(node.shape)} offset 0) y ` +
    `join ${stage.keys} k on k.h = y.h) x where t.tableoid = x.o and t.ctid = x.c and x.n > x.leader`
  );
}

/** The leader's rows for a batch of staged keys, as a query without parameters. */
function sourceSql(
  table: ReconcileTable,
  sent: readonly string[],
  batch: readonly (readonly string[])[],
): string {
  const { plan, leader } = table;
  const [first = [], second = []] = columns(batch, Math.max(2, plan.key.length));
  if (plan.method === 'ranges')
    return `select ${list(sent, 't.')} ${fromKeys(plan, leader, [literal(`{${first.join(',')}}`)])}`;
  if (plan.method === 'buckets')
    return `select ${list(sent, 't.')} ${fromKeys(plan, leader, columns(batch, plan.key.length).map(textArray))}`;
  // Named by number: a column may be called h.
  const named = sent.map((name, index) => `t.${ident(name)} as c${String(index)}`).join(', ');
  const names = sent.map((_, index) => `z.c${String(index)}`).join(', ');
  const hash = rowHash(plan.columns, plan.flavour);
  return (
    `select ${names} from (select y.*, k.have, row_number() over (partition by y.h) as n ` +
    `from (select ${hash} as h, ${named} ${fromTable(leader.shape)}${where(leader.filter)} offset 0) y ` +
    `join unnest(${literal(`{${first.join(',')}}`)}::int8[], ${literal(`{${second.join(',')}}`)}::int8[]) k(h, have) on k.h = y.h) z ` +
    `where z.n > z.have`
  );
}

/** Rows of texts as columns of texts. */
const columns = (batch: readonly (readonly string[])[], count: number): (string | undefined)[][] =>
  Array.from({ length: count }, (_, index) => batch.map((parts) => parts[index]));

/** Rows that come back keep what the leader knows nothing of; new ones get their defaults. */
async function insertKept(
  node: Session,
  stage: Stage,
  sent: readonly string[],
  kept: readonly string[],
): Promise<void> {
  const { plan, node: side } = stage.table;
  const name = qualified(side.shape);
  const match = sameKey(plan, side, 'o', 's');
  const known = match === '' ? 'false' : match;
  await node.simple(
    `insert into ${name} (${list([...sent, ...kept])}) overriding system value ` +
      `select ${list(sent, 's.')}, ${list(kept, 'o.')} from ${stage.rows} s join ${stage.old} o on ${known}; ` +
      `insert into ${name} (${list(sent)}) overriding system value ` +
      `select ${list(sent, 's.')} from ${stage.rows} s where not exists (select from ${stage.old} o where ${known})`,
  );
}

/** Rules, policies or a type that prints otherwise might have changed what was written: looked at once more. */
async function proveWritten(node: Session, stage: Stage): Promise<void> {
  const { table, expected } = stage;
  const { plan, node: side } = table;
  const hash = rowHash(plan.columns, plan.flavour);
  let equal: boolean;
  if (plan.method === 'multiset') {
    const [row] = await node.query<{ wrong: string }>(
      `select count(*) as wrong from ${stage.keys} k left join (select y.h, count(*) as n from ` +
        `(select ${hash} as h ${fromTable(side.shape)} offset 0) y group by y.h) x on x.h = k.h ` +
        `where coalesce(x.n, 0) <> k.leader`,
    );
    equal = row?.wrong === '0';
  } else {
    const match = sameKey(plan, side, 't', 'k');
    const [row] = await node.query<{ rows: string; digest: string }>(
      `select ${aggregate(hash, true)} from ${stage.keys} k join ${fromTable(side.shape).slice('from '.length)} on ${match}`,
    );
    equal = Number(row?.rows ?? 0) === expected.rows && BigInt(row?.digest ?? 0) === expected.digest;
  }
  if (equal) return;
  throw new RepctlError(
    'reconcile-failed',
    `${node.node}: rows of ${side.shape.schema}.${side.shape.name} are not the leader's even after they were written.`,
    {
      exit: EXIT.diverged,
      hint: 'A rule, a policy or a column type of this table changes what is written to it: make the table like the leader’s.',
      details: { node: node.node, schema: side.shape.schema, table: side.shape.name },
    },
  );
}

async function counts(node: Session, stage: Stage, written: number): Promise<Written> {
  const { plan, node: side } = stage.table;
  const match = sameKey(plan, side, 'k', 'o');
  const updates =
    match === ''
      ? '0'
      : `(select count(*) from ${stage.keys} k where k.${THERE} and exists (select from ${stage.old} o where ${match}))`;
  const [row] = await node.query<{ before: string; updated: string }>(
    `select (select count(*) from ${stage.old}) as before, ${updates} as updated`,
  );
  const updated = Number(row?.updated ?? 0);
  return { inserted: written - updated, updated, deleted: Number(row?.before ?? 0) - updated };
}

/** Which of these keys differ between the leader's session and the node's. Tables with a key only. */
export async function differingKeys(
  leader: Session,
  node: Session,
  { plan, leader: ours, node: theirs }: ReconcileTable,
  keys: readonly string[],
): Promise<Difference[]> {
  const params = rowsParams(plan, keys);
  const [mine, others] = await Promise.all([
    leader.query<RowReading>(rowsSql(plan, ours, false), params),
    node.query<RowReading>(rowsSql(plan, theirs, false), params),
  ]);
  const [a, b] = [foldDoubles(mine), foldDoubles(others)];
  return [...new Set([...a.keys(), ...b.keys()])]
    .map((key) => ({ key, leader: a.get(key)?.hash, node: b.get(key)?.hash }))
    .filter((difference) => difference.leader !== difference.node);
}
