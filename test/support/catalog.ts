/** Everything of the catalogs and of schema repctl that a change of the leader touches: for "as before". */
import type { Fleet } from '../../src/cluster/fleet.js';

const CATALOG_SQL = `
select json_build_object(
  'subscriptions', (select json_agg(json_build_array(oid, subname, subenabled, subslotname, subpublications) order by oid)
     from pg_subscription where subdbid = (select oid from pg_database where datname = current_database())),
  'origins', (select json_agg(roname order by roname) from pg_replication_origin),
  'slots', (select json_agg(slot_name order by slot_name) from pg_replication_slots where not temporary),
  'triggers', (select json_agg(json_build_array(oid, tgrelid::regclass, tgname, tgenabled) order by oid) from pg_trigger where not tgisinternal),
  'published', (select json_agg(json_build_array(oid, prpubid, prrelid) order by oid) from pg_publication_rel),
  'sequences', (select json_agg(json_build_array(schemaname, sequencename, last_value) order by sequencename) from pg_sequences),
  'settings', (select json_agg(json_build_array(name, setting) order by name) from pg_settings
     where name in ('synchronous_standby_names', 'default_transaction_read_only')),
  'prepared', (select json_agg(gid order by gid) from pg_prepared_xacts),
  'epoch', (select json_agg(e order by epoch) from repctl.epoch e),
  'event', (select json_agg(e order by id) from repctl.event e),
  'reserved', (select json_agg(json_build_array(epoch, node) order by epoch) from repctl.reserved),
  'standby', (select json_agg(s order by sibling) from repctl.standby s)) as state`;

/** One document for each node that answers; nodes without schema repctl must not be among `names`. */
export const catalogsOf = async (
  fleet: Fleet,
  names: readonly string[] = fleet.config.nodes.map(({ name }) => name),
): Promise<Record<string, unknown>> =>
  Object.fromEntries(
    await Promise.all(
      names.map(async (name) => {
        const session = await fleet.session(name);
        const [row] = await session.query<{ state: unknown }>(CATALOG_SQL);
        return [name, row?.state] as const;
      }),
    ),
  );
