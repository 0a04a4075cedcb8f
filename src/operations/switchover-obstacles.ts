/** Why a switchover is refused before anything is changed. Pure. */
import { analyse } from '../cluster/analyse.js';
import type { Epoch, Finding, PublishedTable, ReachableNode } from '../cluster/model.js';
import { slotName } from '../cluster/names.js';
import { qualified } from '../postgres/quote.js';
import { type Facts, isAttached, noEpoch, olderTombstones, subscriptionOf, unknownNode } from './facts.js';
import { reservationsHidden } from './next-epoch.js';
import type { SwitchoverRequest } from './switchover-request.js';

/** Findings of `status` with which the leadership must not move; the others are no obstacle, or are looked at here. */
const BLOCKING: ReadonlySet<string> = new Set([
  ...['two-writable-nodes', 'leader-read-only', 'leader-subscribed', 'no-majority'],
  ...['identity-mismatch', 'other-cluster', 'privilege-missing', 'node-not-created', 'same-database-twice'],
  ...['stale-leader', 'stale-leader-unfenced', 'fence-missing', 'fence-down'],
  ...['subscription-missing', 'follows-old-leader', 'subscription-disabled', 'apply-error', 'worker-down'],
  ...['origin-none', 'table-not-subscribed', 'table-sync-stuck'],
  ...['publication-drift', 'publication-withholds', 'schema-drift'],
]);

/** The cause first, and what follows from it not at all: a table that one node alone publishes has no fence there, and is subscribed nowhere. */
const CAUSES = ['schema-drift', 'publication-drift'];
const FOLLOWING = ['table-not-subscribed', 'fence-missing', 'fence-down'];
function causesFirst(findings: readonly Finding[]): readonly Finding[] {
  const isCause = ({ code }: Finding): boolean => CAUSES.includes(code);
  if (!findings.some(isCause)) return findings;
  const others = findings.filter((one) => !isCause(one) && !FOLLOWING.includes(one.code));
  return [...findings.filter(isCause), ...others];
}

const error = (code: string, message: string, fix: string, node?: string): Finding => ({
  code,
  severity: 'error',
  ...(node === undefined ? {} : { node }),
  message,
  fix,
});

/** Names that cannot be meant. */
export function namesWrong(facts: Facts, { target, without }: SwitchoverRequest): Finding[] {
  const known = (name: string): boolean => facts.config.nodes.some((node) => node.name === name);
  const unknown = [...(target === undefined ? [] : [target]), ...without].filter((name) => !known(name));
  if (unknown.length > 0) return unknown.map((name) => unknownNode(facts, name));
  const leader = facts.epoch?.leader;
  if (leader !== undefined && without.includes(leader))
    return [
      error('leader-left-out', `${leader} is the leader: it cannot be left out.`, 'repctl failover', leader),
    ];
  if (target !== undefined && without.includes(target))
    return [
      error(
        'target-left-out',
        `${target} cannot become the leader and be left out.`,
        'Name another node, or another --without.',
        target,
      ),
    ];
  return [];
}

/** No epoch, or nobody who leads it. */
export function notNow(facts: Facts): Finding[] {
  const { epoch } = facts;
  if (epoch === undefined) return noEpoch(facts);
  if (facts.leader === undefined)
    return [
      error(
        'leader-unreachable',
        `${epoch.leader}, which leads epoch ${String(epoch.epoch)}, does not answer: nothing can be drained from it.`,
        'repctl failover',
        epoch.leader,
      ),
    ];
  return [error('no-candidate', 'There is no replica to switch over to.', 'repctl status')];
}

export const midChange = (epoch: Epoch, leader: ReachableNode, fix: string): Finding =>
  error(
    'mid-change',
    `The ${epoch.operation} to ${leader.name} (epoch ${String(epoch.epoch)}) is not finished.`,
    fix,
    leader.name,
  );

export function obstacles(
  facts: Facts,
  leader: ReachableNode,
  epoch: Epoch,
  request: SwitchoverRequest,
): Finding[] {
  const { target, without } = request;
  const hidden = reservationsHidden(facts);
  if (hidden.length > 0) return hidden;
  if (target === leader.name)
    return [
      error(
        'target-is-leader',
        `${leader.name} is the leader already (epoch ${String(epoch.epoch)}).`,
        'repctl status',
        leader.name,
      ),
    ];
  const unfinished = unfinishedChange(facts, leader, epoch);
  const named = target === undefined ? '' : ` ${target}`;
  if (unfinished !== undefined) return [unfinished];
  const down = facts.snapshot.nodes.flatMap((node) =>
    node.reachable || without.includes(node.name)
      ? []
      : [
          error(
            'node-unreachable',
            node.message,
            node.name === target
              ? `Start ${node.name}, or name another node.`
              : `repctl switchover${named} --without ${node.name}`,
            node.name,
          ),
        ],
  );
  if (down.length > 0) return down;
  const replicas = facts.reachable.filter(
    (node) => node.name !== leader.name && !without.includes(node.name),
  );
  const members = [leader, ...replicas];
  // The table is what tells a replica's epoch; without it nothing else that is found there means anything.
  const lost = members.filter((node) => node.identity !== null && node.epochs.length === 0);
  // Its rows may come after those of larger tables.
  const copying = lost.filter((node) =>
    subscriptionOf(node, epoch.epoch)?.tables.some(({ state }) => state !== 'r'),
  );
  if (copying.length > 0) return copying.flatMap((node) => behind(node, 'copying'));
  if (lost.length > 0)
    return lost.map((node) =>
      error(
        'epoch-missing',
        `${node.name} has no readable row in repctl.epoch: it cannot learn who leads.`,
        node === leader
          ? `Bring its rows to ${node.name} from another node: they are the same everywhere.`
          : `repctl rewire ${node.name} --recopy`,
        node.name,
      ),
    );
  const taking = members.map((node) => node.name);
  const { findings, nodes } = analyse(facts.snapshot, facts.config);
  const general = causesFirst(
    findings.filter(({ code, node }) => BLOCKING.has(code) && (node === undefined || taking.includes(node))),
  ).map((finding) => ({
    ...finding,
    message: `${finding.node ?? facts.config.cluster}: ${finding.message}`,
  }));
  /** Trouble of one replica need not keep the others waiting: what to type for that, where it would do. */
  const orWithout = (finding: Finding, name = finding.node): Finding =>
    name === undefined || name === leader.name || name === target || replicas.length < 2
      ? finding
      : {
          ...finding,
          fix: [finding.fix, `or leave it out: repctl switchover${named} --without ${name}`]
            .filter((it) => it !== undefined)
            .join(', '),
        };
  const troubled = new Set(general.map((finding) => finding.node));
  return [
    ...general.map((finding) => orWithout(finding)),
    ...fencedByHand(leader),
    ...members.flatMap((node) => preparedTransactions(node)),
    ...members.flatMap((node) => foreignSubscriptions(leader, node)),
    ...foreignTriggers(members),
    ...replicas.flatMap((node) =>
      behind(node, nodes.find((one) => one.name === node.name)?.state).map((finding) => orWithout(finding)),
    ),
    ...replicas.flatMap((node) => feed(leader, node).map((finding) => orWithout(finding, node.name))),
    // Of a node that does not even follow, its slots say nothing new.
    ...(target === undefined ? replicas : replicas.filter((node) => node.name === target))
      .filter((node) => !troubled.has(node.name))
      .flatMap((node) => standbySlots(node, taking)),
  ];
}

/** The last change of the leader stopped on its way, and there is still something that it would have done. */
function unfinishedChange(facts: Facts, leader: ReachableNode, epoch: Epoch): Finding | undefined {
  if (epoch.operation !== 'failover') return undefined;
  const told = leader.events.some((event) => event.kind === epoch.operation && event.epoch === epoch.epoch);
  const loose = facts.reachable.some(
    (node) =>
      node.name !== leader.name && node.name !== epoch.previousLeader && !isAttached(node, epoch.epoch),
  );
  return !told && loose && olderTombstones(leader, epoch.epoch).length > 0
    ? midChange(epoch, leader, 'repctl failover')
    : undefined;
}

/** A fence that no switchover raised was raised by somebody who wants it up. */
function fencedByHand(leader: ReachableNode): Finding[] {
  if (leader.barriers?.some((barrier) => barrier.holds) === true) return [];
  if (!leader.tables.some((table) => table.fence === 'enabled')) return [];
  return [
    error(
      'leader-fenced',
      `The fence of ${leader.name} is up, and no switchover is under way: somebody wants it to take no writes.`,
      `repctl unfence ${leader.name}`,
      leader.name,
    ),
  ];
}

const preparedTransactions = (node: ReachableNode): Finding[] =>
  (node.prepared ?? [])
    .filter(({ database }) => database === node.database)
    .map(({ gid, owner, seconds }) =>
      error(
        'prepared-transaction',
        `Prepared transaction ${gid} of ${owner} is pending on ${node.name} for ${seconds.toFixed(0)} s: it holds its locks until somebody decides on it.`,
        `On ${node.name}, in ${node.database}: commit prepared or rollback prepared '${gid.replaceAll("'", "''")}'`,
        node.name,
      ),
    );

const sameTable = (a: { schema: string; name: string }, b: { schema: string; name: string }): boolean =>
  a.schema === b.schema && a.name === b.name;

function foreignSubscriptions(leader: ReachableNode, node: ReachableNode): Finding[] {
  return node.subscriptions
    .filter((one) => !one.own && one.tables.some((table) => leader.tables.some((it) => sameTable(it, table))))
    .map((one) =>
      error(
        'foreign-subscription',
        `Subscription ${one.name} on ${node.name}, which repctl did not make, brings rows into published tables past the fence.`,
        `On ${node.name}: alter subscription ${one.name} disable, and drop it`,
        node.name,
      ),
    );
}

/** Triggers that are not the same everywhere would make the new leader behave otherwise than the old one. */
function foreignTriggers(members: readonly ReachableNode[]): Finding[] {
  const [leader, ...replicas] = members;
  if (leader === undefined) return [];
  const text = (table: PublishedTable): string[] =>
    (table.triggers ?? []).map(({ name, enabled, does }) => JSON.stringify([name, enabled, does]));
  const nameOf = (key: string): string => (JSON.parse(key) as string[])[0] ?? '';
  const complain = (node: ReachableNode, table: PublishedTable, name: string, what: string): Finding =>
    error(
      'foreign-trigger',
      `Trigger ${name} on ${qualified(table)} of ${node.name} ${what}.`,
      `Make the triggers of the published tables alike on every node, or drop it: drop trigger ${name} on ${qualified(table)}`,
      node.name,
    );
  return members
    .flatMap((node) =>
      node.tables.flatMap((table) => {
        const fires = (table.triggers ?? [])
          .filter(({ enabled }) => enabled === 'A' || enabled === 'R')
          .map(({ name }) =>
            complain(node, table, name, 'fires for replicated rows too, and changes what was replicated'),
          );
        const other = node === leader ? undefined : leader.tables.find((it) => sameTable(it, table));
        if (other === undefined) return fires;
        const [here, there] = [text(table), text(other)];
        return [
          ...fires,
          ...here
            .filter((key) => !there.includes(key))
            .map((key) => complain(node, table, nameOf(key), `is not the same on ${leader.name}`)),
          ...there
            .filter((key) => !here.includes(key))
            .map((key) => complain(leader, table, nameOf(key), `is not the same on ${node.name}`)),
        ];
      }),
    )
    .filter(
      (finding, at, all) =>
        all.findIndex((one) => one.message === finding.message) === at && replicas.length > 0,
    );
}

function behind(node: ReachableNode, state: string | undefined): Finding[] {
  if (state === 'copying')
    return [
      error(
        'still-copying',
        `${node.name} has not finished its initial copy.`,
        'Wait for it (repctl status)',
        node.name,
      ),
    ];
  if (state === 'catching-up')
    return [
      error(
        'replica-behind',
        `${node.name} is catching up: writes would stand still until it has.`,
        'Wait for it (repctl lag --watch)',
        node.name,
      ),
    ];
  return [];
}

/** The slot on the leader through which the replica is fed. */
function feed(leader: ReachableNode, node: ReachableNode): Finding[] {
  const name = slotName(node.name);
  const slot = leader.slots.find((one) => one.name === name);
  if (slot === undefined)
    return [
      error(
        'slot-missing',
        `Slot ${name} on ${leader.name} is gone.`,
        `repctl rewire ${node.name}`,
        leader.name,
      ),
    ];
  if (slot.walStatus === 'lost' || slot.invalidReason !== null)
    return [
      error(
        'slot-invalidated',
        `Slot ${name} on ${leader.name} was invalidated.`,
        `repctl rewire ${node.name}`,
        leader.name,
      ),
    ];
  const reader = leader.senders.find((sender) => sender.pid === slot.activePid)?.applicationName;
  // Where this role may not see it the name is empty.
  if (slot.active && reader != null && reader !== '' && reader !== node.name)
    return [inUse(leader, name, slot.activePid, reader)];
  return [];
}

const inUse = (node: ReachableNode, slot: string, pid: number | null, who?: string): Finding =>
  error(
    'slot-active',
    `Slot ${slot} on ${node.name} is in use by somebody else: process ${String(pid)}${who === undefined ? '' : ` (${who})`}.`,
    `Stop its reader; on ${node.name}: select pg_terminate_backend(${String(pid)})`,
    node.name,
  );

/** What the others will be fed from, should the node lead. One that is missing or too old is made before the fence. */
const standbySlots = (node: ReachableNode, members: readonly string[]): Finding[] =>
  node.slots
    .filter(({ active, name }) => active && members.some((member) => slotName(member) === name))
    .map(({ name, activePid }) => inUse(node, name, activePid));
