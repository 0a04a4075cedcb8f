/**
 * What differs, kept in temporary tables of the node's session: memory here stays the same however much it is.
 *
 * With a key, `keys` holds the keys of rows to set right. Without one (`multiset`) a row's hash is its key, and
 * `keys` holds how often the row is on the leader and on the node.
 */
import { ident } from '../../postgres/quote.js';
import type { Session } from '../../postgres/session.js';
import { keyParts } from '../blocks.js';
import { fromTable, textOf } from '../digest.js';
import type { ReconcileTable } from './table.js';

/** A row that differs: its hash on either side, undefined where there is none; with `multiset` hashes are counts. */
export interface Difference {
  readonly key: string;
  readonly leader?: string | undefined;
  readonly node?: string | undefined;
}

export interface Stage {
  readonly table: ReconcileTable;
  /** Temporary tables: keys to set right, rows that were there before, rows of the leader (columns apart). */
  readonly keys: string;
  readonly old: string;
  readonly rows: string;
  /** What the staged rows must be in the end; counts up while they are staged. Not for `multiset`. */
  readonly expected: { rows: number; digest: bigint };
}

/** Column of `keys`: whether the leader has the row. */
export const THERE = ident('repctl leader has it');

const columnList = (names: readonly string[], alias = ''): string =>
  names.map((name) => `${alias}${ident(name)}`).join(', ');

/** Inside the transaction that will write. `number` tells the stages of one transaction apart. */
export async function openStage(node: Session, table: ReconcileTable, number: number): Promise<Stage> {
  const name = (kind: string) => `pg_temp.${ident(`repctl_${kind}_${String(number)}`)}`;
  const stage: Stage = {
    table,
    keys: name('keys'),
    old: name('old'),
    rows: name('rows'),
    expected: { rows: 0, digest: 0n },
  };
  const { plan } = table;
  if (plan.method === 'multiset')
    await node.simple(
      `create temp table ${stage.keys.slice('pg_temp.'.length)} (h int8 primary key, leader int8 not null, node int8 not null) on commit drop`,
    );
  else {
    const keys = columnList(
      plan.key.map((column) => column.name),
      't.',
    );
    await node.simple(
      `create temp table ${stage.keys.slice('pg_temp.'.length)} on commit drop as select ${keys} ${fromTable(table.node.shape)} with no data; ` +
        `alter table ${stage.keys} add column ${THERE} boolean; alter table ${stage.keys} add primary key (${columnList(plan.key.map((column) => column.name))})`,
    );
  }
  return stage;
}

const typeOf = (table: ReconcileTable, name: string): string =>
  table.node.shape.columns.find((column) => column.name === name)?.type ?? 'text';

/** Adds rows that differ, each of them once. */
export async function addToStage(
  node: Session,
  { table, keys, expected }: Stage,
  differences: readonly Difference[],
): Promise<void> {
  if (differences.length === 0) return;
  const { plan } = table;
  if (plan.method === 'multiset') {
    await node.query(`insert into ${keys} select * from unnest($1::int8[], $2::int8[], $3::int8[])`, [
      differences.map(({ key }) => key),
      differences.map(({ leader }) => leader ?? '0'),
      differences.map((difference) => difference.node ?? '0'),
    ]);
    return;
  }
  for (const { leader } of differences) {
    if (leader === undefined) continue;
    expected.rows += 1;
    expected.digest ^= BigInt(leader);
  }
  const parts = differences.map(({ key }) => keyParts(plan, key));
  const values = plan.key.map(({ name }, index) => `k.k${String(index)}::${typeOf(table, name)}`);
  const arrays = plan.key.map((_, index) => `$${String(index + 1)}::text[]`);
  const names = plan.key.map((_, index) => `k${String(index)}`);
  // To the table 1.0 and 1.00 are one key, of which the leader has one text and the node another: it is written as the
  // leader has it.
  const columns = columnList(plan.key.map(({ name }) => name));
  const theirs = columnList(
    plan.key.map(({ name }) => name),
    'excluded.',
  );
  for (const [there, twice] of [
    [true, `do update set (${columns}, ${THERE}) = row(${theirs}, true)`],
    [false, 'do nothing'],
  ] as const) {
    const some = differences.flatMap(({ leader }, at) => ((leader !== undefined) === there ? [at] : []));
    if (some.length > 0)
      await node.query(
        `insert into ${keys} select ${values.join(', ')}, ${String(there)} ` +
          `from unnest(${arrays.join(', ')}) k(${names.join(', ')}) on conflict (${columns}) ${twice}`,
        plan.key.map((_, index) => some.map((at) => parts[at]?.[index])),
      );
  }
}

export async function countStaged(node: Session, stage: Stage): Promise<number> {
  const [row] = await node.query<{ rows: string }>(`select count(*) as rows from ${stage.keys}`);
  return Number(row?.rows ?? 0);
}

/** Staged rows that the leader has, `size` at a time, as texts of the key's columns (`multiset`: hash, how often it is here). */
export async function* stagedKeys(
  node: Session,
  stage: Stage,
  size: number,
): AsyncGenerator<readonly (readonly string[])[]> {
  const { plan } = stage.table;
  const texts =
    plan.method === 'multiset'
      ? ['k.h::text', 'k.node::text']
      : plan.key.map((column) => textOf(column, 'k'));
  const there = plan.method === 'multiset' ? 'k.leader > k.node' : `k.${THERE}`;
  await node.simple(
    `declare repctl_keys no scroll cursor for select array[${texts.join(', ')}]::text[] as parts from ${stage.keys} k where ${there}`,
  );
  for (;;) {
    const rows = await node.simple<{ parts: string[] }>(`fetch ${String(size)} from repctl_keys`);
    if (rows.length > 0) yield rows.map((row) => row.parts);
    if (rows.length < size) break;
  }
  await node.simple('close repctl_keys');
}
