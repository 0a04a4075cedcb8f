/**
 * A node that dies, or a link that is cut, in the middle of `check`, `check --exact` and `repair`: what is said, that
 * nothing is left on any server that lives, that no row is half written, and that the same command ends it afterwards.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Fleet } from '../../../src/cluster/fleet.js';
import type { CheckResult } from '../../../src/consistency/result.js';
import { heal, isolate, killNode, startNode } from '../../../src/sandbox/sandbox.js';
import { createCluster } from '../../support/cluster.js';
import { type Cli, makeCli } from '../../support/home-cli.js';
import { nothingLeft } from '../../support/left.js';
import { commandsIn, writeConfig } from '../../support/operator.js';
import { type Servers, startServers } from '../../support/servers.js';
import { until } from '../../support/wait.js';

const NAMES = ['n1', 'n2', 'n3'];
const ROWS = 6000;

let servers: Servers;
let fleet: Fleet;
let cli: Cli;
beforeAll(async () => {
  servers = await startServers({ nodes: 3, proxy: true });
  fleet = servers.fleet();
  await createCluster(fleet);
  await (
    await fleet.session('n1')
  ).simple(
    `insert into products (sku, name, price) select 'SKU-' || g, 'Thing ' || g, g from generate_series(1, ${String(ROWS)}) g; analyze products`,
  );
  for (const name of ['n2', 'n3'])
    await until(
      () => admin<{ rows: string }>(name, 'select count(*) as rows from products'),
      ([row]) => row?.rows === String(ROWS),
    );
  cli = makeCli();
  writeConfig(cli, {
    cluster: servers.config.cluster,
    nodes: Object.fromEntries(servers.config.nodes.map(({ name, url }) => [name, { url }])),
    connectTimeout: 2,
    statementTimeout: 8,
  });
});
afterAll(async () => {
  await servers.down();
  cli.end();
});

async function admin<Row = Record<string, unknown>>(node: string, sql: string): Promise<Row[]> {
  const session = await servers.superuser(node);
  try {
    return await session.simple<Row>(sql);
  } finally {
    await session.close();
  }
}

/** Every third row of n3 gets a price of its own; the sum of what is wrong there. */
const plant = () =>
  admin(
    'n3',
    'set session_replication_role = replica; update products set price = id + 0.5 where id % 3 = 0',
  );

/** n3's rows against the leader's: each is the leader's, or what was planted. */
async function halfWritten(): Promise<number> {
  const [leader, replica] = await Promise.all(
    ['n1', 'n3'].map((name) =>
      admin<{ id: string; price: string; row: string }>(
        name,
        `select id, price, md5(to_jsonb(p)::text) as row from products p order by id`,
      ),
    ),
  );
  const right = new Map(leader?.map((one) => [one.id, one.row]));
  return (replica ?? []).filter((one) => right.get(one.id) !== one.row && one.price !== `${one.id}.50`)
    .length;
}

/** The digest of a block, or the settings around it. */
const READING = /bit_xor|enable_indexscan/u;
const OPERATIONS = {
  check: { args: ['check', '--max-rate', '1500rows', '--block-rows', '300'], at: READING },
  'check --exact': {
    args: ['check', '--exact', '--max-rate', '1500rows', '--block-rows', '300'],
    at: READING,
  },
  repair: { args: ['repair', '--yes'], at: /products/u },
} as const;
const STRIKES = {
  'the replica is killed': { down: ['n3'], strike: () => killNode(servers.sandbox, 'n3') },
  'the link to the replica is cut': {
    down: [],
    strike: () => isolate(servers.sandbox, 'n3', { clients: 'only', reset: true }),
  },
  'the leader is killed': { down: ['n1'], strike: () => killNode(servers.sandbox, 'n1') },
} as const;

describe.each(Object.entries(OPERATIONS))('%s', (operation, { args, at }) => {
  test.each(Object.entries(STRIKES))('%s', async (what, { down, strike }) => {
    if (operation === 'repair') await plant();
    // A repair is struck in the middle of its transaction: one of the rows that it writes is held until then.
    const held = operation === 'repair' ? await servers.superuser('n3') : undefined;
    await held?.simple('begin; select from products where id = 3000 for update');
    const running = cli.start([...args, '--json']);
    const watcher = await servers.superuser('n3');
    await running.seen(
      () =>
        watcher.query<{ query: string }>(
          `select query from pg_stat_activity where application_name ~ '^repctl check'
           or (application_name ~ '^repctl repair' and wait_event_type = 'Lock' and backend_xid is not null)`,
        ),
      (rows) => rows.some(({ query }) => at.test(query)),
    );
    await watcher.close();
    // It must not get away before it is struck.
    running.child.kill('SIGSTOP');
    await strike();
    await held?.close();
    running.child.kill('SIGCONT');
    const { code, stdout, stderr } = await running.ended;
    await nothingLeft(
      servers,
      NAMES.filter((name) => !(down as readonly string[]).includes(name)),
    );

    expect(stderr).not.toMatch(/\bat .*:\d+:\d+/u);
    commandsIn(stdout);
    const said = JSON.parse(stdout) as Partial<CheckResult> & { error?: { code: string } };
    if (operation !== 'repair' && what !== 'the leader is killed') {
      expect(code).toBe(4);
      const nodes = said.tables?.[0]?.nodes ?? [];
      expect(nodes.map(({ node, verdict }) => `${node} ${verdict}`)).toEqual(['n2 equal', 'n3 unverified']);
    } else expect(code, stdout).not.toBe(0);

    for (const name of down) await startNode(servers.sandbox, name);
    if (down.length === 0) await heal(servers.sandbox, 'n3');
    expect(await halfWritten()).toBe(0);
    if (operation === 'repair') expect((await cli.run(['repair', '--yes'])).code).toBe(0);
    await until(
      () => cli.run(['check']),
      (result) => result.code === 0,
    );
    expect(await halfWritten()).toBe(0);
  });
});
