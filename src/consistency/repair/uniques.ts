/** Unique indexes and exclusion constraints of a table, and the rows of a replica that they keep a row to come out by. */
import { ident } from '../../postgres/quote.js';
import { keyText, valuesText } from '../blocks.js';
import { fromTable, rowHash } from '../digest.js';
import type { ReconcileTable } from '../reconcile/table.js';

export interface UniqueIndex {
  readonly name: string;
  /** Without its name, as the server prints it. */
  readonly definition: string;
  /** Every column that the index or its condition uses. */
  readonly columns: readonly string[];
  /** What must not be twice, as SQL over the table's columns. */
  readonly expressions: readonly string[];
  /** By what two of them are told to be in conflict: `operator(pg_catalog.=)`. */
  readonly operators: readonly string[];
  /** WHERE of a partial index. */
  readonly condition: string | null;
  readonly nullsEqual: boolean;
  /** False: checked at the end of the transaction only. */
  readonly immediate: boolean;
}

/**
 * $1: the table. The equality of a unique index is its operator class's (strategy 3 of a btree), which for a type like
 * citext is another than the one that `=` finds in pg_catalog; an exclusion constraint names its operators.
 */
export const UNIQUES_SQL = `
select c.relname as name,
       coalesce(pg_get_constraintdef(x.oid), regexp_replace(pg_get_indexdef(i.indexrelid), '^.* USING ', '')) as definition,
       array(select a.attname::text from pg_attribute a where a.attrelid = i.indrelid and a.attnum > 0 and not a.attisdropped
             and (a.attnum = any((i.indkey::int2[])[0:i.indnkeyatts - 1]) or exists (
               select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = i.indexrelid
                 and d.refclassid = 'pg_class'::regclass and d.refobjid = i.indrelid and d.refobjsubid = a.attnum
                 and (i.indexprs is not null or i.indpred is not null)))
             order by a.attnum) as columns,
       array(select pg_get_indexdef(i.indexrelid, p, true) from generate_series(1, i.indnkeyatts) p) as expressions,
       array(select format('operator(%I.%s)', n.nspname, o.oprname) from generate_series(1, i.indnkeyatts) p
             join pg_operator o on o.oid = coalesce(x.conexclop[p], (
               select m.amopopr from pg_opclass k join pg_amop m on m.amopfamily = k.opcfamily and m.amopstrategy = 3
                  and m.amoplefttype = k.opcintype and m.amoprighttype = k.opcintype where k.oid = i.indclass[p - 1]))
             join pg_namespace n on n.oid = o.oprnamespace order by p) as operators,
       pg_get_expr(i.indpred, i.indrelid) as condition, i.indnullsnotdistinct as "nullsEqual", i.indimmediate as immediate
  from pg_index i join pg_class c on c.oid = i.indexrelid
  left join pg_constraint x on x.conindid = i.indexrelid and x.conexclop is not null
 where i.indrelid = $1::regclass and (i.indisunique or i.indisexclusion) and i.indisvalid`;

/**
 * $1: numbers, then for each of the index's columns an array of texts: rows that are to come. The replica's rows with
 * which it is in conflict: n, key, hash, values, and `identity`, the key's columns as the stream prints them.
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
  const conflict = (of: (expression: string, place: number) => readonly [ours: string, theirs: string]) =>
    index.expressions
      .map((expression, place) => {
        const [ours, theirs] = of(expression, place);
        const equal = `${ours} ${index.operators[place] ?? '='} ${theirs}`;
        return index.nullsEqual ? `(${equal} or num_nonnulls(${ours}, ${theirs}) = 0)` : equal;
      })
      .join(' and ');
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
    const match = conflict((column) => [`t.${column}`, `x.${column}`]);
    return `${select} from ${coming} join ${fromTable(node.shape).slice('from '.length)} on ${match}`;
  }
  return (
    `${select} from ${coming} join (${fromTable(node.shape).slice('from '.length)} cross join lateral ` +
    `(select ${[...expressions, condition].join(', ')} from (select t.*) s) y) on x.holds and y.holds and ${conflict((_, place) => [`y.e${String(place)}`, `x.e${String(place)}`])}`
  );
}
