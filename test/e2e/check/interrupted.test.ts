/** A check whose cluster changes under it, or that is killed itself: never a wrong answer, and nothing left behind. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { CheckResult } from '../../../src/consistency/result.js';
import { killNode } from '../../../src/sandbox/sandbox.js';
import { runCli, startCli } from '../../support/cli.js';
import { createCluster } from '../../support/cluster.js';
import { nothingLeft } from '../../support/left.js';
import { type Servers, startServers } from '../../support/servers.js';
import { until } from '../../support/wait.js';
import { urlEnv } from '../../support/home-cli.js';

let servers: Servers;
let env: Record<string, string>;
beforeAll(async () => {
  servers = await startServers({ nodes: 4 });
  const fleet = servers.fleet();
  await createCluster(fleet);
  const leader = await fleet.session('n1');
  await leader.simple(
    `insert into products (sku, name, price) select 'SKU-' || g, 'Thing ' || g, g from generate_series(1, 20000) g; analyze products`,
  );
  env = {
    HOME: servers.sandbox.directory,
    ...urlEnv(servers.config),
  };
});
afterAll(() => servers.down());

/** The digest of a block, or the settings around it. */
const READING = /bit_xor|enable_indexscan/u;

/** A check that takes some seconds, and the moment from which its sessions are at work. */
async function slowCheck(
  args: readonly string[] = [],
  node = 'n3',
  { doing = READING, rate = '4000rows' } = {},
) {
  const running = startCli(['check', '--json', '--max-rate', rate, '--block-rows', '500', ...args], { env });
  await running.seen(
    () => sessionsOn(node),
    (rows) => rows.some(({ query }) => doing.test(query)),
  );
  return {
    child: running.child,
    ended: running.ended.then(({ code, stdout }) => ({
      code,
      result: (stdout === '' ? {} : JSON.parse(stdout)) as CheckResult,
    })),
  };
}

const sessionsOn = async (node: string) => {
  const session = await servers.superuser(node);
  const rows = await session.query<{ query: string; state: string }>(
    `select state, query from pg_stat_activity where application_name = 'repctl check'`,
  );
  await session.close();
  return rows;
};

describe('repctl killed', () => {
  test.each([[[]], [['--exact']]])('%j', async (args) => {
    const { child, ended } = await slowCheck(args);
    if (args.length > 0)
      await until(
        () => sessionsOn('n1'),
        (rows) => rows.some(({ state }) => state === 'idle in transaction'),
      );
    child.kill('SIGKILL');
    await ended;
    await nothingLeft(servers, ['n1', 'n2', 'n3', 'n4']);
  });

  test('by Ctrl-C: exit 130', async () => {
    const { child, ended } = await slowCheck();
    child.kill('SIGINT');
    expect((await ended).code).toBe(130);
    await nothingLeft(servers, ['n1', 'n2', 'n3', 'n4']);
  });
});

describe('another leader meanwhile', () => {
  test('a switchover: begun anew under the new leader, equal', async () => {
    const { child, ended } = await slowCheck();
    // However long the switchover takes here, it comes in the middle.
    child.kill('SIGSTOP');
    expect(await runCli(['switchover', 'n2', '--yes'], { env })).toMatchObject({ code: 0 });
    child.kill('SIGCONT');
    const { code, result } = await ended;
    expect({ code, result }).toMatchObject({
      code: 0,
      result: { leader: 'n2', epoch: 2, verdict: 'equal' },
    });
    expect(result.restarts).toBeGreaterThanOrEqual(1);
    expect(result.tables.flatMap(({ nodes }) => nodes.map(({ node }) => node))).toEqual(['n1', 'n3', 'n4']);
  });

  test('a switchover while a replica is waited for: noticed at once, not when patience is over', async () => {
    const held = await servers.superuser('n3');
    await held.simple('begin; lock table products in share mode');
    const leader = await servers.fleet().session('n2');
    await leader.simple(`update products set name = 'Other thing' where sku = 'SKU-20000'`);
    const { ended } = await slowCheck(['--timeout', '120'], 'n3', {
      doing: /received_lsn/u,
      rate: '1000000rows',
    });
    const began = performance.now();
    expect(await runCli(['switchover', 'n1', '--without', 'n3', '--yes'], { env })).toMatchObject({
      code: 0,
    });
    await held.close();
    expect(await runCli(['rewire', 'n3', '--yes'], { env })).toMatchObject({ code: 0 });
    const { code, result } = await ended;
    expect({ code, result }).toMatchObject({ code: 0, result: { leader: 'n1', verdict: 'equal' } });
    expect(result.restarts).toBeGreaterThanOrEqual(1);
    expect(performance.now() - began).toBeLessThan(60_000);
    expect(await runCli(['switchover', 'n2', '--yes'], { env })).toMatchObject({ code: 0 });
  });

  test('a failover: begun anew under the new leader, the dead one is unreachable, the others are equal', async () => {
    const { child, ended } = await slowCheck();
    child.kill('SIGSTOP');
    await killNode(servers.sandbox, 'n2');
    const failover = await runCli(['failover', '--yes', '--leader-is-dead'], { env });
    expect(failover).toMatchObject({ code: 0 });
    child.kill('SIGCONT');
    const { code, result } = await ended;
    expect({ code, result }).toMatchObject({
      code: 4,
      result: { epoch: 5, verdict: 'unverified', unreachable: [{ node: 'n2' }] },
    });
    expect(result.leader).not.toBe('n2');
    expect(result.tables.flatMap(({ nodes }) => nodes.map(({ verdict }) => verdict))).toEqual([
      'equal',
      'equal',
    ]);
  });

  test('a replica that dies meanwhile is unverified, the others are equal', async () => {
    const status = await runCli(['status', '--json'], { env });
    const { leader } = JSON.parse(status.stdout) as { leader: string };
    const [victim] = ['n1', 'n3', 'n4'].filter((name) => name !== leader);
    const { ended } = await slowCheck([], victim);
    await killNode(servers.sandbox, victim ?? '');
    const { code, result } = await ended;
    expect(code).toBe(4);
    const nodes = result.tables[0]?.nodes ?? [];
    expect(nodes.find(({ node }) => node === victim)?.verdict).toBe('unverified');
    expect(nodes.find(({ node }) => node !== victim)?.verdict).toBe('equal');
  });
});
