/**
 * Sequences: logical replication leaves them alone. A new leader's are set past the highest value in use plus a
 * gap, never backwards; replicas' are brought near the leader's now and then, so that little is left to the gap.
 */
import type { TableName } from '../cluster/model.js';
import type { Session } from '../postgres/session.js';
import { ident, literal, qualified } from '../postgres/quote.js';
import { tableKey } from './publications.js';

export interface SequenceColumn extends TableName {
  readonly column: string;
}

export interface SequenceInfo extends TableName {
  /** bigint values as text, as the server gives them. */
  readonly lastValue: string;
  /** Whether lastValue was handed out already. */
  readonly isCalled: boolean;
  readonly increment: string;
  readonly min: string;
  readonly max: string;
  readonly cycle: boolean;
  /** Columns that own it or take their default from it; none for a free one. */
  readonly columns: readonly SequenceColumn[];
}

/** A sequence and the highest (descending: lowest) value found in its columns; null with no column or no row. */
export interface SequenceUse extends SequenceInfo {
  readonly highestInUse: string | null;
  /** The last value that the leader handed out, where it can still be asked: rows do not tell of deleted ones. */
  readonly handedOut?: string;
  /** Of a free one: where the last promotion let it begin on the leader of then, which may be gone. */
  readonly recorded?: string;
}

/**
 * The sequences of this database with what uses them: owners (serial and identity: pg_depend from the sequence
 * to the column) and defaults (from the default to the sequence, which an unowned one has too). A column that does
 * not hold numbers (`default 'A-' || nextval(…)`) says nothing about the highest value in use, so it is left out.
 */
const SEQUENCES_SQL = `
select n.nspname as schema, c.relname as name, s.seqincrement::text as increment, s.seqmin::text as min,
       s.seqmax::text as max, s.seqcycle as cycle,
       has_schema_privilege(n.oid, 'usage') and has_sequence_privilege(c.oid, 'select') and has_sequence_privilege(c.oid, 'update') as allowed,
       coalesce((select json_agg(json_build_object('schema', u.schema, 'name', u.name, 'column', u.column) order by u.schema, u.name, u.column)
         from (
           select tn.nspname as schema, t.relname as name, a.attname as column, a.atttypid as type
           from pg_depend d join pg_class t on t.oid = d.refobjid join pg_namespace tn on tn.oid = t.relnamespace
           join pg_attribute a on a.attrelid = t.oid and a.attnum = d.refobjsubid
           where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.refclassid = 'pg_class'::regclass
             and d.deptype in ('a', 'i') and d.refobjsubid > 0
           union
           select tn.nspname, t.relname, a.attname, a.atttypid
           from pg_depend d join pg_attrdef e on e.oid = d.objid join pg_class t on t.oid = e.adrelid
           join pg_namespace tn on tn.oid = t.relnamespace
           join pg_attribute a on a.attrelid = t.oid and a.attnum = e.adnum
           where d.classid = 'pg_attrdef'::regclass and d.refclassid = 'pg_class'::regclass and d.refobjid = c.oid
             and not t.relispartition
         ) u join pg_type y on y.oid = u.type
         where coalesce(nullif(y.typbasetype, 0), y.oid) in ('int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'numeric'::regtype)), '[]') as columns
from pg_sequence s join pg_class c on c.oid = s.seqrelid join pg_namespace n on n.oid = c.relnamespace
where c.relpersistence <> 't' and n.nspname not in ('repctl', 'pg_catalog', 'information_schema')
order by n.nspname collate "C", c.relname collate "C"`;

/**
 * Sequences that matter to the published tables: those used by one of them, and the free ones, which the
 * application calls by name. One used by unpublished tables alone is none of repctl's business.
 */
export const relevantSequences = <S extends SequenceInfo>(
  sequences: readonly S[],
  published: readonly TableName[],
): readonly S[] => {
  const keys = new Set(published.map(tableKey));
  return sequences.filter(
    (sequence) =>
      sequence.columns.length === 0 || sequence.columns.some((column) => keys.has(tableKey(column))),
  );
};

/**
 * All sequences of a node, relevant to `published` (all when undefined), two round trips. Those that this role may
 * not read and set are somebody else's and left out, unless a published table needs them: then it throws.
 */
export async function readSequences(
  session: Session,
  published?: readonly TableName[],
): Promise<readonly SequenceInfo[]> {
  const rows = await session.query<Omit<SequenceInfo, 'lastValue' | 'isCalled'> & { allowed: boolean }>(
    SEQUENCES_SQL,
  );
  const needed = new Set((published ?? []).map(tableKey));
  const found = rows
    .filter((row) => row.allowed || row.columns.some((column) => needed.has(tableKey(column))))
    .map(({ schema, name, increment, min, max, cycle, columns }): SequenceInfo => ({
      ...{ schema, name, increment, min, max, cycle, columns },
      lastValue: '0',
      isCalled: false,
    }));
  const wanted = published === undefined ? found : relevantSequences(found, published);
  if (wanted.length === 0) return [];
  const values = await session.query<{ i: number; last: string; called: boolean }>(
    wanted
      .map(
        (sequence, i) =>
          `select ${String(i)} as i, last_value::text as last, is_called as called from ${qualified(sequence)}`,
      )
      .join(' union all '),
  );
  const byIndex = new Map(values.map((row) => [row.i, row]));
  return wanted.map((sequence, i) => ({
    ...sequence,
    lastValue: byIndex.get(i)?.last ?? '0',
    isCalled: byIndex.get(i)?.called ?? false,
  }));
}

/** Where the same sequences stand on another node, one round trip; those that it lacks or has not used are left out. */
export async function valuesOf(
  session: Session,
  sequences: readonly SequenceInfo[],
): Promise<readonly SequenceInfo[]> {
  if (sequences.length === 0) return [];
  const names = sequences.map((sequence) => literal(qualified(sequence))).join(', ');
  const rows = await session.query<{ i: string; last: string }>(
    `select i, last from (
       select n.i, case when has_sequence_privilege(to_regclass(n.name), 'select')
                        then pg_sequence_last_value(to_regclass(n.name)) end::text as last
         from unnest(array[${names}]::text[]) with ordinality as n(name, i)) v where last is not null`,
  );
  return rows.flatMap(({ i, last }) => {
    const sequence = sequences[Number(i) - 1];
    return sequence === undefined ? [] : [{ ...sequence, lastValue: last, isCalled: true }];
  });
}

const descending = (sequence: SequenceInfo): boolean => BigInt(sequence.increment) < 0n;

/** One query for all: max (descending: min) of each column. Fast where the column leads an index. */
export function highestInUseSql(sequences: readonly SequenceInfo[]): string | null {
  const parts = sequences.flatMap((sequence, i) =>
    sequence.columns.map(
      (column) =>
        `select ${String(i)} as i, (select ${descending(sequence) ? 'floor(min' : 'ceil(max'}(${ident(column.column)})::numeric) from ${qualified(column)}) as value`,
    ),
  );
  if (parts.length === 0) return null;
  return `select i, case i ${sequences.map((sequence, i) => `when ${String(i)} then ${descending(sequence) ? 'min' : 'max'}(value)`).join(' ')} end::text as value from (${parts.join(' union all ')}) u group by i`;
}

/** The sequences with the highest value in use in this node's rows. Nothing must write to them meanwhile. */
export async function highestInUse(
  session: Session,
  sequences: readonly SequenceInfo[],
): Promise<readonly SequenceUse[]> {
  const sql = highestInUseSql(sequences);
  const rows = sql === null ? [] : await session.query<{ i: number; value: string | null }>(sql);
  const values = new Map(rows.map((row) => [row.i, row.value]));
  return sequences.map((sequence, i) => ({ ...sequence, highestInUse: values.get(i) ?? null }));
}

export type SequenceTarget =
  | { readonly kind: 'set'; readonly value: string }
  /** It is past every value in use, gap included, or a cycling one. */
  | { readonly kind: 'keep' }
  /** Not enough values are left before its end. */
  | { readonly kind: 'exhausted'; readonly last: string; readonly end: string };

/**
 * The value to set a sequence to so that nextval() is past every value in use and `gap` more. It keeps its phase
 * (increments other than 1 stay aligned) and never moves backwards. Where the leader could be asked, it is past
 * everything that was handed out there too; a free sequence, whose use cannot be seen, and a cycling one then go on
 * exactly where the leader's stood. Where it could not, a free one moves on by the gap from where this node's stands
 * or the last promotion let it begin, whichever is further, and a cycling one is left alone: its values are not unique
 * to begin with.
 */
export function sequenceTarget(sequence: SequenceUse, gap: number): SequenceTarget {
  const { handedOut } = sequence;
  if (sequence.cycle)
    return handedOut === undefined || (handedOut === sequence.lastValue && sequence.isCalled)
      ? { kind: 'keep' }
      : { kind: 'set', value: handedOut };
  const sign = descending(sequence) ? -1n : 1n;
  const step = BigInt(sequence.increment) * sign;
  const last = BigInt(sequence.lastValue) * sign;
  const end = BigInt(descending(sequence) ? sequence.min : sequence.max) * sign;
  const free = sequence.columns.length === 0;
  const used = sequence.highestInUse === null ? null : BigInt(sequence.highestInUse) * sign;
  const given = handedOut === undefined ? null : BigInt(handedOut) * sign;
  const recorded = sequence.recorded === undefined ? last : BigInt(sequence.recorded) * sign;
  if (!free && used === null && given === null) return { kind: 'keep' };
  const margin = BigInt(gap);
  const wanted = free
    ? (given ?? (recorded > last ? recorded : last) + margin)
    : used === null
      ? (given ?? last)
      : given === null || used + margin > given
        ? used + margin
        : given;
  if (wanted < last || (wanted === last && sequence.isCalled)) return { kind: 'keep' };
  const steps = (wanted - last + step - 1n) / step;
  const value = last + steps * step;
  // One more value must be left for nextval(); where the leader has none left either, nothing gets worse.
  if (value + step > end && wanted !== given) {
    return {
      kind: 'exhausted',
      last: String((used ?? (recorded > last ? recorded : last)) * sign),
      end: String(end * sign),
    };
  }
  return { kind: 'set', value: String((value > end ? end : value) * sign) };
}

/** The sequences with what the leader handed out; those that it lacks, or has not used yet, stay as they are. */
export const withHandedOut = (
  sequences: readonly SequenceUse[],
  leaders: readonly SequenceInfo[],
): readonly SequenceUse[] => {
  const byKey = new Map(leaders.map((one) => [tableKey(one), one]));
  return sequences.map((sequence) => {
    const leader = byKey.get(tableKey(sequence));
    return leader?.isCalled === true ? { ...sequence, handedOut: leader.lastValue } : sequence;
  });
};

/** Sets a sequence to `value` as if it had just been handed out, unless it is past that already. */
const setSequenceSql = (sequence: SequenceInfo, value: string): string =>
  // A cycling one has no direction: it goes on where the leader's was.
  sequence.cycle
    ? `select setval(${literal(qualified(sequence))}, ${value})`
    : setForwardsSql(sequence, value);

const setForwardsSql = (sequence: SequenceInfo, value: string): string =>
  `select setval(${literal(qualified(sequence))}, ${descending(sequence) ? 'least' : 'greatest'}(${value}, last_value)) from ${qualified(sequence)}`;

export interface SequencesPast {
  /** To be run on the new leader. setval() is not transactional, but never moves backwards, so that is no matter. */
  readonly sql: readonly string[];
  /** Sequences too near to their end to be moved by the gap; the promotion should be refused, naming them. */
  readonly exhausted: readonly (TableName & { readonly last: string; readonly end: string })[];
}

/** The statements that set every sequence past what is in use plus `gap`. */
export function setPastSql(sequences: readonly SequenceUse[], gap: number): SequencesPast {
  const targets = sequences.map((sequence) => ({ sequence, target: sequenceTarget(sequence, gap) }));
  return {
    sql: targets.flatMap(({ sequence, target }) =>
      target.kind === 'set' ? [setSequenceSql(sequence, target.value)] : [],
    ),
    exhausted: targets.flatMap(({ sequence, target }) =>
      target.kind === 'exhausted'
        ? [{ schema: sequence.schema, name: sequence.name, last: target.last, end: target.end }]
        : [],
    ),
  };
}

/** The statement that brings a replica's sequence to where the leader's is; null when it is there or past it. */
export function syncSequenceSql(replica: SequenceInfo, leader: SequenceInfo): string | null {
  const sign = descending(replica) ? -1n : 1n;
  if (!leader.isCalled) return null;
  if (leader.cycle)
    return replica.lastValue === leader.lastValue && replica.isCalled
      ? null
      : setSequenceSql(replica, leader.lastValue);
  const [have, want] = [BigInt(replica.lastValue) * sign, BigInt(leader.lastValue) * sign];
  if (have > want || (have === want && replica.isCalled)) return null;
  return setSequenceSql(replica, leader.lastValue);
}
