/** Writes that only the leader has: the others are stopped, the leader goes on, is killed, and somebody takes over. */
import type { Fleet } from '../../src/cluster/fleet.js';
import { observe } from '../../src/cluster/observe.js';
import { factsOf, subscriptionOf } from '../../src/operations/facts.js';
import { planFailover } from '../../src/operations/failover.js';
import { runOperation } from '../../src/operations/run.js';
import { noJournal } from '../../src/plan/journal.js';
import type { Session } from '../../src/postgres/session.js';
import { killNode, startNode } from '../../src/sandbox/sandbox.js';
import type { Servers } from './servers.js';
import { until } from './wait.js';

/** Everything that the leader has committed so far is on every attached replica. */
export async function settled(fleet: Fleet): Promise<void> {
  const { leader, epoch } = factsOf(await observe(fleet), fleet.config);
  const session = await fleet.session(leader?.name ?? '');
  const [row] = await session.query<{ id: string }>(
    `insert into repctl.event (epoch, kind, operator) values ($1, 'probe', 'test') returning id`,
    [epoch?.epoch],
  );
  for (const { name } of fleet.config.nodes) {
    const there = await fleet.session(name);
    await until(
      () => there.query('select 1 from repctl.event where id = $1', [row?.id]),
      (rows) => rows.length === 1,
    );
  }
}

/** Runs `work` on the leader while nobody receives it, then kills the leader. */
export async function strandAndKill(
  servers: Servers,
  fleet: Fleet,
  work: (leader: Session) => Promise<void>,
): Promise<string> {
  const { leader, epoch, reachable } = factsOf(await observe(fleet), fleet.config);
  if (leader === undefined || epoch === undefined) throw new Error('no leader');
  for (const node of reachable) {
    const own = subscriptionOf(node, epoch.epoch);
    if (own === undefined || node.name === leader.name) continue;
    const session = await fleet.session(node.name);
    await session.simple(`alter subscription ${own.name} disable`);
    await until(
      () => session.query('select 1 from pg_stat_subscription where pid is not null'),
      (rows) => rows.length === 0,
    );
  }
  await work(await fleet.session(leader.name));
  await killNode(servers.sandbox, leader.name);
  return leader.name;
}

/** {@link strandAndKill}, failover (to `target`, else to the most advanced), and the old leader is back. Returns both names. */
export async function strand(
  servers: Servers,
  fleet: Fleet,
  work: (leader: Session) => Promise<void>,
  target?: string,
): Promise<{ old: string; leader: string }> {
  const old = await strandAndKill(servers, fleet, work);
  await runOperation(
    (snapshot) =>
      planFailover(snapshot, fleet.config, {
        ...(target === undefined ? {} : { target }),
        leaderIsDead: true,
        acceptMinority: true,
      }),
    { fleet, journal: noJournal },
  );
  await startNode(servers.sandbox, old);
  const facts = factsOf(await observe(fleet), fleet.config);
  return { old, leader: facts.leader?.name ?? '' };
}
