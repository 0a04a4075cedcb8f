/** An action as a step that an operator can read: id, title, reason, and the SQL that --dry-run shows. */
import type { TableName } from '../cluster/model.js';
import { FENCE_TRIGGER, PUBLICATION, slotName, subscriptionName } from '../cluster/names.js';
import { settingOf, syncText } from '../cluster/sync.js';
import { ident, literal, qualified } from '../postgres/quote.js';
import { upkeepSql } from '../replication/upkeep.js';
import type { Action, OperationStep, Reservation } from './actions.js';

interface Description {
  readonly on: string;
  readonly title: string;
  readonly why: string;
  readonly sql: readonly string[];
}

const names = (tables: readonly TableName[]): string => tables.map(qualified).join(', ');

/** `1 table`, `3 tables` */
export const countTables = (tables: readonly TableName[]): string =>
  `${String(tables.length)} ${tables.length === 1 ? 'table' : 'tables'}`;
const slotSql = (node: string): string =>
  `select pg_create_logical_replication_slot(${literal(slotName(node))}, 'pgoutput')`;
const subscribeSql = (node: string, leader: string, epoch: number, copy: boolean): string =>
  `create subscription ${ident(subscriptionName(node, epoch))} connection '<${leader}, application_name=${node}>' publication ${PUBLICATION} ` +
  `with (create_slot=false, slot_name=${literal(slotName(node))}, copy_data=${String(copy)}, origin=any)`;
const tombstoneSql = (name: string): string[] => [
  `alter subscription ${ident(name)} disable`,
  `alter subscription ${ident(name)} set (slot_name = none)`,
];
const reserveText = ({ epoch, node, on }: Reservation): string =>
  `-- on ${on.join(', ')}: insert into repctl.reserved (epoch, node, run) values (${String(epoch)}, ${literal(node)}, '<this run>')`;

/** The step for an action. `group` lets consecutive steps run at the same time. */
export function stepFor(action: Action, group?: string): OperationStep {
  const { on, title, why, sql } = describe(action);
  const subject = subjectOf(action, on);
  return {
    id: `${action.kind}:${subject}`,
    node: on,
    title,
    why,
    sql,
    action,
    ...(group === undefined ? {} : { group }),
  };
}

function subjectOf(action: Action, on: string): string {
  if ('nodes' in action) return action.nodes.join('+');
  // A change of the quorum records twice: what holds meanwhile, and what holds in the end.
  if (action.kind === 'sync-record')
    return `${on}:${action.sync.k === 0 ? 'async' : `${String(action.sync.k)}of${String(action.sync.names.length)}`}`;
  return on;
}

const setStandbyNamesSql = (value: string): string[] => [
  value === ''
    ? 'alter system reset synchronous_standby_names'
    : `alter system set synchronous_standby_names = ${literal(value)}`,
  'select pg_reload_conf()',
];

function describe(action: Action): Description {
  switch (action.kind) {
    case 'prepare':
      return {
        on: action.node,
        title: `prepare ${action.node}`,
        why: 'schema repctl holds the name of the node, the epochs and the events',
        sql: [
          'create schema if not exists repctl',
          '…',
          ...(action.products ? ['create table products (…)'] : []),
        ],
      };
    case 'publish':
      return {
        on: action.node,
        title: `publish ${countTables(action.tables)} on ${action.node}`,
        why: action.leads
          ? 'the leader publishes; its fence is made but stays disabled'
          : 'every node has the same publication; the fence keeps clients from writing to a replica',
        sql: [
          `create publication ${PUBLICATION} for table ${names(action.tables)}, repctl.epoch, repctl.event`,
          ...action.tables.map(
            (table) =>
              `create trigger ${FENCE_TRIGGER} before insert or update or delete or truncate on ${qualified(table)} for each statement execute function repctl.refuse()`,
          ),
        ],
      };
    case 'found':
      return {
        on: action.leader,
        title: `begin epoch 1 under ${action.leader}`,
        why: 'the epoch row travels in the stream: whoever has it follows this leader',
        sql: [`insert into repctl.epoch (epoch, leader, …) values (1, ${literal(action.leader)}, …)`],
      };
    case 'subscribe':
      return {
        on: action.node,
        title: `subscribe ${action.node} to ${action.leader}`,
        why: 'the tables are empty here: an initial copy, then the stream',
        sql: [
          `-- on ${action.leader}: ${slotSql(action.node)}`,
          subscribeSql(action.node, action.leader, action.epoch, true),
        ],
      };
    case 'attach-equal':
      return {
        on: action.node,
        title: `attach ${action.node} to ${action.leader} after proving it equal`,
        why: 'the tables hold rows already: they must equal the leader at the snapshot of the slot',
        sql: [
          `-- on ${action.leader}: CREATE_REPLICATION_SLOT ${slotName(action.node)} LOGICAL pgoutput (SNAPSHOT 'export')`,
          `-- digest of ${names(action.tables)} on both`,
          subscribeSql(action.node, action.leader, action.epoch, false),
        ],
      };
    case 'reconcile':
      return {
        on: action.node,
        title: `reconcile ${action.node} with ${action.leader}`,
        why: `compared by digest at the snapshot of a new slot; only rows that differ are written; the stream goes on from there`,
        sql: [
          `-- on ${action.leader}: CREATE_REPLICATION_SLOT ${slotName(action.node)} LOGICAL pgoutput (SNAPSHOT 'export')`,
          'begin',
          `lock table ${names(action.tables)}, repctl.epoch, … in share row exclusive mode`,
          `-- digest of ${names(action.tables)} on both`,
          'delete from <table> where <key> in (<keys that differ>)',
          `copy <table> from stdin -- those rows of ${action.leader}`,
          'drop subscription <old>',
          subscribeSql(action.node, action.leader, action.epoch, false),
          'commit',
        ],
      };
    case 'await-copy':
      return {
        on: action.nodes[0] ?? '',
        title: `copy rows to ${action.nodes.join(', ')}`,
        why: 'every table must be ready before the node counts as a replica',
        sql: [`select srsubstate = 'r' from pg_subscription_rel`],
      };
    case 'verify':
      return {
        on: action.leader,
        title: `verify that ${action.nodes.length === 0 ? 'the event is written' : `a row reaches ${action.nodes.join(', ')}`}`,
        why: 'a row written to repctl.event must become visible on every attached node',
        sql: [
          `insert into repctl.event (epoch, kind, …) values (${String(action.epoch)}, ${literal(action.operation)}, …)`,
        ],
      };
    case 'standby':
      return {
        on: action.node,
        title: `standby slots on ${action.node}`,
        why: 'they hold the WAL that the others would need if this node were promoted',
        sql: action.siblings.flatMap((sibling) => [
          slotSql(sibling),
          `select pg_replication_slot_advance(${literal(slotName(sibling))}, <now>)`,
        ]),
      };
    case 'quiesce':
      return {
        on: action.node,
        title: `drain ${action.node}`,
        why: 'what the apply worker received is still applied; then the subscription is disabled',
        sql: [`alter subscription ${ident(action.subscription)} disable`],
      };
    case 'resume':
      return {
        on: action.node,
        title: `let ${action.node} go on`,
        why: 'its subscription was disabled; it goes on exactly where it stopped',
        sql: [`alter subscription ${ident(action.subscription)} enable`],
      };
    case 'fence':
      return {
        on: action.node,
        title: `fence ${action.node}`,
        why: 'it waits for writers in flight and lets no new one in; readers are not held up',
        sql: [
          ...action.upkeep.flatMap(upkeepSql).map((sql) => `-- on ${action.target}: ${sql}`),
          reserveText(action.reserve),
          'begin',
          `lock table <each> in share row exclusive mode`,
          `insert into repctl.event (epoch, kind, …) values (${String(action.epoch)}, 'barrier', …)`,
          `alter table <each> enable trigger ${FENCE_TRIGGER}`,
          'commit',
        ],
      };
    case 'drain':
      return {
        on: action.leader,
        title: `drain into ${action.nodes.join(', ')}`,
        why: 'once the last row that the leader wrote is visible everywhere, nothing can be lost',
        sql: ['select from repctl.event where id = <the barrier>'],
      };
    case 'promote':
      return {
        on: action.node,
        title: `promote ${action.node}`,
        why: 'one transaction: writes work from its commit on',
        sql: [
          ...(action.sync === undefined ? [] : setStandbyNamesSql(settingOf(action.sync))),
          ...(action.drained === true ? [] : [reserveText(action.reserve)]),
          'begin',
          ...tombstoneSql(action.subscription),
          `alter table <each> disable trigger ${FENCE_TRIGGER}`,
          `select setval(<each sequence>, <past the highest value in use>)`,
          `insert into repctl.epoch (epoch, leader, previous_leader, fork_point, …) values (${String(action.epoch)}, ${literal(action.node)}, ${literal(action.previousLeader)}, <applied position>, …)`,
          'commit',
        ],
      };
    case 'attach':
      return {
        on: action.node,
        title: `attach ${action.node} to ${action.leader}`,
        why: `mapped: ${action.leader}'s slot for it goes on with precisely the next transaction; no row is copied`,
        sql: [
          `-- on ${action.leader}: select … from pg_logical_slot_peek_binary_changes(${literal(slotName(action.node))}, …)`,
          `-- on ${action.leader}: select pg_replication_slot_advance(${literal(slotName(action.node))}, <mapped point>)`,
          'begin',
          'alter subscription <old> disable',
          'alter subscription <old> set (slot_name = none)',
          subscribeSql(action.node, action.leader, action.epoch, false),
          'commit',
          'drop subscription <old>',
        ],
      };
    case 'recopy':
      return {
        on: action.node,
        title: `empty ${action.node} and copy from ${action.leader}`,
        why: 'asked for with --recopy: every row is copied again',
        sql: [
          `-- on ${action.leader}: ${slotSql(action.node)}`,
          'begin',
          'drop subscription <old>',
          `truncate ${names(action.tables)}, repctl.epoch, repctl.event`,
          subscribeSql(action.node, action.leader, action.epoch, true),
          'commit',
        ],
      };
    case 'drop-tombstone':
      return {
        on: action.node,
        title: `drop the tombstone on ${action.node}`,
        why: 'every node is attached: the origins of the former epoch are not needed any more',
        sql: action.subscriptions.map((name) => `drop subscription ${ident(name)}`),
      };
    case 'unsubscribe':
      return {
        on: action.node,
        title: `unsubscribe ${action.node}`,
        why: 'its rows stay as they are',
        sql: action.subscriptions.flatMap((name) => [
          ...tombstoneSql(name),
          `drop subscription ${ident(name)}`,
        ]),
      };
    case 'drop-slots':
      return {
        on: action.node,
        title: `drop ${String(action.slots.length)} ${action.slots.length === 1 ? 'slot' : 'slots'} on ${action.node}`,
        why: 'a slot that nobody reads holds WAL for ever',
        sql: action.slots.map((slot) => `select pg_drop_replication_slot(${literal(slot)})`),
      };
    case 'save-stranded':
      return {
        on: action.node,
        title: `save what only ${action.node} has`,
        why: `transactions after ${action.forkPoint} that ${action.successor} never got go to a file, synced to disk, before anything is dropped`,
        sql: [
          `select data from pg_logical_slot_peek_binary_changes(${literal(action.slot)}, null, null, …)`,
          `-- into ${action.directory}/stranded-${action.node}-${String(action.reign)}.jsonl`,
        ],
      };
    case 'rejoin':
      return {
        on: action.node,
        title: `make ${action.node} a replica of ${action.leader}`,
        why: 'only rows that were changed on either side since the fork are set right; then the stream goes on from that very point',
        sql: [
          `-- on ${action.leader}: CREATE_REPLICATION_SLOT … TEMPORARY LOGICAL pgoutput (SNAPSHOT 'export')`,
          `-- keys of rows changed since the fork, from slots ${action.slot} here and ${slotName(action.node)} on ${action.leader}`,
          'begin',
          'delete from <table> where <key> in (<those that differ>)',
          `copy <table> from stdin -- those rows of ${action.leader}`,
          'commit',
          `-- on ${action.leader}: select pg_replication_slot_advance(${literal(slotName(action.node))}, <the snapshot's point>)`,
          subscribeSql(action.node, action.leader, action.epoch, false),
        ],
      };
    case 'replay-stranded':
      return {
        on: action.leader,
        title: `replay what only ${action.node} had on ${action.leader}`,
        why: 'row by row, where the row is untouched since the fork; what is not is listed as a conflict and left alone',
        sql: [
          `-- each transaction of ${action.file}`,
          'begin',
          'insert into <table> … / update <table> … / delete from <table> …',
          'insert into repctl.request … -- so that it happens once',
          'commit',
        ],
      };
    case 'unpublish':
      return {
        on: action.node,
        title: `remove repctl from ${action.node}`,
        why: 'fence, publication and schema repctl; rows stay',
        sql: [
          `drop trigger ${FENCE_TRIGGER} on <each table>`,
          `drop publication if exists ${PUBLICATION}`,
          'drop schema if exists repctl cascade',
        ],
      };
    case 'fence-node':
      return {
        on: action.node,
        title: `fence ${action.node}`,
        why: 'writers in flight finish, no new one is let in; proved by a refused write on every table',
        sql: [
          `set local lock_timeout = '100ms'`,
          'lock table <each, sorted> in share row exclusive mode',
          `alter table <each> enable trigger ${FENCE_TRIGGER}`,
          'delete from <each> where false -- must be refused with 25006',
        ],
      };
    case 'unfence-node':
      return {
        on: action.node,
        title: `unfence ${action.node}`,
        why: `it leads epoch ${String(action.epoch)}: clients may write again`,
        sql: [`alter table <each> disable trigger ${FENCE_TRIGGER}`],
      };
    case 'sync-commit':
      return {
        on: action.node,
        title: `apply with synchronous_commit=${action.value} on ${action.node}`,
        why:
          action.value === 'local'
            ? 'it confirms a commit once that is flushed; with off the leader would wait about 200 ms for each'
            : 'nobody waits for its flush any more, and it applies faster without',
        sql: [`alter subscription ${ident(action.subscription)} set (synchronous_commit = ${action.value})`],
      };
    case 'sync-setting':
      return {
        on: action.node,
        title:
          action.value === ''
            ? `commits on ${action.node} wait for nobody`
            : `commits on ${action.node} wait for ${action.value}`,
        why:
          action.value === ''
            ? 'from now on a commit is acknowledged as soon as it is flushed here'
            : 'from now on no commit is acknowledged before these have flushed it; so it is for every database of this server',
        sql: setStandbyNamesSql(action.value),
      };
    case 'sync-record':
      return {
        on: action.node,
        title: `record the sync mode ${syncText(action.sync)}${action.sync.k === 0 ? '' : ` (${String(action.sync.k)} of ${action.sync.names.join(', ')})`}`,
        why: 'a failover reads it when the leader is gone; it never promises more than was kept',
        sql: [
          `insert into repctl.event (epoch, kind, details, …) values (${String(action.epoch)}, 'sync', ${literal(JSON.stringify(action.sync))}, …)`,
        ],
      };
  }
}
