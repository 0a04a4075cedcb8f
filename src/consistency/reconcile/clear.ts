/**
 * Everything that would act on its own when rows are set right on a replica is taken out of the way for one
 * transaction, and is back as it was when that commits: fence, users' triggers, foreign keys.
 *
 * - Triggers are disabled one by one, each brought back to the state it had (ENABLE, REPLICA, ALWAYS): even with
 *   session_replication_role=replica those of state REPLICA and ALWAYS fire.
 * - Foreign keys: the triggers behind them do not fire with session_replication_role=replica, which superusers may
 *   set, and from 15 on whoever was granted it (GRANT SET ON PARAMETER). Nobody else may disable these triggers
 *   (they are internal), nor defer ON DELETE CASCADE and SET NULL (only NO ACTION can be). What a table's owner
 *   can do is drop the constraint and add it again in the same transaction: nothing cascades, cycles do not matter,
 *   and adding it proves the rows. Constraints that were NOT VALID stay so.
 */
import type { TableName } from '../../cluster/model.js';
import { EXIT, RepctlError } from '../../errors.js';
import { ident, literal, qualified } from '../../postgres/quote.js';
import type { Session } from '../../postgres/session.js';
import { sqlStateOf } from '../../postgres/sqlstate.js';
import { briefMs, lockBriefly } from '../../replication/brief-locks.js';

/** `replica`: session_replication_role; `owner`: foreign keys dropped and added again. */
export type Clearing = 'replica' | 'owner';

interface TriggerRow extends TableName {
  readonly trigger: string;
  /** pg_trigger.tgenabled: O, R or A. */
  readonly state: 'O' | 'R' | 'A';
}

interface ForeignKeyRow extends TableName {
  readonly constraint: string;
  readonly definition: string;
  readonly comment: string | null;
  readonly owned: boolean;
  /** The table that it refers to; null where this role may not lock it. */
  readonly target: TableName | null;
  readonly lockable: boolean;
}

/** The tables as a list of rows. */
const givenSql = (tables: readonly TableName[]): string =>
  `(values ${tables.map((table) => `(${literal(qualified(table))}::regclass::oid)`).join(', ')}) r(oid)`;

/** The tables and all their partitions. */
const membersSql = (tables: readonly TableName[]): string =>
  `select coalesce(t.relid, r.oid) as oid from ${givenSql(tables)} left join lateral pg_partition_tree(r.oid) t on true`;

const triggersSql = (tables: readonly TableName[], states: string): string =>
  `select n.nspname as schema, c.relname as name, g.tgname as trigger, g.tgenabled::text as state
     from pg_trigger g join pg_class c on c.oid = g.tgrelid join pg_namespace n on n.oid = c.relnamespace
    where not g.tgisinternal and g.tgenabled in (${states}) and g.tgrelid in (${membersSql(tables)})
    order by 1, 2, 3`;

/** Whose foreign keys act on rows of these tables: they, their partitions, and what they are partitions of. */
const relatedSql = (tables: readonly TableName[]): string =>
  `${membersSql(tables)} union select a.relid from ${givenSql(tables)} cross join lateral pg_partition_ancestors(r.oid) a`;

/** In both directions. Those that a partition inherits (conparentid) come and go with their parent's. */
const foreignKeysSql = (tables: readonly TableName[], versionNum: number): string =>
  `select n.nspname as schema, c.relname as name, k.conname as constraint, pg_get_constraintdef(k.oid) as definition,
          obj_description(k.oid, 'pg_constraint') as comment, pg_has_role(c.relowner, 'USAGE') as owned,
          has_table_privilege(c.oid, 'UPDATE, DELETE, TRUNCATE') as lockable,
          case when has_table_privilege(o.oid, 'UPDATE, DELETE, TRUNCATE')
               then json_build_object('schema', m.nspname, 'name', o.relname) end as target
     from pg_constraint k join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace
          join pg_class o on o.oid = k.confrelid join pg_namespace m on m.oid = o.relnamespace
    where k.contype = 'f' and k.conparentid = 0${versionNum >= 180_000 ? ' and k.conenforced' : ''}
      and (k.conrelid in (${relatedSql(tables)}) or k.confrelid in (${relatedSql(tables)}))
    order by 1, 2, 3`;

const MODE_SQL = `
select has_parameter_privilege('session_replication_role', 'SET') as allowed,
       current_setting('session_replication_role') as role, current_setting('server_version_num')::int as version`;

const STATES = { O: 'enable', R: 'enable replica', A: 'enable always' } as const;

const triggerSql = ({ trigger, ...table }: TriggerRow, how: string): string =>
  `alter table only ${qualified(table)} ${how} trigger ${ident(trigger)}`;

interface Ways {
  readonly clearing: Clearing;
  /** session_replication_role as it is. */
  readonly role: string;
  /** Those that would be dropped. */
  readonly keys: readonly ForeignKeyRow[];
}

async function waysOf(session: Session, tables: readonly TableName[]): Promise<Ways> {
  const [mode] = await session.query<{ allowed: boolean; role: string; version: number }>(MODE_SQL);
  const role = mode?.role ?? 'origin';
  if (mode?.allowed === true) return { clearing: 'replica', role, keys: [] };
  const keys = await session.query<ForeignKeyRow>(foreignKeysSql(tables, mode?.version ?? 0));
  return { clearing: 'owner', role, keys };
}

/**
 * `tables`, and those at the other ends of foreign keys that {@link withClearWay} would drop. Where somebody writes to
 * them, an apply worker say, all have to be locked at first: one that has written to a table and waits for the next
 * would be waited for.
 */
export async function tablesTouched(
  session: Session,
  tables: readonly TableName[],
): Promise<readonly TableName[]> {
  const { keys } = await waysOf(session, tables);
  return once([...tables, ...endsOf(keys)]);
}

/** The tables at either end of foreign keys, as far as this role may lock them. */
const endsOf = (keys: readonly ForeignKeyRow[]): TableName[] =>
  keys.flatMap(({ schema, name, lockable, target }) => [
    ...(lockable ? [{ schema, name }] : []),
    ...(target === null ? [] : [target]),
  ]);

const once = (tables: readonly TableName[]): TableName[] => [
  ...new Map(tables.map((table) => [qualified(table), table])).values(),
];

/**
 * Runs `body` in the transaction that is open on `session`, with nothing in the way of writes to `tables` (their
 * partitions too). Readers pass, but where foreign keys have to be dropped. The session's search_path must be
 * pg_catalog, so that definitions are qualified. When `body` throws, the transaction must be rolled back.
 * Throws `foreign-key-not-owned` (exit 6), `foreign-key-broken` (exit 5) when rows do not fit together at the end, and
 * `lock-timeout` (55P03) at once where readers are in the way of foreign keys: let them through and try again.
 */
export async function withClearWay<T>(
  session: Session,
  tables: readonly TableName[],
  body: () => Promise<T>,
): Promise<T> {
  if (tables.length === 0) return body();
  const { clearing, role, keys } = await waysOf(session, tables);
  const triggers = await session.query<TriggerRow>(
    triggersSql(tables, clearing === 'replica' ? `'R', 'A'` : `'O', 'R', 'A'`),
  );
  const foreign = keys.find((key) => !key.owned);
  if (foreign !== undefined) throw notOwned(session, foreign);
  // All at once: readers are held up from the first of these locks on, also while it is waited for the next.
  if (keys.length > 0)
    await lockBriefly(session, once(endsOf(keys)), { mode: 'access exclusive', ms: await briefMs(session) });
  for (const trigger of triggers) await session.simple(triggerSql(trigger, 'disable'));
  for (const key of keys)
    await session.simple(`alter table ${qualified(key)} drop constraint ${ident(key.constraint)}`);
  // Deferred uniqueness would leave events behind, with which a table cannot be altered.
  await session.simple(
    clearing === 'replica' ? 'set local session_replication_role = replica' : 'set constraints all immediate',
  );

  const value = await body();

  if (clearing === 'replica') await session.simple(`set local session_replication_role = ${literal(role)}`);
  for (const key of keys) await addAgain(session, key);
  for (const trigger of triggers) await session.simple(triggerSql(trigger, STATES[trigger.state]));
  return value;
}

async function addAgain(session: Session, key: ForeignKeyRow): Promise<void> {
  const { constraint, definition, comment } = key;
  try {
    await session.simple(`alter table ${qualified(key)} add constraint ${ident(constraint)} ${definition}`);
  } catch (error) {
    if (sqlStateOf(error) !== '23503') throw error;
    throw new RepctlError(
      'foreign-key-broken',
      `${session.node}: ${qualified(key)} has rows that refer to nothing (${constraint}).`,
      {
        exit: EXIT.diverged,
        hint: 'Rows that are not set right here refer to rows that the leader does not have (or the other way round): correct them.\nWith this, foreign keys are left alone instead: grant set on parameter session_replication_role to the role that repctl uses (as a superuser).',
        details: { node: session.node, schema: key.schema, table: key.name, constraint },
        cause: error,
      },
    );
  }
  if (comment !== null)
    await session.simple(
      `comment on constraint ${ident(constraint)} on ${qualified(key)} is ${literal(comment)}`,
    );
}

const notOwned = (session: Session, key: ForeignKeyRow): RepctlError =>
  new RepctlError(
    'foreign-key-not-owned',
    `${session.node}: foreign key ${key.constraint} of ${qualified(key)} would get in the way, and the table is another role's.`,
    {
      exit: EXIT.refused,
      hint: 'grant set on parameter session_replication_role to the role that repctl uses (as a superuser), or make it a member of the owner.',
      details: { node: session.node, schema: key.schema, table: key.name, constraint: key.constraint },
    },
  );
