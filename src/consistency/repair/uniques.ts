/** Unique indexes of a table on a replica, and the rows in them that have a value of a row that is to come. */
import { ident } from '../../postgres/quote.js';
import { keyText, valuesText } from '../blocks.js';
import { fromTable, rowHash } from '../digest.js';
import type { ReconcileTable } from '../reconcile/table.js';

export interface UniqueIndex {
  readonly name: string;
  /** As {@link TableShape.uniques} has it. */
  readonly definition: string;
  /** Every column that the index or its condition uses. */
  readonly columns: readonly string[];
  /** What must not be twice, as SQL over the table's columns. */
  readonly expressions: readonly string[];
  /** WHERE of a partial index. */
  readonly condition: string | null;
  readonly nullsEqual: boolean;
  /** False: checked at the end of the transaction only. */
  readonly immediate: boolean;
}

/** $1: the table. */
export const UNIQUES_SQL = `
select c.relname as name, regexp_replace(pg_get_indexdef(i.indexrelid), '^.* USING ', '') as definition,
       array(select a.attname::text from pg_attribute a where a.attrelid = i.indrelid and a.attnum > 0 and not a.attisdropped
             and (a.attnum = any((i.indkey::int2[])[0:i.indnkeyatts - 1]) or exists (
               select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = i.indexrelid
                 and d.refclassid = 'pg_class'::regclass and d.refobjid = i.indrelid and d.refobjsubid = a.attnum
                 and (i.indexprs is not null or i.indpred is not null)))
             order by a.attnum) as columns,
       array(select pg_get_indexdef(i.indexrelid, p, true) from generate_series(1, i.indnkeyatts) p) as expressions,
       pg_get_expr(i.indpred, i.indrelid) as condition, i.indnullsnotdistinct as "nullsEqual", i.indimmediate as immediate
  from pg_index i join pg_class c on c.oid = i.indexrelid
 where i.indrelid = $1::regclass and i.indisunique and i.indisvalid`;

/**
 * $1: numbers, then for each of the index's columns an array of texts: rows that are to come. The replica's rows with
 * the same unique value: n, key, hash, values, and `identity`, the key's columns as the stream prints them.
 */
export function obstacleSql({ plan, node }: ReconcileTable, index: UniqueIndex): string {
  const typed = index.columns.map((name, place) => {
    const column = node.shape.columns.find((candidate) => candidate.name === name);
    const collation = column?.collation == null ? '' : ` collate ${column.collation}`;
    return `(u.c${String(place)}::${column?.type ?? 'text'})${collation} as ${ident(name)}`;
  });
  const arrays = index.columns.map((_, place) => `$${String(place + 2)}::text[]`);
  const names = index.columns.map((_, place) => `c${String(place)}`);
  const expressions = index.expressions.map((expression, place) => `(${expression}) as e${String(place)}`);
  const condition = `(${index.condition ?? 'true'}) as holds`;
  const equal = index.expressions.map((_, place) =>
    index.nullsEqual
      ? `x.e${String(place)} is not distinct from y.e${String(place)}`
      : `x.e${String(place)} = y.e${String(place)}`,
  );
  // Plain columns are compared as they are, so that the index can be used.
  const plain =
    index.condition === null &&
    index.expressions.length === index.columns.length &&
    index.expressions.every((expression) =>
      index.columns.some((name) => [name, ident(name)].includes(expression)),
    );
  const identity = `array[${plan.key.map(({ name }) => `format('%s', t.${ident(name)})`).join(', ')}]::text[]`;
  const select =
    `select x.n, ${keyText(plan)} as key, ${rowHash(plan.columns, plan.flavour)}::text as hash, ` +
    `t.xmin::text as version, to_json(${valuesText(plan)}) as values, ${identity} as identity`;
  const coming =
    `(select u.n${plain ? '' : `, v.*`} ${plain ? `, ${typed.join(', ')}` : ''} from unnest($1::int4[], ${arrays.join(', ')}) u(n, ${names.join(', ')})` +
    (plain
      ? ') x'
      : ` cross join lateral (select ${[...expressions, condition].join(', ')} from (select ${typed.join(', ')}) s) v) x`);
  if (plain) {
    const match = index.columns.map((name) =>
      index.nullsEqual
        ? `t.${ident(name)} is not distinct from x.${ident(name)}`
        : `t.${ident(name)} = x.${ident(name)}`,
    );
    return `${select} from ${coming} join ${fromTable(node.shape).slice('from '.length)} on ${match.join(' and ')}`;
  }
  return (
    `${select} from ${coming} join (${fromTable(node.shape).slice('from '.length)} cross join lateral ` +
    `(select ${[...expressions, condition].join(', ')} from (select t.*) s) y) on x.holds and y.holds and ${equal.join(' and ')}`
  );
}
