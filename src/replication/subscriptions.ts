/** Subscriptions: pure builders, one statement each. Those of one list belong into one transaction. */
import type pg from 'pg';
import { conninfoPair, ident, literal } from '../postgres/quote.js';
import type { Lsn } from '../postgres/lsn.js';
import { PUBLICATION, slotName, subscriptionName } from '../cluster/names.js';

/**
 * The connection string of a subscription. A password is always written, since a subscription of a role that is
 * no superuser must have one; application_name is what the leader's pg_stat_replication and
 * synchronous_standby_names see.
 */
export function conninfo(
  connection: Pick<pg.ClientConfig, 'host' | 'port' | 'user' | 'database'> & { password?: unknown },
  applicationName: string,
  extra: Readonly<Record<string, string>> = {},
): string {
  const pairs: Record<string, string> = {
    host: connection.host ?? 'localhost',
    port: String(connection.port ?? 5432),
    user: connection.user ?? '',
    ...(typeof connection.password === 'string' && connection.password !== ''
      ? { password: connection.password }
      : {}),
    dbname: connection.database ?? '',
    application_name: applicationName,
    ...extra,
  };
  return Object.entries(pairs)
    .map(([key, value]) => conninfoPair(key, value))
    .join(' ');
}

export interface SubscriptionRequest {
  /** The replica, and the epoch whose leader it follows. */
  readonly node: string;
  readonly epoch: number;
  /** How the replica reaches the leader: conninfo(…). */
  readonly connection: string;
  readonly copyData: boolean;
  /** server_version_num of the replica. */
  readonly versionNum: number;
  /** Commits on the leader wait for this replica: it applies with synchronous_commit=local, not the default off. */
  readonly confirms?: boolean;
}

/**
 * The slot exists already (`create_slot=false`), so this may run in a transaction. `origin=any`: with `none` the
 * leader would not send what it had itself received before its promotion, which is what siblings lack.
 * `streaming=off` (18's default is parallel): a large transaction then reaches the worker after its commit, and
 * one worker applies it, so that an idle worker's position is a visible one. `synchronous_commit=local` while it
 * copies: a sync worker commits the end of its table and then drops its slot on the leader (tablesync.c); with `off`
 * a crash takes the commit back, and the slot stays dropped. Who waits for the copy sets it back afterwards.
 */
export function createSubscriptionSql(request: SubscriptionRequest): string {
  const options = [
    'create_slot = false',
    `slot_name = ${literal(slotName(request.node))}`,
    `copy_data = ${String(request.copyData)}`,
    'two_phase = false',
    'streaming = off',
    ...(request.versionNum >= 160_000 ? ['origin = any'] : []),
    ...(request.confirms === true || request.copyData ? ['synchronous_commit = local'] : []),
  ];
  const name = ident(subscriptionName(request.node, request.epoch));
  return `create subscription ${name} connection ${literal(request.connection)} publication ${ident(PUBLICATION)} with (${options.join(', ')})`;
}

export const enableSubscriptionSql = (name: string): string => `alter subscription ${ident(name)} enable`;
export const disableSubscriptionSql = (name: string): string => `alter subscription ${ident(name)} disable`;

/**
 * With `off`, the default, a replica confirms a transaction when its WAL writer has flushed it by chance, about 200 ms
 * later; with `local` at once. The apply worker takes it over without starting anew.
 */
export const synchronousCommitSql = (name: string, value: 'local' | 'off'): string =>
  `alter subscription ${ident(name)} set (synchronous_commit = ${value})`;

/**
 * A tombstone: disabled and without a slot, so that it touches no server any more, but its origin lives: as long
 * as it does, decoding on this node tells where each replicated transaction came from.
 */
export const tombstoneSql = (name: string): readonly string[] => [
  disableSubscriptionSql(name),
  `alter subscription ${ident(name)} set (slot_name = none)`,
];

/** Drops a subscription and leaves its slot alone: that lives on another node, which may be gone. */
export const dropSubscriptionSql = (name: string): readonly string[] => [
  ...tombstoneSql(name),
  `drop subscription ${ident(name)}`,
];

/**
 * The rewire of a replica, for one transaction: every old subscription becomes a tombstone, the new one comes.
 * Never ALTER SUBSCRIPTION … CONNECTION: the origin would ask the new leader for the old leader's LSN. And never
 * DROP SUBSCRIPTION in the same transaction: it clears the origin's position at once and not transactionally
 * (replorigin_drop_by_name, origin.c), so that a rollback, or a crash before the commit, would leave the old
 * subscription without its position. The tombstones are dropped once the new one is committed.
 */
export const swapSubscriptionSql = (
  old: readonly string[],
  request: SubscriptionRequest,
): readonly string[] => [...old.flatMap(tombstoneSql), createSubscriptionSql(request)];

/** Must run outside a transaction block, with the subscription enabled. */
export const refreshSubscriptionSql = (name: string, copyData: boolean): string =>
  `alter subscription ${ident(name)} refresh publication with (copy_data = ${String(copyData)})`;

/**
 * Passes over the one remote transaction that finishes at `lsn`: everything it changed is lost on this replica.
 * Superusers only, on every version from 15 to 18.
 */
export const skipTransactionSql = (name: string, lsn: Lsn): string =>
  `alter subscription ${ident(name)} skip (lsn = ${literal(lsn)})`;
