/**
 * Decodes what a slot holds, transaction by transaction, without consuming it. The server spills what it decoded
 * beyond work_mem to a temporary file and a cursor reads it in portions, so that memory is constant here however
 * large a transaction is; protocol version 1 never sends one before its commit.
 */
import { PUBLICATION } from '../../cluster/names.js';
import { type Lsn, compareLsn } from '../../postgres/lsn.js';
import {
  type ColumnValue,
  type PgoutputMessage,
  type Relation,
  type Tuple,
  readMessage,
} from '../../postgres/pgoutput.js';
import type { Session } from '../../postgres/session.js';
import { slotError } from '../mapping.js';
import type { RowChange, TransactionHead, Values } from './model.js';

/** Prefix and content of the message that begins every transaction by which repctl sets rows right on a node. */
export const MARK = { prefix: 'repctl', content: 'rejoin' } as const;
export const markSql = `select pg_logical_emit_message(true, '${MARK.prefix}', '${MARK.content}')`;

export interface DecodedChange {
  readonly transaction: TransactionHead;
  readonly change: RowChange;
  /** The transaction came through a subscription: the origin's name. */
  readonly origin: string | null;
}

/** The primary key's columns of a table; empty without one. */
export type KeyColumns = (schema: string, table: string) => readonly string[];

export interface DecodeOptions {
  readonly slot: string;
  readonly keys: KeyColumns;
  /** Only transactions that commit at or after this position; default: everything in the slot. */
  readonly from?: Lsn | undefined;
  /** Decode no further than this position; default: all that is flushed. */
  readonly upTo?: Lsn | undefined;
  /** Default 10 min. */
  readonly timeoutMs?: number | undefined;
  /** Changes of a partition under its own name, as a replica applies them; default: that of the published table. */
  readonly byPartition?: boolean | undefined;
}

const SQL = `select data from pg_logical_slot_peek_binary_changes($1, $2, null, 'proto_version', '1', 'publication_names', $3, 'messages', 'true')`;

/**
 * Every partition below a table of publication $1, under which its changes travel (publish_via_partition_root is
 * false): by that table's name rows are compared, written and listed. (pg_partition_tree() would lock.)
 */
const PARTITIONS_SQL = `
with recursive tree(root, oid, depth) as (
  select r.prrelid, r.prrelid, 0 from pg_publication p join pg_publication_rel r on r.prpubid = p.oid where p.pubname = $1
  union all
  select t.root, i.inhrelid, t.depth + 1 from tree t join pg_inherits i on i.inhparent = t.oid
  join pg_class k on k.oid = i.inhrelid and k.relispartition)
select distinct on (t.oid) t.oid::int8::text as oid, n.nspname as schema, c.relname as name
from tree t join pg_class c on c.oid = t.root join pg_namespace n on n.oid = c.relnamespace
where t.depth > 0 order by t.oid, t.depth desc`;

/** Names of published tables by the partitions' OIDs. */
type Roots = ReadonlyMap<number, Pick<Relation, 'schema' | 'name'>>;

async function rootsOf(session: Session): Promise<Roots> {
  const rows = await session.query<{ oid: string; schema: string; name: string }>(PARTITIONS_SQL, [
    PUBLICATION,
  ]);
  return new Map(rows.map(({ oid, schema, name }) => [Number(oid), { schema, name }]));
}

/** What a portion may weigh, bytes of text; one message more than that still comes alone. */
const PORTION_BYTES = 4_000_000;
const PORTION_ROWS = 2000;

/**
 * Every change in the slot, in commit order. Transactions that repctl itself made to set rows right are left out.
 * `session` must be a fresh one of its own: pgoutput keeps what it knew of relations in the backend. Throws
 * RepctlError `slot-active`, `slot-missing`, `slot-unusable` (exit 6).
 */
export async function* decodeSlot(session: Session, options: DecodeOptions): AsyncGenerator<DecodedChange> {
  await session.simple(`set statement_timeout = ${String(Math.round(options.timeoutMs ?? 600_000))}`);
  const roots: Roots = options.byPartition === true ? new Map() : await rootsOf(session);
  const reader = changeReader(options.keys, options.from, roots);
  const params = [options.slot, options.upTo ?? null, PUBLICATION];
  let portion = 16;
  try {
    for await (const rows of session.portions<{ data: string }>(SQL, params, () => portion)) {
      let bytes = 0;
      for (const { data } of rows) {
        bytes += data.length;
        const found = reader.next(readMessage(Buffer.from(data.slice(2), 'hex')));
        yield* found;
      }
      const each = Math.max(1, bytes / Math.max(1, rows.length));
      portion = Math.max(1, Math.min(PORTION_ROWS, portion * 4, Math.floor(PORTION_BYTES / each)));
    }
  } catch (error) {
    throw slotError(error, session.node, options.slot);
  }
}

/** Messages in, changes out: knows the relations and the transaction that is being read. */
export function changeReader(
  keys: KeyColumns,
  from?: Lsn,
  roots: Roots = new Map(),
): { next(message: PgoutputMessage): readonly DecodedChange[] } {
  const relations = new Map<number, Relation>();
  let transaction: TransactionHead | null = null;
  let origin: string | null = null;
  let skip = false;
  const relationOf = (oid: number): Relation => {
    const relation = relations.get(oid);
    if (relation === undefined) throw new RangeError('a change came before its relation');
    return relation;
  };
  const changed = (oid: number, make: (relation: Relation) => RowChange): readonly DecodedChange[] => {
    const relation = relationOf(oid);
    if (transaction === null) throw new RangeError('a change came before its transaction');
    return skip ? [] : [{ transaction, change: make(relation), origin }];
  };
  return {
    next(message) {
      switch (message.kind) {
        case 'begin':
          transaction = { xid: message.xid, lsn: message.commitLsn, at: message.at };
          origin = null;
          // The commit record of what the successor has begins before the fork point, which is where it ends.
          skip = from !== undefined && compareLsn(message.commitLsn, from) < 0;
          return [];
        case 'origin':
          origin = message.name;
          return [];
        case 'message':
          if (message.prefix === MARK.prefix && message.content === MARK.content) skip = true;
          return [];
        case 'relation':
          relations.set(message.relation.oid, { ...message.relation, ...roots.get(message.relation.oid) });
          return [];
        case 'insert':
          return changed(message.oid, (relation) => insertOf(relation, message.row, keys));
        case 'update':
          return changed(message.oid, (relation) => updateOf(relation, message, keys));
        case 'delete':
          return changed(message.oid, (relation) => deleteOf(relation, message.key, message.old, keys));
        case 'truncate':
          // One for all partitions of a table.
          return uniqueBy(message.oids, (oid) => JSON.stringify(tableOf(relationOf(oid)))).flatMap((oid) =>
            changed(oid, (relation) => ({
              ...tableOf(relation),
              op: 'truncate',
              key: {},
              cascade: message.cascade,
              restartIdentity: message.restartIdentity,
            })),
          );
        case 'commit':
        case 'type':
          return [];
      }
    },
  };
}

const uniqueBy = <T>(of: readonly T[], by: (one: T) => string): T[] => [
  ...new Map(of.map((one) => [by(one), one])).values(),
];
const tableOf = ({ schema, name }: Relation) => ({ schema, table: name });
const isUnchanged = (value: ColumnValue): value is { readonly unchanged: true } =>
  typeof value === 'object' && value !== null;

/** Columns with their values; `which` picks columns by place. */
function valuesOf(relation: Relation, tuple: Tuple, which: (place: number) => boolean): Values {
  const values: Record<string, string | null> = {};
  for (const [place, column] of relation.columns.entries()) {
    const value = tuple[place] ?? null;
    if (!isUnchanged(value) && which(place)) values[column.name] = value;
  }
  return values;
}

const everything = () => true;

/**
 * Which columns tell a row: the replica identity, or, where that is the whole row or nothing, the primary key. None
 * where there is no key either: rows may be there twice.
 */
function identityOf(relation: Relation, tuple: Tuple, keys: KeyColumns): Values {
  const primary = 'fn'.includes(relation.replicaIdentity) ? keys(relation.schema, relation.name) : undefined;
  return valuesOf(relation, tuple, (place) => {
    const column = relation.columns[place];
    if (column === undefined) return false;
    return primary === undefined ? column.identity : primary.includes(column.name);
  });
}

function insertOf(relation: Relation, row: Tuple, keys: KeyColumns): RowChange {
  return {
    ...tableOf(relation),
    op: 'insert',
    key: identityOf(relation, row, keys),
    row: valuesOf(relation, row, everything),
  };
}

function updateOf(
  relation: Relation,
  message: { readonly key: Tuple | null; readonly old: Tuple | null; readonly row: Tuple },
  keys: KeyColumns,
): RowChange {
  const { key, old } = message;
  // Values stored out of line are in full in the old row (REPLICA IDENTITY FULL), and those of the key in the old key.
  const kept = (place: number) => (relation.columns[place]?.identity === true ? key?.[place] : undefined);
  const row = message.row.map((value, place) =>
    isUnchanged(value) ? (old?.[place] ?? kept(place) ?? value) : value,
  );
  const unchanged = relation.columns
    .filter((_, place) => isUnchanged(row[place] ?? null))
    .map(({ name }) => name);
  const before = key ?? old;
  const newKey = identityOf(relation, row, keys);
  const oldKey = before && identityOf(relation, before, keys);
  return {
    ...tableOf(relation),
    op: 'update',
    key: newKey,
    ...(oldKey && JSON.stringify(oldKey) !== JSON.stringify(newKey) ? { oldKey } : {}),
    row: valuesOf(relation, row, everything),
    ...(old ? { old: valuesOf(relation, old, everything) } : {}),
    ...(unchanged.length > 0 ? { unchanged } : {}),
  };
}

function deleteOf(relation: Relation, key: Tuple | null, old: Tuple | null, keys: KeyColumns): RowChange {
  const before = key ?? old ?? [];
  return {
    ...tableOf(relation),
    op: 'delete',
    key: identityOf(relation, before, keys),
    ...(old ? { old: valuesOf(relation, old, everything) } : {}),
  };
}
