/**
 * What doctor tries on a node. Each capability is used for real and undone: in a transaction that is rolled
 * back, or as a temporary slot that is dropped. Nothing is guessed from role attributes, and nothing stays.
 */
import { randomBytes } from 'node:crypto';
import { conninfoOf } from '../../config/connection.js';
import { replicationUrl } from '../../config/schema.js';
import { messageOf, RepctlError } from '../../errors.js';
import { ident, literal, qualified } from '../../postgres/quote.js';
import type { Session } from '../../postgres/session.js';
import { sqlStateOf, translateError } from '../../postgres/sqlstate.js';
import { CATALOG_TABLES_SQL, type CatalogTable } from '../../replication/publications.js';
import type { Fleet } from '../fleet.js';
import type { ReachableNode, TableName } from '../model.js';

export type Capability =
  | 'create-schema'
  | 'create-publication'
  | 'create-slot'
  | 'create-subscription'
  | 'read-origins'
  | 'read-stats';

/** Why something did not work. */
export interface Failure {
  readonly sqlState: string | null;
  readonly message: string;
}

export interface DoctorTable extends CatalogTable {
  readonly replicaIdentity: string;
  readonly hasPrimaryKey: boolean;
  readonly columns: readonly { readonly name: string; readonly type: string }[];
}

export interface Trials {
  readonly node: string;
  /** Why the node could not be tried at all. */
  readonly failure: Failure | null;
  readonly tables: readonly DoctorTable[];
  readonly failed: Readonly<Partial<Record<Capability, Failure>>>;
  /** How this server itself reached each other node; null when it did. */
  readonly reach: Readonly<Record<string, Failure | null>>;
}

/** How long a trial may wait for a lock, and for another server. */
const LOCK_MS = 2_000;
const REACH_MS = 5_000;
/** A publication that exists nowhere: a missing one is a mere warning, and so no table is looked for. */
const NOTHING = 'repctl_doctor';

const tablesSql = `
  select t.*, c.relreplident as "replicaIdentity",
         exists (select from pg_index i where i.indrelid = c.oid and i.indisprimary) as "hasPrimaryKey",
         (select coalesce(json_agg(json_build_object('name', a.attname, 'type', format_type(a.atttypid, a.atttypmod)) order by a.attnum), '[]')
            from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) as columns
    from (${CATALOG_TABLES_SQL}) t
    join pg_namespace n on n.nspname = t.schema join pg_class c on c.relnamespace = n.oid and c.relname = t.name`;

/** Tries one node. `tablesOf` picks those that are meant by the configuration. */
export async function tryNode(
  fleet: Fleet,
  node: ReachableNode,
  tablesOf: (catalog: readonly CatalogTable[]) => readonly TableName[],
): Promise<Trials> {
  const nothing = { node: node.name, failure: null, tables: [], failed: {}, reach: {} };
  let session: Session;
  try {
    session = await fleet.fresh(node.name, 'repctl doctor');
  } catch (error) {
    return { ...nothing, failure: failureOf(error) };
  }
  try {
    await session.query(`set lock_timeout = ${String(LOCK_MS)}`);
    const tables = await session.query<DoctorTable>(tablesSql);
    const failed = await capabilities(fleet, session, node, tablesOf(tables));
    const reach: Record<string, Failure | null> = {};
    // Without the right to subscribe, every attempt would fail for that reason alone.
    if (failed['create-subscription'] === undefined) {
      for (const other of fleet.config.nodes)
        if (other.name !== node.name)
          reach[other.name] = await undone(session, [
            `set local statement_timeout = ${String(Math.min(REACH_MS, fleet.config.connectTimeoutMs))}`,
            subscribeSql(
              fleet,
              other.name,
              node.name,
              'create_slot = false, copy_data = false, enabled = false',
            ),
          ]);
    }
    return { ...nothing, tables, failed, reach };
  } catch (error) {
    return { ...nothing, failure: failureOf(error) };
  } finally {
    await session.close();
  }
}

async function capabilities(
  fleet: Fleet,
  session: Session,
  node: ReachableNode,
  tables: readonly TableName[],
): Promise<Trials['failed']> {
  const name = ident(NOTHING);
  const entries: readonly (readonly [Capability, Failure | null])[] = [
    ['create-schema', await undone(session, [`create schema ${name}`])],
    [
      'create-publication',
      tables.length === 0
        ? null
        : await undone(session, [
            `create publication ${name} for table ${tables.map((it) => qualified(it)).join(', ')}`,
          ]),
    ],
    ['create-slot', await slotTrial(session)],
    [
      'create-subscription',
      await undone(session, [subscribeSql(fleet, node.name, node.name, 'connect = false')]),
    ],
    [
      'read-origins',
      await outcome(() => session.query('select count(*) from pg_show_replication_origin_status()')),
    ],
    ['read-stats', await statsTrial(session)],
  ];
  return Object.fromEntries(entries.filter(([, failure]) => failure !== null));
}

/** connect = true makes the server itself log in to the other node, with replication rights, and nothing more. */
function subscribeSql(fleet: Fleet, to: string, from: string, options: string): string {
  const connection = conninfoOf(replicationUrl(fleet.node(to), from), { application_name: 'repctl_doctor' });
  return `create subscription ${ident(NOTHING)} connection ${literal(connection)} publication ${ident(NOTHING)} with (${options})`;
}

/** A temporary slot goes with the session at the latest. */
async function slotTrial(session: Session): Promise<Failure | null> {
  const slot = `repctltmp_${randomBytes(6).toString('hex')}`;
  const failure = await outcome(() =>
    session.query(`select pg_create_logical_replication_slot($1, 'pgoutput', true)`, [slot]),
  );
  if (failure === null) await session.query('select pg_drop_replication_slot($1)', [slot]);
  return failure;
}

/** There is always another backend (the checkpointer): whoever may not see it may see nobody's. */
async function statsTrial(session: Session): Promise<Failure | null> {
  const [row] = await session.query<{ seen: boolean }>(
    `select pg_has_role('pg_read_all_stats', 'usage') as seen`,
  );
  return row?.seen === true ? null : { sqlState: '42501', message: 'other sessions are hidden' };
}

/** Runs the statements in a transaction that is always rolled back; null when they worked. */
async function undone(session: Session, statements: readonly string[]): Promise<Failure | null> {
  await session.query('begin');
  try {
    return await outcome(async () => {
      for (const statement of statements) await session.query(statement);
    });
  } finally {
    await session.query('rollback');
  }
}

async function outcome(work: () => Promise<unknown>): Promise<Failure | null> {
  try {
    await work();
    return null;
  } catch (error) {
    const translated = translateError(error, { node: '', phase: 'query' });
    // A lost connection is no verdict on a privilege.
    if (translated.code === 'connection-lost' && sqlStateOf(error) === undefined) throw error;
    return failureOf(error);
  }
}

function failureOf(error: unknown): Failure {
  const cause = error instanceof RepctlError && error.cause instanceof Error ? error.cause : error;
  return { sqlState: sqlStateOf(error) ?? null, message: messageOf(cause).replaceAll(/\s+/g, ' ').trim() };
}
