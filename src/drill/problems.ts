/**
 * What is wrong with a scenario that its schema cannot see: nodes that are not there, steps that cannot be done when
 * their turn comes, time that runs backwards, expectations that nothing in it could judge. Pure.
 */
import { formatMs } from './format.js';
import type { Problem } from './problem.js';
import { type Roles, nodeNames, resolve } from './roles.js';
import { unsafe } from './safe.js';
import type { Scenario, Step } from './scenario.js';
import { isOperation } from './step-text.js';

type NodeState = 'running' | 'down' | 'paused';

interface World {
  readonly names: readonly string[];
  /** undefined once repctl chose: from then on roles are known only when it runs. */
  leader: string | undefined;
  former: string | null | undefined;
  readonly states: Map<string, NodeState>;
  readonly isolated: Set<string>;
  /** Whether each node has a disk of its own. */
  readonly bounded: boolean;
  /** Numbers of the web services that are alive. */
  readonly webs: Set<number>;
}

export function problemsOf(scenario: Scenario): Problem[] {
  const world: World = {
    names: nodeNames(scenario.cluster.nodes),
    leader: 'n1',
    former: null,
    states: new Map(),
    isolated: new Set(),
    bounded: scenario.cluster.disk !== undefined,
    webs: new Set(Array.from({ length: scenario.workload.service?.processes ?? 0 }, (_, index) => index + 1)),
  };
  return [
    ...scenario.steps.flatMap((step, index) => inStep(step, index, world)),
    ...backwards(scenario.steps),
    ...unsafe(scenario),
    ...unjudgeable(scenario),
    ...impossibleSync(scenario),
    ...notOfRepctl(scenario),
  ];
}

/** undefined where it depends on what repctl will choose. */
function meant(ref: string, world: World): string[] | undefined {
  const order = [...world.names.slice(1), 'n1'];
  if (world.names.includes(ref) || ref === 'all') return resolve(ref, { leader: '', former: null, order });
  if (ref === 'former' && world.former === null) return [];
  if (world.leader === undefined || world.former === undefined) return undefined;
  const roles: Roles = { leader: world.leader, former: world.former, order };
  return resolve(ref, roles);
}

const ROLE = /^(?:leader|former|replica(?:-\d)?|replicas|all)$/u;

function inStep(step: Step, index: number, world: World): Problem[] {
  const problems: Problem[] = [];
  const say = (message: string, key: string = step.action): void => {
    problems.push({ path: ['steps', index, key], message });
  };
  const each = (refs: string | readonly string[], check: (name: string) => void): void => {
    for (const ref of typeof refs === 'string' ? [refs] : refs) {
      const names = meant(ref, world);
      if (names?.length === 0)
        say(
          ref === 'former'
            ? 'nobody has led before: there is no former leader yet.'
            : ROLE.test(ref)
              ? `there is no ${ref} in a cluster of ${String(world.names.length)}.`
              : `there is no node ${ref}; nodes: ${world.names.join(', ')}.`,
        );
      for (const name of names ?? []) check(name);
    }
  };
  const stateOf = (name: string): NodeState => world.states.get(name) ?? 'running';
  const change = (refs: string | readonly string[], from: readonly NodeState[], to: NodeState): void => {
    each(refs, (name) => {
      const state = stateOf(name);
      if (!from.includes(state))
        say(`${name} is ${state === 'running' ? 'running' : state} then: it cannot be done.`);
      world.states.set(name, to);
    });
  };
  const lead = (target: string | boolean | null | undefined): void => {
    const [chosen] = typeof target === 'string' ? (meant(target, world) ?? []) : [];
    if (typeof target === 'string') each(target, () => undefined);
    if (world.names.length === 1) say('a cluster of one node has nobody else to lead it.');
    world.former = world.leader;
    world.leader = chosen;
  };
  switch (step.action) {
    case 'kill':
      change(step.kill, ['running', 'paused'], 'down');
      break;
    case 'stop':
      change(step.stop, ['running'], 'down');
      break;
    case 'start':
      change(step.start, ['down'], 'running');
      break;
    case 'pause':
      change(step.pause, ['running'], 'paused');
      break;
    case 'resume':
      change(step.resume, ['paused'], 'running');
      break;
    case 'isolate': {
      const cut = typeof step.isolate === 'string' ? { node: step.isolate, from: undefined } : step.isolate;
      each(cut.node, (name) => world.isolated.add(name));
      each(cut.from ?? [], () => undefined);
      break;
    }
    case 'heal':
      if (world.isolated.size === 0) say('nothing is isolated then.');
      each(step.heal, () => undefined);
      break;
    case 'killWeb':
      if (!world.webs.delete(step.killWeb))
        say(`web service ${String(step.killWeb)} is not running then (workload.service.processes).`);
      break;
    case 'fill':
    case 'free': {
      if (!world.bounded)
        say('give the nodes disks of their own (cluster.disk): this machine’s is not filled.');
      each(step.action === 'fill' ? step.fill : step.free, () => undefined);
      break;
    }
    case 'delay':
      each(step.delay.node, () => undefined);
      break;
    case 'sql':
      each(step.sql.node, () => undefined);
      break;
    case 'switchover':
      lead(step.switchover);
      break;
    case 'failover':
      lead(step.failover);
      break;
    case 'promote':
      if (typeof step.promote !== 'string') say('name the node to promote.');
      lead(step.promote);
      break;
    case 'rejoin':
    case 'rewire': {
      const target = step.action === 'rejoin' ? step.rejoin : step.rewire;
      if (typeof target !== 'string') say(`name the node to ${step.action}.`);
      else each(target, () => undefined);
      break;
    }
    case 'operator':
      // What somebody will do is known when it is done.
      world.leader = undefined;
      world.former = undefined;
      world.states.clear();
      break;
    case 'repair':
    case 'check':
    case 'sync':
    case 'repctl':
    case 'wait':
      break;
  }
  return problems;
}

function backwards(steps: readonly Step[]): Problem[] {
  let latest: readonly [number, number] = [0, 0];
  return steps.flatMap((step, index) => {
    if (step.at === undefined) return [];
    const before = latest;
    latest = [Math.max(before[0], step.at[0]), Math.max(before[1], step.at[1])];
    return step.at[0] >= before[0] && step.at[1] >= before[1]
      ? []
      : [
          {
            path: ['steps', index, 'at'],
            message: `time runs backwards: ${formatMs(step.at[0])} after ${formatMs(before[1])}.`,
          },
        ];
  });
}

/** Whether something in it takes the leader away. */
export const breaksLeader = ({ steps, random }: Scenario): boolean =>
  random > 0 ||
  steps.some((step) => {
    const refs =
      step.action === 'kill'
        ? step.kill
        : step.action === 'stop'
          ? step.stop
          : step.action === 'pause'
            ? step.pause
            : step.action === 'isolate'
              ? typeof step.isolate === 'string'
                ? step.isolate
                : step.isolate.node
              : [];
    return (typeof refs === 'string' ? [refs] : refs).some((ref) => ['leader', 'all', 'n1'].includes(ref));
  });

function unjudgeable(scenario: Scenario): Problem[] {
  const { expect, workload, cluster } = scenario;
  const cannot = (key: string, why: string): Problem => ({
    path: ['expect', key],
    message: `cannot be judged: ${why}.`,
  });
  const does = (...actions: string[]): boolean =>
    scenario.random > 0 || scenario.steps.some((step) => actions.includes(step.action));
  const writes = workload.writers.clients > 0;
  const reads = workload.readers.clients > 0;
  return [
    ...(expect.rto !== undefined && !breaksLeader(scenario)
      ? [cannot('rto', 'nothing happens to the leader')]
      : []),
    ...(expect.rto !== undefined && !writes ? [cannot('rto', 'there are no writers')] : []),
    ...(expect.writes && !writes ? [cannot('writes', 'there are no writers')] : []),
    ...(expect.reads && !reads ? [cannot('reads', 'there are no readers')] : []),
    ...(expect.reads?.balance !== undefined && cluster.nodes < 3
      ? [cannot('reads', 'there are no two replicas to balance')]
      : []),
    ...(expect.lagP95 !== undefined && (cluster.nodes < 2 || !writes)
      ? [cannot('lagP95', 'no replica that writes would reach')]
      : []),
    ...(expect.broughtBack !== undefined && !does('rejoin')
      ? [cannot('broughtBack', 'there is no rejoin')]
      : []),
    ...(expect.forgotten !== undefined && (!reads || workload.service === undefined)
      ? [cannot('forgotten', 'nobody reads through a workload.service')]
      : []),
    ...(expect.staleEventual !== undefined && (!reads || !workload.readers.levels.includes('eventual'))
      ? [cannot('staleEventual', 'nobody reads at level eventual')]
      : []),
  ];
}

/** Physical standbys are not repctl's. */
function notOfRepctl({ cluster, steps, random }: Scenario): Problem[] {
  if (cluster.replication !== 'physical') return [];
  const cannot = (path: readonly (string | number)[], what: string): Problem => ({
    path,
    message: `${what} with physical standbys.`,
  });
  return [
    ...(new Set(cluster.pg).size > 1 ? [cannot(['cluster', 'pg'], 'there are no two majors')] : []),
    ...(cluster.sync === 'async' ? [] : [cannot(['cluster', 'sync'], 'repctl has no hand in commits')]),
    ...(cluster.disk === undefined ? [] : [cannot(['cluster', 'disk'], 'there are no disks of their own')]),
    ...(random > 0 ? [cannot(['random'], 'repctl can mend nothing')] : []),
    ...steps.flatMap((step, index) =>
      isOperation(step.action) ? [cannot(['steps', index, step.action], 'repctl has nothing to do')] : [],
    ),
  ];
}

function impossibleSync({ cluster, steps }: Scenario): Problem[] {
  const tooMany = (mode: string): boolean => Number(/^any (\d)$/u.exec(mode)?.[1] ?? 0) > cluster.nodes - 1;
  const message = `there are only ${String(cluster.nodes - 1)} replicas.`;
  return [
    ...(tooMany(cluster.sync) ? [{ path: ['cluster', 'sync'], message }] : []),
    ...steps.flatMap((step, index) =>
      step.action === 'sync' && tooMany(step.sync) ? [{ path: ['steps', index, 'sync'], message }] : [],
    ),
  ];
}
