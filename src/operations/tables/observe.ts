/** What `publication add` and `drop` must know of tables before they plan. */
import { currentEpoch, ownSubscription, reachableLeader } from '../../cluster/epochs.js';
import type { Fleet } from '../../cluster/fleet.js';
import { leaderless } from '../../cluster/leaderless.js';
import type { ReachableNode, Snapshot, TableName } from '../../cluster/model.js';
import { FENCE_TRIGGER, PUBLICATION, subscriptionName } from '../../cluster/names.js';
import { EXIT, RepctlError } from '../../errors.js';
import type { Lsn } from '../../postgres/lsn.js';
import { literal, qualified } from '../../postgres/quote.js';
import { tableKey } from '../../replication/publications.js';
import { COLUMNS_SQL, IDENTIFIABLE_SQL } from './sql.js';
import type { NodeTable, NodeTables, TableEvent, TablesState, TableVerb } from './model.js';

/**
 * $1: names, as to_regclass reads them; $2: the node's subscription. Besides those named, every published table.
 * Members of a table are itself and all its partitions: rows, fence and synchronisation are theirs.
 */
const TABLES_SQL = `
with published as (
  select r.prrelid as oid from pg_publication_rel r join pg_publication p on p.oid = r.prpubid
  where p.pubname = ${literal(PUBLICATION)}
), wanted as (
  select to_regclass(t)::oid as oid from unnest($1::text[]) t where to_regclass(t) is not null
  union select oid from published
), members as (
  select oid, oid as member from wanted
  union select w.oid, t.relid from wanted w cross join lateral pg_partition_tree(w.oid) t
), subscribed as (
  select r.srrelid as oid, r.srsubstate::text as state
  from pg_subscription_rel r join pg_subscription s on s.oid = r.srsubid
  where s.subname = $2 and s.subdbid = (select d.oid from pg_database d where d.datname = current_database())
)
select n.nspname as schema, c.relname as name, c.relkind::text as kind, c.relpersistence = 'p' as permanent,
       coalesce((select json_agg(json_build_object('schema', an.nspname, 'name', a.relname))
                   from pg_partition_ancestors(c.oid) p(oid) join pg_class a on a.oid = p.oid
                   join pg_namespace an on an.oid = a.relnamespace where a.oid <> c.oid), '[]') as ancestors,
       ${COLUMNS_SQL} as columns, ${IDENTIFIABLE_SQL} as identifiable,
       c.oid in (select oid from published) as published,
       (select case when bool_or(g.tgenabled is null) then 'missing'
                    when bool_and(g.tgenabled in ('O', 'A')) then 'enabled'
                    when bool_or(g.tgenabled in ('O', 'A')) then 'mixed' else 'disabled' end
          from members b left join pg_trigger g on g.tgrelid = b.member and g.tgname = ${literal(FENCE_TRIGGER)}
         where b.oid = c.oid) as fence,
       sync.state as sync, sync.some as subscribed
from wanted w join pg_class c on c.oid = w.oid join pg_namespace n on n.oid = c.relnamespace
cross join lateral (
  select case when bool_and(s.state is not null)
              then (array['i', 'd', 'f', 's', 'r'])[min(position(s.state in 'idfsr'))] end as state,
         coalesce(bool_or(s.state is not null), false) as some
  from members b join pg_class m on m.oid = b.member and m.relkind = 'r' left join subscribed s on s.oid = b.member
  where b.oid = c.oid) sync
order by 1, 2`;

const EVENTS_SQL = `
select kind, epoch, details from repctl.event where kind like 'publication-%' order by epoch, at, id`;

/**
 * The tables asked for and all that are published, on every node. Throws RepctlError: `node-unreachable` (exit 3)
 * when any node does not answer, since tables change on all alike, and as leaderless() says.
 */
export async function observeTables(
  fleet: Fleet,
  snapshot: Snapshot,
  request: readonly TableName[],
): Promise<TablesState> {
  const silent = snapshot.nodes.filter((node) => !node.reachable);
  if (silent.length > 0) {
    throw new RepctlError(
      'node-unreachable',
      `Tables change on all nodes alike, and ${silent.map((node) => `${node.name} does not answer: ${node.message}`).join('; ')}`,
      {
        exit: EXIT.unreachable,
        hint: 'repctl status\nrepctl node remove takes a dead node out of the cluster.',
      },
    );
  }
  const epoch = currentEpoch(snapshot);
  const leader = reachableLeader(snapshot);
  if (epoch === undefined || leader === undefined) throw leaderless(snapshot);
  const events = await (await fleet.session(leader.name)).query<EventRow>(EVENTS_SQL);
  const begun = events.flatMap((event) => event.details.tables ?? []);
  const nodes = await Promise.all(
    snapshot.nodes.flatMap((node) =>
      node.reachable ? [nodeTables(fleet, node, leader.name, epoch.epoch, [...request, ...begun])] : [],
    ),
  );
  return {
    epoch: epoch.epoch,
    leader: leader.name,
    nodes,
    events: events.flatMap(tableEvent),
  };
}

interface EventRow {
  readonly kind: string;
  readonly epoch: number;
  readonly details: { readonly tables?: readonly TableName[]; readonly lsn?: Lsn };
}

function tableEvent(row: EventRow): TableEvent[] {
  const match = /^publication-(add|drop)(-begin)?$/.exec(row.kind);
  if (match === null) return [];
  return [
    {
      verb: match[1] as TableVerb,
      phase: match[2] === undefined ? 'end' : 'begin',
      tables: (row.details.tables ?? []).map(tableKey),
      epoch: row.epoch,
      lsn: row.details.lsn ?? null,
    },
  ];
}

async function nodeTables(
  fleet: Fleet,
  node: ReachableNode,
  leader: string,
  epoch: number,
  wanted: readonly TableName[],
): Promise<NodeTables> {
  const session = await fleet.session(node.name);
  const own = ownSubscription(node);
  const subscription =
    node.name !== leader && own?.enabled === true && own.name === subscriptionName(node.name, epoch)
      ? own.name
      : null;
  const found = await session.query<
    Omit<NodeTable, 'empty' | 'fence'> & { fence: NodeTable['fence'] | 'mixed' }
  >(TABLES_SQL, [wanted.map(qualified), subscription]);
  const asked = new Set(wanted.map(tableKey));
  const tables = await Promise.all(
    found
      // What is published elsewhere than at its own schema is none of these commands' business.
      .filter((table) => table.schema !== 'repctl')
      .map(async (table): Promise<NodeTable> => {
        const look =
          node.name !== leader && table.sync === null && (asked.has(tableKey(table)) || table.published);
        const empty = !look || (await session.query(`select from ${qualified(table)} limit 1`)).length === 0;
        return { ...table, empty, fence: table.fence === 'mixed' ? 'missing' : table.fence };
      }),
  );
  return { name: node.name, tables, subscription, bases: node.standbyBases };
}
