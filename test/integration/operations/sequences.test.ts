/** Free sequences through one failover after the other: what each leader handed out shows in no row. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Fleet } from '../../../src/cluster/fleet.js';
import { observe } from '../../../src/cluster/observe.js';
import { planFailover } from '../../../src/operations/failover.js';
import { runOperation } from '../../../src/operations/run.js';
import { noJournal } from '../../../src/plan/journal.js';
import { killNode } from '../../../src/sandbox/sandbox.js';
import { createCluster } from '../../support/cluster.js';
import { type Servers, startServers } from '../../support/servers.js';

const SEQUENCES = ['tickets', 'downwards', 'in use before'] as const;
const SQL = `
  create sequence tickets;
  create sequence downwards increment -3;
  create sequence "in use before"`;

describe('two failovers in a row', () => {
  let servers: Servers;
  let fleet: Fleet;
  const take = async (node: string, count: number): Promise<string[]> => {
    const session = await fleet.session(node);
    const rows = await session.query<{ value: string }>(
      SEQUENCES.map(
        (name) =>
          `select '${name} ' || nextval('"${name}"') as value from generate_series(1, ${String(count)})`,
      ).join(' union all '),
    );
    return rows.map(({ value }) => value);
  };
  const failover = (target: string) =>
    runOperation(
      (snapshot) =>
        planFailover(snapshot, servers.config, { target, leaderIsDead: true, acceptMinority: true }),
      { fleet, journal: noJournal },
    );

  beforeAll(async () => {
    servers = await startServers({ pg: ['18', '15'] });
    fleet = servers.fleet();
    for (const { name } of servers.config.nodes) await (await fleet.session(name)).simple(SQL);
    await (await fleet.session('n1')).simple(`select setval('"in use before"', 5000)`);
    await createCluster(fleet);
  });
  afterAll(() => servers.down());

  it('never hand out a value twice, whatever the leader in between was asked for', async () => {
    const values = [...(await take('n1', 300))];
    await killNode(servers.sandbox, 'n1');
    await failover('n2');
    values.push(...(await take('n2', 320)));
    // What n3 starts from has reached it with the epoch; its own sequences are still as they were made.
    await killNode(servers.sandbox, 'n2');
    await failover('n3');
    values.push(...(await take('n3', 320)));
    expect(values.filter((value, i) => values.indexOf(value) !== i)).toEqual([]);
    const numbers = (name: string) =>
      values.filter((value) => value.startsWith(`${name} `)).map((value) => Number(value.split(' ').at(-1)));
    expect(numbers('tickets').slice(620)[0]).toBe(1 + 1000 + 1000 + 1);
    expect(numbers('downwards')[0]).toBe(-1);
    expect(numbers('downwards').every((value) => (value + 1) % 3 === 0)).toBe(true);
    expect(Math.min(...numbers('in use before').slice(300))).toBeGreaterThan(6000);
  });

  it('leave one row of bookkeeping, which is no event of the history', async () => {
    const session = await fleet.session('n3');
    expect(await session.query(`select epoch, node from repctl.event where kind = 'sequences'`)).toEqual([
      { epoch: 3, node: 'n3' },
    ]);
    const node = (await observe(fleet)).nodes.find(({ name }) => name === 'n3');
    expect(node?.reachable === true && node.events.some(({ kind }) => kind === 'sequences')).toBe(false);
  });
});
