/** A check of nodes that are equal, while everything happens to them that makes equal nodes look different. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Fleet } from '../../../src/cluster/fleet.js';
import { analyse } from '../../../src/cluster/analyse.js';
import { observe } from '../../../src/cluster/observe.js';
import { check } from '../../../src/consistency/check.js';
import type { CheckResult } from '../../../src/consistency/result.js';
import { RepctlError } from '../../../src/errors.js';
import { factsOf, subscriptionOf } from '../../../src/operations/facts.js';
import { planFailover } from '../../../src/operations/failover.js';
import { planRejoin } from '../../../src/operations/rejoin.js';
import { planRewire } from '../../../src/operations/rewire.js';
import { type Planner, runOperation } from '../../../src/operations/run.js';
import { planSwitchover } from '../../../src/operations/switchover.js';
import { noJournal } from '../../../src/plan/journal.js';
import { killNode, startNode } from '../../../src/sandbox/sandbox.js';
import { type Random, randomOf } from '../histories/random.js';
import type { Servers } from '../servers.js';
import { signalAll } from '../signal.js';
import { until } from '../wait.js';

/** What happens to a replica, or to the leader, in the middle of a check. */
export type Trouble = 'none' | 'lag' | 'stop' | 'disable' | 'switchover' | 'failover';

export interface Round {
  readonly seed: number;
  readonly trouble: readonly Trouble[];
  /** `no answer` where the check said why it could not compare. */
  readonly verdict: CheckResult['verdict'] | 'no answer';
  readonly code: string | null;
  readonly restarts: number;
  readonly rechecked: number;
  /** Differences that were reported: every one of them is a false alarm. */
  readonly alarms: readonly string[];
  readonly ms: number;
}

export interface Stage {
  readonly servers: Servers;
  /** For what happens; the check has its own. */
  readonly fleet: Fleet;
  readonly checking: Fleet;
}

/** What round `seed` is: everything in it is drawn from the seed, but for who leads by then. Pure. */
export function troublesOf(seed: number): { random: Random; troubles: Trouble[] } {
  const random = randomOf(seed);
  const replicas = random.shuffle(['lag', 'stop', 'disable', 'none'] as const).slice(0, random.int(1, 2));
  const leader = random.weighted({ none: 60, switchover: 25, failover: 15 });
  return { random, troubles: [...replicas, ...(leader === 'none' ? [] : [leader])] };
}

/** One check with its troubles. The cluster is healthy again at the end. */
export async function round(stage: Stage, seed: number): Promise<Round> {
  const { random, troubles } = troublesOf(seed);
  const start = performance.now();
  const happening = troubles.map(async (trouble) => {
    await delay(random.int(0, 400));
    await happen(stage, trouble, random);
  });
  let outcome: Pick<Round, 'verdict' | 'code' | 'restarts' | 'rechecked' | 'alarms'>;
  try {
    const result = await check(stage.checking, await observe(stage.checking), {
      ...{ tables: [], nodes: [], rows: 20, concurrency: 2, blockRows: random.pick([100, 300, 1000]) },
      waitMs: 20_000,
      rate: { rows: 12_000 },
    });
    outcome = { ...judged(result), code: null };
  } catch (error) {
    // Refused for a reason; anything else is an error of this program.
    if (!(error instanceof RepctlError) || error.code === 'bug') throw error;
    outcome = { verdict: 'no answer', code: error.code, restarts: 0, rechecked: 0, alarms: [] };
  }
  const ms = Math.round(performance.now() - start);
  await Promise.all(happening);
  await mend(stage);
  return { seed, trouble: troubles, ...outcome, ms };
}

function judged(result: CheckResult): Pick<Round, 'verdict' | 'restarts' | 'rechecked' | 'alarms'> {
  const nodes = result.tables.flatMap((table) => table.nodes.map((node) => ({ table: table.name, ...node })));
  const alarms = nodes
    .filter((one) => one.verdict === 'diverged' || one.missing + one.extra + one.differing > 0)
    .map((one) => `${one.table} on ${one.node}: ${JSON.stringify(one.samples.slice(0, 3))}`);
  if (result.verdict === 'diverged' && alarms.length === 0)
    alarms.push(`diverged by ${JSON.stringify({ schema: result.schema, publication: result.publication })}`);
  const rechecked = nodes.reduce((sum, one) => sum + one.rechecked, 0);
  return { verdict: result.verdict, restarts: result.restarts, rechecked, alarms };
}

async function happen(stage: Stage, trouble: Trouble, random: Random): Promise<void> {
  const { servers, fleet } = stage;
  const facts = factsOf(await observe(fleet), fleet.config);
  const leader = facts.epoch?.leader ?? '';
  const replicas = fleet.config.nodes.map(({ name }) => name).filter((name) => name !== leader);
  const name = random.pick(replicas);
  const ms = random.int(200, 900);
  const run = (planner: Planner) => runOperation(planner, { fleet, journal: noJournal });
  switch (trouble) {
    case 'none':
      return;
    case 'lag': {
      // Readers do not notice the lock, the apply worker does.
      const session = await servers.superuser(name);
      await session
        .simple(`set lock_timeout = '2s'; begin; lock table hot in share row exclusive mode`)
        .catch(() => undefined);
      await delay(ms);
      await session.simple('rollback').catch(() => undefined);
      return session.close();
    }
    case 'stop': {
      const session = await servers.superuser(name);
      const rows = await session.query<{ pid: number }>(
        'select pid from pg_stat_subscription where pid is not null',
      );
      const pids = rows.map(({ pid }) => pid);
      signalAll(pids, 'SIGSTOP');
      await delay(ms);
      signalAll(pids, 'SIGCONT');
      return session.close();
    }
    case 'disable': {
      const node = facts.reachable.find((one) => one.name === name);
      const subscription = node && subscriptionOf(node, facts.epoch?.epoch ?? 0)?.name;
      if (subscription === undefined) return;
      const session = await servers.superuser(name);
      // A change of the leader may have taken it away meanwhile.
      await session.simple(`alter subscription ${subscription} disable`).catch(() => undefined);
      await delay(ms);
      await session.simple(`alter subscription ${subscription} enable`).catch(() => undefined);
      return session.close();
    }
    case 'switchover':
      // Refused where a replica is held back for too long: then there is none.
      await run((snapshot) =>
        planSwitchover(snapshot, fleet.config, { target: name, without: [], terminateBlockers: true }),
      ).catch(() => undefined);
      return;
    case 'failover':
      await killNode(servers.sandbox, leader);
      await run((snapshot) =>
        planFailover(snapshot, fleet.config, {
          leaderIsDead: true,
          acceptMinority: false,
          acceptDataLoss: true,
        }),
      ).catch(() => undefined);
  }
}

/** Everybody is back, attached and streaming. */
async function mend({ servers, fleet }: Stage): Promise<void> {
  const { config } = fleet;
  const run = (planner: Planner) => runOperation(planner, { fleet, journal: noJournal });
  for (const { name } of config.nodes) await startNode(servers.sandbox, name);
  const look = async () => {
    const snapshot = await observe(fleet);
    return { ...analyse(snapshot, config), facts: factsOf(snapshot, config) };
  };
  let tries = 0;
  await until(
    async () => {
      const seen = await look();
      if (seen.state === 'healthy' || (tries += 1) % 10 !== 0) return seen;
      // Not by itself, then.
      for (const { code, node = '' } of seen.findings) {
        const directory = servers.sandbox.directory;
        if (code.startsWith('stale-leader'))
          await run((snapshot) =>
            planRejoin(snapshot, config, {
              ...{ node, directory, replay: false, fenceTimeoutMs: 5_000, terminateBlockers: true },
            }),
          ).catch(() => undefined);
        else if (seen.facts.leader === undefined)
          await run((snapshot) =>
            planFailover(snapshot, config, {
              leaderIsDead: true,
              acceptMinority: false,
              acceptDataLoss: true,
            }),
          ).catch(() => undefined);
        else if (node !== '' && node !== seen.facts.leader.name)
          await run((snapshot) =>
            planRewire(snapshot, config, { node, recopy: false, acceptDataLoss: false }),
          ).catch(() => undefined);
      }
      return look();
    },
    ({ state }) => state === 'healthy',
    90_000,
  );
}
