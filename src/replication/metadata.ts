/**
 * Schema `repctl`, alike on every node. `epoch`, `event` and `request` are published with the data, so a
 * replica's newest epoch row is exactly the epoch it has reached; `node`, `standby` and `reserved` are each node's own.
 */
import { literal } from '../postgres/quote.js';

/** Clusters that were created before it was introduced get it when first needed. */
export const reservedTableSql = `create table if not exists repctl.reserved (
     epoch integer primary key,
     node text not null,
     run uuid not null,
     at timestamptz not null default clock_timestamp())`;

/** Creates what is missing; safe to run again. */
export const metadataSql: readonly string[] = [
  `create schema if not exists repctl`,
  `create table if not exists repctl.node (
     only_row boolean primary key default true check (only_row),
     name text not null,
     cluster text not null,
     created_at timestamptz not null default now())`,
  `create table if not exists repctl.epoch (
     epoch integer primary key,
     leader text not null,
     previous_leader text,
     fork_point pg_lsn,
     previous_lsn pg_lsn,
     started_at timestamptz not null default clock_timestamp(),
     operation text not null,
     operator text not null,
     reason text)`,
  `create table if not exists repctl.event (
     id uuid primary key default gen_random_uuid(),
     at timestamptz not null default clock_timestamp(),
     epoch integer not null,
     kind text not null,
     node text,
     operator text not null,
     reason text,
     details jsonb not null default '{}')`,
  `create table if not exists repctl.standby (
     sibling text primary key,
     epoch integer not null,
     base_lsn pg_lsn not null)`,
  reservedTableSql,
  // One row per product write, in the write's own transaction and published with it: a write whose answer was
  // lost can be sent again under the same id, also to a new leader, and happens once. Kept for seven days.
  `create table if not exists repctl.request (
     id uuid primary key,
     at timestamptz not null default clock_timestamp(),
     outcome jsonb not null)`,
  // SECURITY DEFINER: a client that may write to a table need not be able to read schema repctl.
  `create or replace function repctl.refuse() returns trigger
     language plpgsql security definer set search_path = pg_catalog as $refuse$
   declare
     newest record;
   begin
     select e.epoch, e.leader into newest from repctl.epoch e order by e.epoch desc limit 1;
     raise exception 'this node does not take writes: the leader is % (epoch %)', newest.leader, newest.epoch
       using errcode = '25006', hint = 'Write to the leader; repctl status shows it.';
   end $refuse$`,
];

/** Gives this database its name in the cluster; does nothing when it has one. */
export const nameNodeSql = (cluster: string, node: string): string =>
  `insert into repctl.node (name, cluster) values (${literal(node)}, ${literal(cluster)}) on conflict do nothing`;

/** Everything repctl made in this schema. */
export const dropMetadataSql = 'drop schema if exists repctl cascade';

/** The tables of schema repctl that are published with the data. */
export const PUBLISHED_METADATA = [
  { schema: 'repctl', name: 'epoch' },
  { schema: 'repctl', name: 'event' },
  { schema: 'repctl', name: 'request' },
] as const;
