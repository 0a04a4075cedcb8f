/**
 * Rounds of races on one cluster: a pair of operations begins at the same moment, what came of it is judged from
 * outside, and the cluster is made whole again for the next round.
 */
import type { Fleet } from '../../../src/cluster/fleet.js';
import { observe } from '../../../src/cluster/observe.js';
import { tablesEqual } from '../../../src/consistency/equal.js';
import { planCreate } from '../../../src/operations/create.js';
import { type Facts, factsOf, isAttached, isTombstone } from '../../../src/operations/facts.js';
import { planFence } from '../../../src/operations/fence.js';
import { planRewire } from '../../../src/operations/rewire.js';
import { type Planner, runOperation } from '../../../src/operations/run.js';
import { planSwitchover } from '../../../src/operations/switchover.js';
import { noJournal } from '../../../src/plan/journal.js';
import type { Session } from '../../../src/postgres/session.js';
import { PRODUCTS } from '../../../src/products/schema.js';
import { killNode, startNode } from '../../../src/sandbox/sandbox.js';
import type { Servers } from '../servers.js';
import { strand } from '../stranded.js';
import { until } from '../wait.js';
import type { RaceOutcome, RaceRequest } from './program.js';
import type { Racers } from './race.js';

type Operation = RaceRequest['operation'];
/** Which replica an operation is about: the first, second or third after the leader; or the leader of before. */
type Subject = number | 'former';
export interface Pair {
  readonly a: readonly [Operation, Subject];
  readonly b: readonly [Operation, Subject];
  /**
   * What happens before. `dead`: the leader is killed. `back`: it is killed with a write of its own, the last replica
   * succeeds it, and it comes back and is fenced: to be rejoined. `behind`: the first replica is stopped, the last one
   * is promoted meanwhile, and it comes back: to be rewired by mapping.
   */
  readonly first?: 'dead' | 'back' | 'behind';
}

/** The first eight are raced by npm test, all of them by npm run test:long races. */
export const PAIRS: readonly Pair[] = [
  { a: ['switchover', 0], b: ['switchover', 1] },
  { a: ['failover', 0], b: ['failover', 1], first: 'dead' },
  { a: ['rejoin', 'former'], b: ['switchover', 0], first: 'back' },
  { a: ['switchover', 0], b: ['recopy', 1] },
  { a: ['switchover', 2], b: ['switchover', 2] },
  { a: ['rewire', 0], b: ['switchover', 1], first: 'behind' },
  { a: ['recopy', 0], b: ['recopy', 0] },
  { a: ['node-remove', 2], b: ['failover', 0], first: 'dead' },
  { a: ['recopy', 0], b: ['recopy', 2] },
  { a: ['node-remove', 1], b: ['switchover', 0] },
  { a: ['failover', 1], b: ['failover', 1], first: 'dead' },
  { a: ['node-remove', 1], b: ['recopy', 1] },
  { a: ['rejoin', 'former'], b: ['rejoin', 'former'], first: 'back' },
  { a: ['rejoin', 'former'], b: ['node-remove', 1], first: 'back' },
  { a: ['rejoin', 'former'], b: ['recopy', 1], first: 'back' },
  { a: ['rewire', 0], b: ['rewire', 0], first: 'behind' },
  { a: ['rewire', 0], b: ['recopy', 0], first: 'behind' },
  { a: ['rewire', 0], b: ['node-remove', 1], first: 'behind' },
  { a: ['rewire', 0], b: ['recopy', 1], first: 'behind' },
  // The leader is alive then, which refuses a failover however the race ends.
  { a: ['rejoin', 'former'], b: ['failover', 1], first: 'back' },
  { a: ['rewire', 0], b: ['failover', 1], first: 'behind' },
];

export interface Round {
  readonly name: string;
  readonly outcomes: readonly [RaceOutcome, RaceOutcome];
  /** The second was told of the first, as against both having run one after the other. */
  readonly contended: boolean;
  readonly violations: readonly string[];
}

export async function round(servers: Servers, fleet: Fleet, racers: Racers, pair: Pair): Promise<Round> {
  const { config } = servers;
  const leader = factsOf(await observe(fleet), config).epoch?.leader ?? '';
  const replicas = config.nodes.map((node) => node.name).filter((name) => name !== leader);
  const request = ([operation, at]: Pair['a']): RaceRequest => ({
    config,
    operation,
    node: (at === 'former' ? leader : replicas[at]) ?? '',
    without: pair.first === 'back' ? [leader] : pair.first === 'behind' ? [replicas[0] ?? ''] : [],
    directory: servers.sandbox.directory,
  });
  const [a, b] = [request(pair.a), request(pair.b)];
  const name = `${a.operation} ${a.node} / ${b.operation} ${b.node}, ${leader} ${pair.first ?? 'leads'}`;
  await begin(servers, fleet, leader, replicas, pair);
  const before = factsOf(await observe(fleet), config);
  const epochs = (facts: Facts) => Math.max(0, ...facts.reachable.map((node) => node.epochs.length));
  const outcomes = await racers.race(a, b);
  const changes = [a, b].filter(({ operation }, i) => isLeaderChange(operation) && outcomes[i]?.ok).length;
  const violations = judge(outcomes);
  await mend(servers, fleet, leader);
  violations.push(...(await health(servers, fleet)));
  const after = factsOf(await observe(fleet), config);
  // Not the difference of the numbers: one that was promised to somebody else is left out.
  const moved = epochs(after) - epochs(before);
  if (moved !== changes) violations.push(`${String(changes)} leader changes, ${String(moved)} epochs`);
  const contended = outcomes.some((outcome) => outcome.code === 'operation-in-progress');
  return { name, outcomes, contended, violations: violations.map((text) => `${name}: ${text}`) };
}

async function begin(
  servers: Servers,
  fleet: Fleet,
  leader: string,
  replicas: readonly string[],
  { first }: Pair,
): Promise<void> {
  const { config, sandbox } = servers;
  const run = (planner: Planner) => runOperation(planner, { fleet, journal: noJournal });
  const [behind = '', , target = ''] = replicas;
  if (first === 'dead') await killNode(sandbox, leader);
  if (first === 'back') {
    const lost = `insert into products (sku, name, price) values (gen_random_uuid()::text, 'lost', 1)`;
    const lose = async (session: Session): Promise<void> => {
      await session.simple(lost);
    };
    await strand(servers, fleet, lose, target);
    await run((snapshot) =>
      planFence(snapshot, config, { node: leader, timeoutMs: 5000, terminateBlockers: false }),
    );
  }
  if (first === 'behind') {
    await killNode(sandbox, behind);
    await run((snapshot) =>
      planSwitchover(snapshot, config, { target, without: [behind], terminateBlockers: false }),
    );
    await startNode(sandbox, behind);
  }
}

const isLeaderChange = (operation: Operation): boolean =>
  operation === 'switchover' || operation === 'failover';

/** One proceeds, and the other one is told by whom it was refused; or they came one after the other. */
function judge([a, b]: readonly [RaceOutcome, RaceOutcome]): string[] {
  const violations: string[] = [];
  // A failover that comes first finds the leader alive, and by then the other one has been refused.
  const vain = a.code === 'leader-alive' || b.code === 'leader-alive';
  if (!a.ok && !b.ok && !vain)
    violations.push(`neither proceeded: ${String(a.message)}; ${String(b.message)}`);
  for (const outcome of [a, b]) {
    if (outcome.ok || outcome.code !== 'operation-in-progress') continue;
    if (outcome.exit !== 6) violations.push(`refused with exit ${String(outcome.exit)}`);
    if (outcome.beganAt !== null) violations.push('refused after a step had begun');
    const { operator, host, since, operation } = outcome.holder ?? {};
    if (![operator, host, since, operation].every((part) => typeof part === 'string'))
      violations.push(`the holder is not named: ${JSON.stringify(outcome.holder)}`);
  }
  for (const outcome of [a, b])
    if (!outcome.ok && outcome.beganAt !== null)
      violations.push(`failed on the way: ${String(outcome.code)} ${String(outcome.message)}`);
  if (a.beganAt !== null && b.beganAt !== null && a.beganAt < b.endedAt && b.beganAt < a.endedAt)
    violations.push('both were at work at the same time');
  return violations;
}

/** Brings back who was killed or removed. */
async function mend(servers: Servers, fleet: Fleet, former: string): Promise<void> {
  const { config, sandbox } = servers;
  await startNode(sandbox, former);
  const run = (planner: Planner) => runOperation(planner, { fleet, journal: noJournal });
  // Whoever let an observer wait in vain is given a moment only by the next: a server that has just come up needs more.
  const snapshot = await until(
    () => observe(fleet),
    ({ nodes }) => nodes.every((node) => node.reachable),
  );
  const facts = factsOf(snapshot, config);
  const known = (name: string) => facts.reachable.find((one) => one.name === name);
  // Who is detached first: create wants the others whole.
  const names = config.nodes
    .map(({ name }) => name)
    .sort((a, b) => Number(known(b)?.identity != null) - Number(known(a)?.identity != null));
  for (const name of names) {
    const node = known(name);
    if (name === facts.epoch?.leader || (node && isAttached(node, facts.epoch?.epoch ?? 0))) continue;
    if (node?.identity == null)
      await run((snapshot) =>
        planCreate(snapshot, config, { tables: [PRODUCTS], products: true, prefilled: [name] }),
      );
    else
      await run((snapshot) =>
        planRewire(snapshot, config, { node: name, recopy: true, acceptDataLoss: true }),
      );
  }
  // What a failover without somebody, and the copy of somebody, leave of the others' standby slots.
  for (const { name } of config.nodes)
    if (name !== facts.epoch?.leader)
      await run((snapshot) =>
        planRewire(snapshot, config, { node: name, recopy: false, acceptDataLoss: false }),
      );
}

/** From outside: one writable node, everybody attached to it, the same rows everywhere, nothing left over. */
async function health(servers: Servers, fleet: Fleet): Promise<string[]> {
  const violations: string[] = [];
  const facts = factsOf(await observe(fleet), servers.config);
  const leader = facts.epoch?.leader ?? '';
  const writable = facts.reachable
    .filter((node) => node.tables.some((table) => table.fence !== 'enabled'))
    .map((node) => node.name);
  if (writable.join() !== leader) violations.push(`${leader} leads, writable: ${writable.join(', ')}`);
  const session = await fleet.session(leader);
  for (const node of facts.reachable) {
    const left = node.subscriptions.filter(isTombstone).map((one) => one.name);
    if (left.length > 0) violations.push(`left over on ${node.name}: ${left.join(', ')}`);
    if (node.name === leader) continue;
    if (!isAttached(node, facts.epoch?.epoch ?? 0)) violations.push(`${node.name} is not attached`);
    const there = await fleet.session(node.name);
    const equal = async (): Promise<boolean> =>
      (
        await tablesEqual(session, there, [
          PRODUCTS,
          { schema: 'repctl', name: 'epoch' },
          { schema: 'repctl', name: 'event' },
        ])
      ).every((result) => result.equal);
    // An operation waits for the replicas that it is about; the stream of others may still be on its way.
    if (!(await until(equal, Boolean).catch(() => false))) violations.push(`${node.name} differs`);
  }
  return violations;
}
