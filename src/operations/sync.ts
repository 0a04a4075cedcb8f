/** `sync`, and what every change of the leader or of the replicas does to the sync mode. Pure. */
import type { ClusterConfig } from '../config/schema.js';
import { hasMajority, senderFor } from '../cluster/epochs.js';
import type { Finding, ReachableNode, Snapshot, SyncModeName } from '../cluster/model.js';
import {
  NO_QUORUM,
  type Quorum,
  RESET_SYNCHRONOUS_COMMIT,
  type SyncRequest,
  commitsForNobody,
  quorumFor,
  quorumOf,
  sameQuorum,
  settingOf,
  syncRecord,
  syncText,
  weakerOf,
} from '../cluster/sync.js';
import { type Planned, planned, refused } from '../plan/plan.js';
import type { OperationStep, SyncTarget } from './actions.js';
import type { Action } from './actions.js';
import { type Facts, factsOf, isAttached, isCopied, nodeOf, noEpoch, subscriptionOf } from './facts.js';
import { stepFor } from './steps.js';

export interface SyncOptions {
  readonly wanted: SyncRequest;
  /** Go on although fewer replicas stream than commits will wait for. */
  readonly acceptWaiting: boolean;
  /** Go on although too few replicas can hear that commits wait for fewer of them. */
  readonly acceptUnrecorded: boolean;
  /** Go on although fewer than half of the nodes answer: replicas that are gone must not hold up commits for ever. */
  readonly acceptMinority?: boolean;
}

const OPERATION = 'sync';

const settingAt = (node: ReachableNode): string => node.settings['synchronous_standby_names'] ?? '';

/** What the record says for the leader that `leader` is or will be; undefined in async mode. */
export function syncFor(facts: Facts, leader: string, attached: readonly string[]): SyncTarget | undefined {
  const record = syncRecord(facts.snapshot);
  if (record === undefined || record.mode === 'async') return undefined;
  return { mode: record.mode, ...quorumFor(record, attached, othersThan(facts.config, leader)) };
}

const othersThan = (config: ClusterConfig, leader: string): string[] =>
  config.nodes.map((node) => node.name).filter((name) => name !== leader);

/** Followers of the leader that can confirm: attached and copied. */
const followers = (facts: Facts, leader: string, epoch: number): string[] =>
  facts.reachable
    .filter(
      (node) => node.name !== leader && isAttached(node, epoch) && isCopied(subscriptionOf(node, epoch)),
    )
    .map((node) => node.name);

interface Wanted {
  readonly leader: string;
  readonly epoch: number;
  readonly target: SyncTarget;
  readonly acceptUnrecorded?: boolean;
}

/** From what is there to what is wanted: replicas first where more is promised, last where less. */
function stepsTo(facts: Facts, { leader, epoch, target, acceptUnrecorded = false }: Wanted): OperationStep[] {
  const node = nodeOf(facts, leader);
  if (node === undefined) return [];
  const present = quorumOf(settingAt(node)) ?? NO_QUORUM;
  const record = syncRecord(facts.snapshot);
  const between: Quorum = weakerOf(present, target);
  const changes = settingAt(node) !== settingOf(target);
  const recorded = (wanted: SyncTarget): boolean =>
    record === undefined
      ? wanted.mode === 'async'
      : record.epoch === epoch && record.mode === wanted.mode && sameQuorum(record, wanted);
  const meanwhile: SyncTarget = { mode: between.k === 0 ? 'async' : target.mode, ...between };
  // Nothing is promised wrongly by a record that asks for less of more nodes.
  const safe =
    record === undefined ||
    record.k === 0 ||
    (record.epoch === epoch &&
      record.k <= between.k &&
      between.names.every((name) => record.names.includes(name)));
  const heardBy = acceptUnrecorded || record === undefined || record.k === 0 ? NO_QUORUM : present;
  const local = replicaSteps(facts, leader, epoch, target);
  const steps = [
    ...(changes && !safe
      ? [stepFor({ kind: 'sync-record', node: leader, epoch, sync: meanwhile, heardBy })]
      : []),
    ...(changes ? [stepFor({ kind: 'sync-setting', node: leader, value: settingOf(target) })] : []),
    ...(recorded(target) || (changes && !safe && sameTarget(meanwhile, target))
      ? []
      : [stepFor({ kind: 'sync-record', node: leader, epoch, sync: target, heardBy: NO_QUORUM })]),
  ];
  return [
    ...(target.mode === 'async' ? [...steps, ...local] : [...local, ...steps]),
    ...resetSteps(facts, leader),
  ];
}

const sameTarget = (a: SyncTarget, b: SyncTarget): boolean => a.mode === b.mode && sameQuorum(a, b);

/** Replicas that do not apply as the mode wants it. */
function replicaSteps(
  facts: Facts,
  leader: string,
  epoch: number,
  target: { readonly mode: SyncModeName },
): OperationStep[] {
  const value = target.mode === 'async' ? ('off' as const) : ('local' as const);
  return facts.reachable.flatMap((node) => {
    const subscription = subscriptionOf(node, epoch);
    if (node.name === leader || subscription === undefined || subscription.slotName === null) return [];
    const slow = ['off', undefined].includes(subscription.synchronousCommit);
    return slow === (value === 'off')
      ? []
      : [
          stepFor(
            { kind: 'sync-commit', node: node.name, subscription: subscription.name, value },
            `sync-${value}`,
          ),
        ];
  });
}

/** A replica, an old leader too, waits for nobody: what repctl set there goes. */
function resetSteps(facts: Facts, leader: string): OperationStep[] {
  return facts.reachable.flatMap((node) => {
    const subscription = facts.epoch && subscriptionOf(node, facts.epoch.epoch);
    const left = (quorumOf(settingAt(node))?.k ?? 0) > 0;
    return node.name !== leader && left && (subscription !== undefined || node.epochs.length === 0)
      ? [stepFor({ kind: 'sync-setting', node: node.name, value: '' }, 'sync-reset')]
      : [];
  });
}

/**
 * What an operation does in the end that attached `replicas`: the leader's setting names exactly those that follow.
 * A leader that this plan promotes has it from the promotion on.
 */
export function syncSteps(
  facts: Facts,
  ending: { readonly leader: string; readonly epoch: number; readonly replicas: readonly ReachableNode[] },
): OperationStep[] {
  const { leader, epoch, replicas } = ending;
  const resets = replicas.flatMap((node) =>
    (quorumOf(settingAt(node))?.k ?? 0) > 0
      ? [stepFor({ kind: 'sync-setting', node: node.name, value: '' }, 'sync-reset')]
      : [],
  );
  if (facts.leader?.name !== leader) return resets;
  const attached = [...new Set([...followers(facts, leader, epoch), ...replicas.map((node) => node.name)])];
  const target = syncFor(facts, leader, attached);
  // Whatever else is set there belongs to somebody else.
  if (target === undefined) return [...resets, ...afterCopy(replicas, epoch)];
  const steps = stepsTo(facts, { leader, epoch, target });
  const told = new Set(steps.map((step) => step.id));
  return [...steps, ...resets.filter((step) => !told.has(step.id))];
}

/**
 * A copy is made with `local`, and who waits for it sets it back (createSubscriptionSql()); killed just in between, it
 * is still there.
 */
const afterCopy = (replicas: readonly ReachableNode[], epoch: number): OperationStep[] =>
  replicas.flatMap((node) => {
    const subscription = subscriptionOf(node, epoch);
    return subscription !== undefined && isCopied(subscription) && subscription.synchronousCommit === 'local'
      ? [
          stepFor(
            { kind: 'sync-commit', node: node.name, subscription: subscription.name, value: 'off' },
            'sync-off',
          ),
        ]
      : [];
  });

export function planSync(snapshot: Snapshot, config: ClusterConfig, options: SyncOptions): Planned<Action> {
  const facts = factsOf(snapshot, config);
  const { epoch, leader } = facts;
  if (epoch === undefined) return refused(OPERATION, noEpoch(facts));
  if (leader === undefined)
    return refused(OPERATION, [
      finding(
        'no-leader',
        `${epoch.leader}, which leads epoch ${String(epoch.epoch)}, does not answer.`,
        'repctl failover',
      ),
    ]);
  const { wanted } = options;
  const mine = followers(facts, leader.name, epoch.epoch);
  const mode = { mode: wanted.mode, k: wanted.mode === 'any' ? wanted.k : 0 };
  const others = othersThan(config, leader.name);
  const target: SyncTarget = { mode: wanted.mode, ...quorumFor(mode, mine, others) };
  const steps = stepsTo(facts, {
    leader: leader.name,
    epoch: epoch.epoch,
    target,
    acceptUnrecorded: options.acceptUnrecorded,
  });
  const findings = steps.length === 0 ? [] : obstacles(facts, leader, { target, options, mine, others });
  if (findings.length > 0) return refused(OPERATION, findings);
  return planned({
    operation: OPERATION,
    ...(options.acceptMinority === undefined ? {} : { acceptMinority: options.acceptMinority }),
    title: `Commits on ${leader.name} wait for ${wordsOf(target)}`,
    notes: notesFor(target),
    data: { sync: target },
    steps,
  });
}

const wordsOf = ({ k, names }: Quorum): string =>
  k === 0 ? 'nobody' : k === names.length ? names.join(', ') : `${String(k)} of ${names.join(', ')}`;

function notesFor(target: SyncTarget): string[] {
  if (target.k === 0)
    return ['a leader that dies may take writes with it that it acknowledged and had not sent'];
  const { k, names } = target;
  return [
    `each acknowledged commit is then on ${String(k)} of ${String(names.length)} replicas: a failover that finds any ${String(names.length - k + 1)} of them loses none`,
    `with fewer than ${String(k)} of them connected commits wait; repctl sync async lets them go on`,
    'a session that turns its own synchronous_commit down does not wait, and may lose what it wrote',
  ];
}

interface Asked {
  readonly target: SyncTarget;
  readonly options: SyncOptions;
  readonly mine: readonly string[];
  readonly others: readonly string[];
}

function obstacles(facts: Facts, leader: ReachableNode, asked: Asked): Finding[] {
  const { target, options, mine, others } = asked;
  const findings: Finding[] = [];
  if (!hasMajority(facts.snapshot) && options.acceptMinority !== true)
    findings.push(
      finding(
        'no-majority',
        `Only ${String(facts.reachable.length)} of ${String(facts.config.nodes.length)} nodes answer: another leader may be known to the others.`,
        'Run it from where more of them can be reached; or, if you know that nobody else leads, add --accept-minority.',
      ),
    );
  const setting = settingAt(leader);
  const foreign = quorumOf(setting) === undefined;
  if (foreign)
    findings.push({
      ...finding(
        'sync-foreign-setting',
        `synchronous_standby_names is '${setting}' on ${leader.name}, which repctl did not write: somebody else relies on it.`,
        'alter system reset synchronous_standby_names; select pg_reload_conf(), if nobody needs it',
      ),
      node: leader.name,
    });
  const present = quorumOf(setting) ?? NO_QUORUM;
  for (const node of facts.reachable.filter((one) => one.canSetSync === false))
    // To wait for less, the leader alone must be set.
    if (target.k > 0 || node.name === leader.name) findings.push(notPermitted(node));
  if (target.k === 0) return [...findings, ...unheard(leader, present, options)];
  if (target.k > others.length)
    return [
      ...findings,
      finding(
        'too-few-replicas',
        `The cluster has ${String(others.length)} replicas: ${String(target.k)} of them can never confirm.`,
        others.length === 0 ? 'repctl node add' : `repctl sync any ${String(others.length)}`,
      ),
    ];
  findings.push(...unsynced(leader));
  const streaming = mine.filter((name) => senderFor(leader, name)?.state === 'streaming');
  if (streaming.length < target.k && !options.acceptWaiting)
    findings.push(
      finding(
        'replicas-not-streaming',
        `Only ${streaming.length === 0 ? 'none' : streaming.join(', ')} of ${others.join(', ')} stream${streaming.length === 1 ? 's' : ''}: every commit would wait.`,
        'Bring the others back (repctl status), or let commits wait for them: --accept-waiting',
      ),
    );
  return [...findings, ...(weaker(present, target) ? unheard(leader, present, options) : [])];
}

/** Refuses a node whose commits would wait for nobody; empty where they wait. */
export function unsynced(node: ReachableNode): Finding[] {
  const commit = commitsForNobody(node);
  if (commit === undefined) return [];
  const message = `synchronous_commit is ${commit} on ${node.name}: its commits would wait for nobody.`;
  return [{ ...finding('sync-commit-off', message, RESET_SYNCHRONOUS_COMMIT), node: node.name }];
}

const weaker = (from: Quorum, to: Quorum): boolean => from.k > 0 && !sameQuorum(weakerOf(from, to), from);

/** That less is promised must be known to as many as confirmed until now. */
function unheard(leader: ReachableNode, present: Quorum, options: SyncOptions): Finding[] {
  if (options.acceptUnrecorded || present.k === 0) return [];
  const hearing = present.names.filter((name) => senderFor(leader, name)?.state === 'streaming');
  if (hearing.length >= present.k) return [];
  return [
    finding(
      'sync-unrecorded',
      `${hearing.length === 0 ? 'None' : `Only ${hearing.join(', ')}`} of ${present.names.join(', ')} can hear of it now: should the leader die before ${String(present.k)} have, a failover would still say that nothing can be lost.`,
      'If that is understood, add --accept-unrecorded.',
    ),
  ];
}

function notPermitted(node: ReachableNode): Finding {
  const neon = Object.keys(node.settings).some((name) => name.startsWith('neon.'));
  return {
    code: 'sync-not-permitted',
    severity: 'error',
    node: node.name,
    message: neon
      ? `${node.name} is a Neon database, where no role may set synchronous_standby_names: commits cannot wait for replicas there.`
      : `${node.user} may not set synchronous_standby_names on ${node.name}, which may lead some day.`,
    ...(neon
      ? {}
      : {
          fix: `grant alter system on parameter synchronous_standby_names to "${node.user}"; grant execute on function pg_catalog.pg_reload_conf() to "${node.user}"`,
        }),
  };
}

const finding = (code: string, message: string, fix: string): Finding => ({
  code,
  severity: 'error',
  message,
  fix,
});

/** For `node remove`: why the mode stands in its way. */
export function tooFewWithout(facts: Facts, name: string): Finding | undefined {
  const record = syncRecord(facts.snapshot);
  const leader = facts.epoch?.leader;
  if (record?.mode !== 'any' || leader === undefined) return undefined;
  const left = othersThan(facts.config, leader).filter((one) => one !== name);
  if (left.length >= record.k) return undefined;
  return finding(
    'too-few-replicas',
    `Commits wait for ${syncText(record)}: without ${name} ${left.length === 0 ? 'no replica is' : `only ${left.join(', ')} ${left.length === 1 ? 'is' : 'are'}`} left.`,
    left.length === 0 ? 'repctl sync async' : `repctl sync any ${String(left.length)}`,
  );
}
