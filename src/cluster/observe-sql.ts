/**
 * What observe() asks a node. Two statements: a greeting that says what the role may read, and one that reads
 * everything as a single JSON document. One text serves versions 15 to 19: columns that only some versions
 * have are read out of to_jsonb(row), so a missing one is simply null.
 */
import { BARRIER_KIND, FENCE_TRIGGER, PROBE_KIND, PUBLICATION, SEQUENCES_KIND, SYNC_KIND } from './names.js';

/** What the role may use decides how the document is asked for; nothing here can be denied. */
export interface Greeting {
  readonly now: string;
  readonly version_num: number;
  /** Tables of schema repctl that exist. */
  readonly present: readonly string[];
  /** Those of them that this role may read; `reserved` only where it may write there too. */
  readonly readable: readonly string[];
  /** EXECUTE is checked when a query starts, not when the call is reached: a CASE would not protect it. */
  readonly origins: boolean;
  readonly control: boolean;
}

/** Where a database holds thousands of tables, compiling the wide statement that follows would cost half a second. */
export const greetingSql = `
  select set_config('jit', 'off', false) as jit,
         to_json(clock_timestamp()) #>> '{}' as now,
         current_setting('server_version_num')::int as version_num,
         array(select c.relname::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
                where n.nspname = 'repctl' and c.relkind = 'r') as present,
         array(select c.relname::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
                where n.nspname = 'repctl' and c.relkind = 'r'
                  and has_schema_privilege(n.oid, 'usage') and has_table_privilege(c.oid, 'select')
                  and (c.relname <> 'reserved' or (has_table_privilege(c.oid, 'insert')
                       and has_table_privilege(c.oid, 'update') and has_table_privilege(c.oid, 'delete')))) as readable,
         has_function_privilege('pg_catalog.pg_show_replication_origin_status()', 'execute') as origins,
         has_function_privilege('pg_catalog.pg_control_system()', 'execute') as control`;

/** repctl's own sessions turn synchronous_commit down, so its value for a new session is asked for (reset_val). */
const SETTINGS = [
  'wal_level',
  'max_replication_slots',
  'max_wal_senders',
  'max_connections',
  'max_worker_processes',
  'max_logical_replication_workers',
  'max_sync_workers_per_subscription',
  'max_active_replication_origins',
  'max_prepared_transactions',
  'max_slot_wal_keep_size',
  'idle_replication_slot_timeout',
  'wal_sender_timeout',
  'wal_receiver_timeout',
  'synchronous_standby_names',
  'synchronous_commit',
  'track_commit_timestamp',
  'default_transaction_read_only',
  'server_encoding',
  // Neon's own: its presence tells.
  'neon.timeline_id',
];

const rows = (select: string): string => `coalesce((select json_agg(to_json(x)) from (${select}) x), '[]')`;

const subscriptions = (origins: boolean): string =>
  rows(`
    select s.oid::int8 as oid, s.subname as name, s.subenabled as enabled, s.subslotname as slot_name,
           s.subpublications as publications, s.origin, s.subsynccommit as synchronous_commit,
           ${
             origins
               ? `(select nullif(p.remote_lsn, '0/0')::text from pg_replication_origin o
                     join pg_show_replication_origin_status() p on p.local_id = o.roident
                    where o.roname = 'pg_' || s.oid)`
               : 'null::text'
           } as applied_lsn,
           w.pid as worker_pid, w.received_lsn::text, w.latest_end_lsn::text,
           w.last_msg_receipt_time as last_message_at,
           (select a.backend_start from pg_stat_activity a where a.pid = w.pid) as worker_started_at,
           coalesce((select a.backend_xid is not null from pg_stat_activity a where a.pid = w.pid), false) as in_transaction,
           (select to_jsonb(t) from pg_stat_subscription_stats t where t.subid = s.oid) as stats,
           ${rows(`
             select n.nspname as schema, c.relname as name, r.srsubstate as state,
                    exists (select from pg_stat_subscription a
                             where a.subid = s.oid and a.relid = c.oid and a.pid is not null) as syncing
               from pg_subscription_rel r join pg_class c on c.oid = r.srrelid join pg_namespace n on n.oid = c.relnamespace
              where r.srsubid = s.oid order by 1, 2`)} as tables
      from (values (null::text)) as before_16(suborigin)
     cross join lateral (
           -- subconninfo is not readable by everyone, so columns are named; suborigin exists since 16, and
           -- where it does not, the name finds the null of before_16.
           select oid, subname, subenabled, subslotname, subpublications, subsynccommit, suborigin as origin
             from pg_subscription
            where subdbid = (select oid from pg_database where datname = current_database())) s
      left join lateral (
           -- Of several workers (table copies, parallel apply) the one that applies.
           select * from pg_stat_subscription a
            where a.subid = s.oid and a.pid is not null and a.relid is null and to_jsonb(a) ->> 'leader_pid' is null
            limit 1) w on true
     order by s.oid`);

const slots = rows(`
  select slot_name as name, plugin, slot_type as type, database, active, active_pid, temporary,
         restart_lsn::text, confirmed_flush_lsn::text, wal_status, safe_wal_size,
         to_jsonb(s) ->> 'invalidation_reason' as invalid_reason,
         to_jsonb(s) ->> 'inactive_since' as inactive_since,
         coalesce(here.lsn - restart_lsn, 0)::int8 as retained
    from pg_replication_slots s order by slot_name`);

const senders = rows(`
  select application_name, pid, coalesce(state, '') as state, sent_lsn::text, flush_lsn::text, replay_lsn::text,
         (extract(epoch from replay_lag) * 1000)::float8 as replay_lag_ms, coalesce(sync_state, '') as sync_state
    from pg_stat_replication order by pid`);

/**
 * What pg_publication_tables lists, but from the catalogs alone: the view opens every table, and so would wait for
 * a lock on any of them (ALTER TABLE, VACUUM FULL), until the node seemed to be down. It goes from the members
 * down to the leaves, so that its cost grows with what is published and not with what the database holds.
 */
const publications = rows(`
  select p.pubname as name, p.puballtables as all_tables,
         array(select k.kind from (values ('insert', p.pubinsert), ('update', p.pubupdate), ('delete', p.pubdelete),
                      ('truncate', p.pubtruncate)) k(kind, sent) where not k.sent) as withholds,
         ${rows(`
           select n.nspname as schema, c.relname as name
             from (with recursive member(oid) as (
                     select r.prrelid from pg_publication_rel r where r.prpubid = p.oid
                      union select k.oid from pg_publication_namespace s join pg_class k on k.relnamespace = s.pnnspid
                             where s.pnpubid = p.oid
                      union select k.oid from pg_class k where p.puballtables
                      union select i.inhrelid from member m join pg_inherits i on i.inhparent = m.oid
                              join pg_class k on k.oid = i.inhrelid and k.relispartition
                             where not p.pubviaroot)
                   select m.oid from member m join pg_class k on k.oid = m.oid
                    where not (p.pubviaroot and k.relispartition and exists (
                      select from pg_partition_ancestors(k.oid) a(oid) join member up on up.oid = a.oid where a.oid <> k.oid))) m
             join pg_class c on c.oid = m.oid join pg_namespace n on n.oid = c.relnamespace
            where c.relkind = any (case when p.pubviaroot then '{r,p}' else '{r}' end::"char"[])
              and c.relpersistence = 'p' and c.oid >= 16384
            order by 1, 2`)} as tables
    from pg_publication p order by p.pubname`);

/** The fence of a partitioned table is that of its whole tree: a statement may name any member. (pg_partition_tree() would lock.) */
const tables = rows(`
  select n.nspname as schema, c.relname as name, c.relreplident as replica_identity,
         exists (select from pg_index i where i.indrelid = c.oid and i.indisprimary) as has_primary_key,
         (select nullif(sum(greatest(k.reltuples, 0)), 0)::float8
            from (with recursive tree(relid) as (
                    select c.oid union
                    select i.inhrelid from tree join pg_inherits i on i.inhparent = tree.relid)
                  select relid from tree) m join pg_class k on k.oid = m.relid and k.relkind = 'r') as estimated_rows,
         (select case when bool_or(g.tgenabled is null) then 'missing'
                      when bool_and(g.tgenabled in ('O', 'A')) then 'enabled' else 'disabled' end
            from (with recursive tree(relid) as (
                    select c.oid union
                    select i.inhrelid from tree join pg_inherits i on i.inhparent = tree.relid
                      join pg_class k on k.oid = i.inhrelid and k.relispartition)
                  select relid from tree) m
            left join pg_trigger g on g.tgrelid = m.relid and g.tgname = '${FENCE_TRIGGER}') as fence,
         ${rows(`
           select a.attname as name, format_type(a.atttypid, a.atttypmod) as type, a.attnotnull as "notNull"
             from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
            order by a.attnum`)} as columns,
         ${rows(`
           select g.tgname as name, g.tgenabled as enabled, g.tgfoid::regprocedure::text || ' ' || g.tgtype as does
             from pg_trigger g where g.tgrelid = c.oid and not g.tgisinternal and g.tgname <> '${FENCE_TRIGGER}'
            order by 1`)} as triggers
    from pg_publication p
    join pg_publication_rel r on r.prpubid = p.oid
    join pg_class c on c.oid = r.prrelid
    join pg_namespace n on n.oid = c.relnamespace
   where p.pubname = '${PUBLICATION}' order by 1, 2`);

/** Clients only: replication workers and autovacuum have limits of their own. */
const longTransactions = rows(`
  select pid, usename as user, application_name, state,
         extract(epoch from clock_timestamp() - xact_start)::float8 as seconds
    from pg_stat_activity
   where backend_type = 'client backend' and pid <> pg_backend_pid() and xact_start < clock_timestamp() - interval '1 second'
     and (backend_xid is not null or backend_xmin is not null)
   order by xact_start limit 20`);

const prepared = rows(`
  select gid, database, owner, extract(epoch from clock_timestamp() - prepared)::float8 as seconds
    from pg_prepared_xacts order by prepared limit 20`);

/**
 * Whether a barrier holds is read off the row versions: the transaction that wrote it is the one that last touched
 * each fence, and each is up. Whoever takes a fence down, by whatever means, breaks that.
 */
const barriers = rows(`
  select e.id, e.epoch, not exists (
           select from pg_publication p join pg_publication_rel r on r.prpubid = p.oid
             left join pg_trigger g on g.tgrelid = r.prrelid and g.tgname = '${FENCE_TRIGGER}'
            where p.pubname = '${PUBLICATION}' and (g.oid is null or g.tgenabled not in ('O', 'A') or g.xmin <> e.xmin)) as holds
    from repctl.event e where e.kind = '${BARRIER_KIND}' order by e.epoch desc, e.at desc`);

/** What is read from a table of another name. */
const TABLE_OF: Readonly<Record<string, string>> = { barrier: 'event', sync: 'event' };

/** Metadata that this role can read; the rest is reported as empty. */
function metadata(readable: readonly string[]): string {
  const parts: readonly (readonly [string, string])[] = [
    ['node', rows('select name, cluster from repctl.node')],
    ['epoch', rows('select * from repctl.epoch order by epoch desc')],
    [
      'event',
      // By epoch first: clocks of different leaders are not compared.
      rows(
        `select * from repctl.event where kind not in ('${PROBE_KIND}', '${BARRIER_KIND}', '${SEQUENCES_KIND}') order by epoch desc, at desc limit 20`,
      ),
    ],
    [
      'sync',
      rows(
        `select epoch, at, details from repctl.event where kind = '${SYNC_KIND}' order by epoch desc, at desc limit 1`,
      ),
    ],
    ['barrier', barriers],
    ['standby', rows('select sibling, epoch, base_lsn from repctl.standby order by sibling')],
    ['reserved', rows('select epoch, node from repctl.reserved order by epoch')],
  ];
  return parts
    .map(
      ([name, select]) => `'${name}', ${readable.includes(TABLE_OF[name] ?? name) ? select : `'[]'::json`}`,
    )
    .join(', ');
}

/** One row, one column `state`: everything about the node as one JSON document. */
export function stateSql(greeting: Greeting): string {
  const identifier = greeting.control ? '(select system_identifier::text from pg_control_system())' : `''`;
  return `
  select json_build_object(
    'system_identifier', ${identifier},
    'database', current_database(), 'user', current_user, 'version', current_setting('server_version'),
    'superuser', (select rolsuper from pg_roles where rolname = current_user),
    'in_recovery', pg_is_in_recovery(), 'insert_lsn', here.lsn::text, 'flush_lsn', here.flush::text,
    'settings', (select json_object_agg(name, case name when 'synchronous_commit' then reset_val else setting end)
                   from pg_settings where name in (${SETTINGS.map((it) => `'${it}'`).join(', ')})),
    'publications', ${publications},
    'tables', ${tables},
    'subscriptions', ${subscriptions(greeting.origins)},
    'slots', ${slots},
    'senders', ${senders},
    'prepared', ${prepared},
    'long_transactions', ${longTransactions},
    'can_set_sync', has_parameter_privilege('synchronous_standby_names', 'alter system')
       and has_function_privilege('pg_catalog.pg_reload_conf()', 'execute'),
    'sync_waiting', (select count(*) from pg_stat_activity where wait_event = 'SyncRep'),
    ${metadata(greeting.readable)}) as state
  from (select case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_insert_lsn() end as lsn,
               case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_flush_lsn() end as flush) here`;
}

/**
 * The applied position where the origin's status may not be read: replicated transactions keep their origin,
 * so the last Origin message ('O' = 79: LSN, then the origin's name and a NUL) of this subscription in a slot of
 * the node itself is the last one applied. $1 slot, $2 name of the origin.
 */
export const lastOriginSql = `
  select encode(substr(data, 2, 8), 'hex') as lsn
    from pg_logical_slot_peek_binary_changes($1, null, null, 'proto_version', '1', 'publication_names', '${PUBLICATION}')
   where get_byte(data, 0) = 79 and substr(data, 10) = convert_to($2, 'utf8') || '\\x00'::bytea
   order by 1 desc limit 1`;
