/** A tables action as a step that an operator can read. */
import { createFenceSql, disableFenceSql, dropFenceSql } from '../../cluster/fence.js';
import type { TableName } from '../../cluster/model.js';
import { FENCE_TRIGGER, slotName } from '../../cluster/names.js';
import { literal, qualified } from '../../postgres/quote.js';
import { addToPublicationSql, dropFromPublicationSql, tableKey } from '../../replication/publications.js';
import { refreshSubscriptionSql } from '../../replication/subscriptions.js';
import type { TablesAction, TablesStep } from './actions.js';

interface Description {
  readonly id: string;
  readonly on: string;
  readonly title: string;
  readonly why: string;
  readonly sql: readonly string[];
}

/** `group` lets consecutive steps run at the same time. */
export function stepOf(action: TablesAction, group?: string): TablesStep {
  const { id, on, title, why, sql } = describe(action);
  return { id, node: on, title, why, sql, action, ...(group === undefined ? {} : { group }) };
}

const list = (tables: readonly TableName[]): string => tables.map(tableKey).join(', ');
const lock = (table: TableName): string => `lock table ${qualified(table)} in share row exclusive mode`;

function describe(action: TablesAction): Description {
  switch (action.kind) {
    case 'begin':
      return {
        id: `begin:${action.leader}`,
        on: action.leader,
        title: `note what begins: ${action.verb} ${list(action.tables)}`,
        why: 'whoever goes on after an interruption knows that it is not finished',
        sql: [
          `insert into repctl.event (kind, …) values (${literal(`publication-${action.verb}-begin`)}, …)`,
        ],
      };
    case 'fence': {
      const key = tableKey(action.table);
      return {
        id: `fence:${action.node}:${key}`,
        on: action.node,
        title: `fence ${key} on ${action.node}`,
        why: action.enabled
          ? 'clients must not write to a replica; the apply worker and the initial copy pass'
          : 'on the leader the fence is there, disabled, until another node leads',
        sql: [createFenceSql(action.table), ...(action.enabled ? [] : [disableFenceSql(action.table)])],
      };
    }
    case 'publish-table': {
      const key = tableKey(action.table);
      return {
        id: `publish:${action.node}:${key}`,
        on: action.node,
        title: `publish ${key} on ${action.node}`,
        why: action.leads
          ? 'after writers in flight have ended, so that no transaction is published by half'
          : 'so that its standby slots have every change of the table, should it be promoted',
        sql: [lock(action.table), addToPublicationSql([action.table])],
      };
    }
    case 'attach-table': {
      const key = tableKey(action.table);
      return {
        id: `attach:${action.node}:${key}`,
        on: action.node,
        title: `${action.copy ? 'copy' : 'prove and attach'} ${key} on ${action.node}`,
        why: action.copy
          ? 'the table is empty here: an initial copy, then the stream'
          : 'the table holds rows here: their digest must equal the leader’s at one point, from which the stream goes on',
        sql: [
          ...(action.copy
            ? []
            : [
                `-- digest of ${key} on ${action.leader} and ${action.node}`,
                `-- on ${action.leader}, while ${action.node} catches up: ${lock(action.table)}`,
              ]),
          refreshSubscriptionSql(action.subscription, action.copy),
        ],
      };
    }
    case 'await-tables':
      return {
        id: 'await-tables',
        on: action.nodes[0] ?? '',
        title: `copy rows to ${action.nodes.join(', ')}`,
        why: 'every table must be ready before the addition is finished',
        sql: [`select srsubstate = 'r' from pg_subscription_rel`],
      };
    case 'unpublish-table': {
      const key = tableKey(action.table);
      return {
        id: `unpublish:${action.node}:${key}`,
        on: action.node,
        title: `stop publishing ${key} on ${action.node}`,
        why: action.leads ? 'first the leader, so that nothing more is sent' : 'every node publishes alike',
        sql: [lock(action.table), dropFromPublicationSql([action.table])],
      };
    }
    case 'detach-table': {
      const key = tableKey(action.table);
      return {
        id: `detach:${action.node}:${key}`,
        on: action.node,
        title: `forget ${key} in the subscription of ${action.node}`,
        why: 'its rows stay',
        sql: [refreshSubscriptionSql(action.subscription, false)],
      };
    }
    case 'unfence': {
      const key = tableKey(action.table);
      return {
        id: `unfence:${action.node}:${key}`,
        on: action.node,
        title: `remove the fence of ${key} on ${action.node}`,
        why: `trigger ${FENCE_TRIGGER} guards replicated tables only`,
        sql: [dropFenceSql(action.table)],
      };
    }
    case 'end':
      return {
        id: `end:${action.leader}`,
        on: action.leader,
        title: `record that it is done and see it arrive on ${action.nodes.join(', ')}`,
        why: 'a row written to repctl.event must become visible on every replica',
        sql: [`insert into repctl.event (kind, …) values (${literal(`publication-${action.verb}`)}, …)`],
      };
    case 'move-standby':
      return {
        id: `move-standby:${action.node}`,
        on: action.node,
        title: `move the standby slots on ${action.node} past the copy`,
        why: 'the copied rows must not ship to a sibling that has copied them itself',
        sql: action.siblings.map(
          (sibling) => `select pg_replication_slot_advance(${literal(slotName(sibling))}, <now>)`,
        ),
      };
  }
}
