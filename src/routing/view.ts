/** One small query per node: who leads, and how far this node is. Far less than observe(). */
import type { Session } from '../postgres/session.js';
import { type Lsn, maxLsn } from '../postgres/lsn.js';
import { subscriptionEpoch } from '../cluster/names.js';
import { sqlStateOf } from '../postgres/sqlstate.js';
import type { EpochRow, NodeView } from './token.js';

/**
 * A worker that hears nothing for wal_receiver_timeout / 2 (30 s by default) asks for a sign of life, so a
 * longer silence means that it is cut off.
 */
const SILENCE_SECONDS = 60;

const leadershipColumns = `
  (select n.name from repctl.node n) as identity,
  (select e.started_at::text from repctl.epoch e order by e.epoch limit 1) as born,
  coalesce((select json_agg(json_build_object('epoch', e.epoch, 'leader', e.leader,
      'previousLeader', e.previous_leader, 'forkPoint', e.fork_point::text) order by e.epoch desc)
    from (select * from repctl.epoch order by epoch desc limit 100) e), '[]') as epochs,
  to_regclass('repctl.request') is not null as requests`;

/**
 * `visible` is what may be relied on, in the WAL of the subscription's upstream:
 * - the origin's remote_lsn, which moves just before its transaction becomes visible. It is read first (the
 *   lateral joins hang on it) and counts only if no worker has a transaction open after that;
 * - latest_end_lsn, the last keepalive the worker handled: all earlier commits were applied before it. It moves
 *   past WAL without transactions, where remote_lsn stays.
 */
const positionSql = (origin: boolean): string => `
with subscription as materialized (
  select s.oid, s.subname,
    exists (select from pg_subscription_rel r where r.srsubid = s.oid and r.srsubstate <> 'r') as copying
  from pg_subscription s join pg_database d on d.oid = s.subdbid
  where d.datname = current_database() and s.subname like 'repctl\\_%' and s.subslotname is not null
  order by s.oid desc limit 1),
origin as materialized (
  select s.oid, ${
    origin
      ? `(select o.remote_lsn from pg_show_replication_origin_status() o where o.external_id = 'pg_' || s.oid)`
      : 'null::pg_lsn'
  } as remote_lsn
  from subscription s),
worker as (
  select w.* from origin o cross join lateral (
    select count(st.pid) filter (where st.relid is null) > 0
        and max(st.last_msg_receipt_time) > now() - interval '${String(SILENCE_SECONDS)} seconds' as live,
      max(st.latest_end_lsn) filter (where st.relid is null) as latest_end_lsn,
      coalesce(bool_or(a.backend_xid is not null), false) as in_transaction
    from pg_stat_subscription st left join pg_stat_activity a on a.pid = st.pid
    where st.subid = o.oid and coalesce(o.remote_lsn, '0/0') is not null) w)
select ${leadershipColumns}, s.subname, s.copying, o.remote_lsn::text, w.live, w.latest_end_lsn::text, w.in_transaction
from (select) one left join subscription s on true left join origin o on true left join worker w on true`;

const leadershipSql = `select ${leadershipColumns}`;

interface Row {
  identity: string | null;
  born: string | null;
  epochs: EpochRow[];
  requests: boolean;
  subname?: string | null;
  copying?: boolean | null;
  remote_lsn?: Lsn | null;
  live?: boolean | null;
  latest_end_lsn?: Lsn | null;
  in_transaction?: boolean | null;
}

const STRANGER = { identity: null, born: null, epochs: [], requests: false } as const;

/**
 * What this node knows. With `position`, also how far its subscription is: the origin's position where the role
 * may ask for it, else the worker's last keepalive. A database without schema repctl is a stranger, no error.
 */
export async function viewNode(session: Session, position: boolean): Promise<NodeView> {
  try {
    return await query(session, position ? positionSql(true) : leadershipSql);
  } catch (error) {
    const state = sqlStateOf(error);
    if (state === '42P01' || state === '3F000')
      return { name: session.node, ...STRANGER, feed: 'none', position: null };
    if (state !== '42501' || !position) throw error;
    return query(session, positionSql(false));
  }
}

async function query(session: Session, sql: string): Promise<NodeView> {
  const [row] = await session.query<Row>(sql);
  const { identity = null, born = null, epochs = [], requests = false } = row ?? {};
  const epoch = subscriptionEpoch(row?.subname ?? '');
  const settled = row?.in_transaction === true ? null : (row?.remote_lsn ?? null);
  const heard = row?.latest_end_lsn ?? null;
  const lsn = settled !== null && heard !== null ? maxLsn(settled, heard) : (settled ?? heard);
  return {
    name: session.node,
    identity,
    born,
    epochs,
    requests,
    feed: epoch === undefined ? 'none' : row?.copying ? 'copying' : row?.live ? 'live' : 'gone',
    position: epoch === undefined || lsn === null ? null : { epoch, lsn },
  };
}

/**
 * Where this node stands after the rows were read: at or past everything that they showed. An upper bound, so
 * remote_lsn counts here even while its transaction is still becoming visible.
 */
export async function positionAfterRead(session: Session, leader: boolean): Promise<Lsn | null> {
  if (leader) {
    const [row] = await session.query<{ lsn: Lsn }>('select pg_current_wal_insert_lsn()::text as lsn');
    return row?.lsn ?? null;
  }
  const greatest = (origin: boolean): string => `
    select greatest(${origin ? `(select o.remote_lsn from pg_show_replication_origin_status() o where o.external_id = 'pg_' || s.oid)` : 'null'},
      (select max(${origin ? 'st.latest_end_lsn' : 'greatest(st.latest_end_lsn, st.received_lsn)'}) from pg_stat_subscription st where st.subid = s.oid and st.relid is null))::text as lsn
    from pg_subscription s join pg_database d on d.oid = s.subdbid
    where d.datname = current_database() and s.subname like 'repctl\\_%' and s.subslotname is not null
    order by s.oid desc limit 1`;
  try {
    return (await session.query<{ lsn: Lsn | null }>(greatest(true)))[0]?.lsn ?? null;
  } catch (error) {
    if (sqlStateOf(error) !== '42501') throw error;
    return (await session.query<{ lsn: Lsn | null }>(greatest(false)))[0]?.lsn ?? null;
  }
}
