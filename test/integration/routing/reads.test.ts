/** What each read level must and must not return, with replicas whose apply is held back by a lock. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Fleet, openFleet } from '../../../src/cluster/fleet.js';
import { changeProduct, getProduct } from '../../../src/products/service.js';
import { requestIdOf } from '../../../src/products/request.js';
import { read } from '../../../src/routing/read.js';
import type { ReadLevel } from '../../../src/routing/route.js';
import { viewNode } from '../../../src/routing/view.js';
import type { Routing } from '../../../src/routing/write.js';
import { pauseNode, resumeNode } from '../../../src/sandbox/sandbox.js';
import { createCluster } from '../../support/cluster.js';
import { type Clients, holdApply, makeClients } from '../../support/routing.js';
import { type Servers, startServers } from '../../support/servers.js';
import { until } from '../../support/wait.js';

let servers: Servers;
let fleet: Fleet;
let clients: Clients;
const replicas = ['n2', 'n3', 'n4'];
let onlyN2: Fleet['config'];
let releases: (() => Promise<void>)[] = [];

beforeAll(async () => {
  servers = await startServers({ nodes: 4 });
  fleet = servers.fleet();
  onlyN2 = { ...fleet.config, nodes: fleet.config.nodes.filter((node) => node.name === 'n2') };
  await createCluster(fleet);
  clients = makeClients(fleet);
  const values = [
    ['sku', 'S'],
    ['name', 'x'],
    ['price', '1'],
    ['stock', '0'],
  ] as const;
  await changeProduct(clients.client('setup'), requestIdOf(undefined), () => ({
    action: 'create',
    key: 'S',
    values: new Map(values),
  }));
  for (const node of replicas) await untilStock(node, 0);
});
afterAll(async () => {
  clients.end();
  await servers.down();
});
afterEach(async () => {
  await release();
});

const adjust = (routing: Routing) =>
  changeProduct(routing, requestIdOf(undefined), () => ({ action: 'adjust', key: 'S', delta: 1 }));
const get = async (routing: Routing, level: ReadLevel, node?: string) => {
  const { product, node: servedBy } = await getProduct(routing, { level, node }, 'S');
  return { stock: Number(product['stock']), node: servedBy };
};
const stockOn = async (node: string): Promise<number | undefined> => {
  const session = await fleet.session(node);
  const [row] = await session.query<{ stock: number }>(`select stock from products where sku = 'S'`);
  return row?.stock;
};
const untilStock = async (node: string, stock: number): Promise<void> => {
  await until(
    () => stockOn(node),
    (found) => found === stock,
  );
};
const hold = async (...nodes: string[]): Promise<void> => {
  for (const node of nodes) releases.push(await holdApply(await servers.superuser(node)));
};
const release = async (): Promise<void> => {
  const open = releases;
  releases = [];
  for (const one of open) await one();
  const stock = (await stockOn('n1')) ?? -1;
  for (const node of replicas) await untilStock(node, stock);
};
/** The next read asks `node` first. */
const turnTo = (node: string): void => {
  const before = replicas[replicas.indexOf(node) - 1] ?? 'n1';
  clients.store().writePointer({ last: before, leader: 'n1' });
};

describe('turns', () => {
  it('replicas take turns evenly, the pointer kept between runs', async () => {
    const served = new Map<string, number>();
    for (let run = 0; run < 30; run += 1) {
      const { node } = await get(clients.client('turns'), 'session');
      served.set(node, (served.get(node) ?? 0) + 1);
    }
    expect(Object.fromEntries(served)).toEqual({ n2: 10, n3: 10, n4: 10 });
  });

  it('a replica that hangs is passed over, and the others go on sharing', async () => {
    await pauseNode(servers.sandbox, 'n3');
    const own = openFleet(fleet.config);
    try {
      const nodes = new Set<string>();
      for (let run = 0; run < 4; run += 1)
        nodes.add((await get(clients.client('hang', { fleet: own }), 'session')).node);
      expect(nodes).toEqual(new Set(['n2', 'n4']));
    } finally {
      await resumeNode(servers.sandbox, 'n3');
      await own.close();
    }
  });
});

describe('levels, while one replica is behind', () => {
  it('eventual takes the replica whose turn it is, old rows and all', async () => {
    await hold('n2');
    const { product } = await adjust(clients.client('e'));
    turnTo('n2');
    expect(await get(clients.client('e'), 'eventual')).toEqual({
      stock: Number(product['stock']) - 1,
      node: 'n2',
    });
  });

  it.each(['read-your-writes', 'session'] as const)(
    '%s never misses what this session wrote',
    async (level) => {
      await hold('n2');
      const { product } = await adjust(clients.client(`w-${level}`));
      turnTo('n2');
      const found = await get(clients.client(`w-${level}`), level);
      expect(found.stock).toBe(product['stock']);
      expect(['n3', 'n4']).toContain(found.node);
      // Another session wrote nothing: the replica that is behind may serve it.
      turnTo('n2');
      expect((await get(clients.client(`other-${level}`), level)).node).toBe('n2');
    },
  );

  it('monotonic may miss an own write, but never goes back behind what it read', async () => {
    await hold('n2');
    const { product } = await adjust(clients.client('m'));
    turnTo('n2');
    expect(await get(clients.client('m'), 'monotonic')).toMatchObject({ node: 'n2' });
    await untilStock('n3', Number(product['stock']));
    turnTo('n3');
    expect(await get(clients.client('m'), 'monotonic')).toEqual({ stock: product['stock'], node: 'n3' });
    turnTo('n2');
    const again = await get(clients.client('m'), 'monotonic');
    expect(again.stock).toBe(product['stock']);
    expect(again.node).not.toBe('n2');
  });

  it('read-your-writes alone may go back behind what it read of others', async () => {
    await hold('n2');
    const { product } = await adjust(clients.client('somebody'));
    expect((await get(clients.client('ryw'), 'strong')).stock).toBe(product['stock']);
    turnTo('n2');
    expect(await get(clients.client('ryw'), 'read-your-writes')).toMatchObject({
      stock: Number(product['stock']) - 1,
      node: 'n2',
    });
  });

  it('strong reads the leader', async () => {
    await hold(...replicas);
    const { product } = await adjust(clients.client('s'));
    expect(await get(clients.client('another'), 'strong')).toEqual({ stock: product['stock'], node: 'n1' });
  });
});

describe('while all replicas are behind', () => {
  it('the leader serves once patience is over, and that is said', async () => {
    await hold(...replicas);
    const { product } = await adjust(clients.client('all'));
    const client = clients.client('all', { patienceMs: 100 });
    expect(await get(client, 'session')).toEqual({ stock: product['stock'], node: 'n1' });
    expect(client.notes).toContain('read: no replica can serve this read now; the leader n1 does');
  });

  it('one that catches up in time serves', async () => {
    await hold(...replicas);
    const { product } = await adjust(clients.client('late'));
    const reading = get(clients.client('late'), 'session');
    await release();
    const found = await reading;
    expect(found.stock).toBe(product['stock']);
    expect(replicas).toContain(found.node);
  });
});

describe('without privileges', () => {
  /** Runs `body` with the statements done as superuser on n2, R being the everyday role and S the superuser. */
  const having = async (take: string, give: string, body: () => Promise<void>): Promise<void> => {
    const admin = await servers.superuser('n2');
    const [own] = await admin.query<{ S: string; R: string }>(
      `select quote_ident(current_user) as "S", (select quote_ident(subowner::regrole::text) from pg_subscription limit 1) as "R"`,
    );
    const run = async (sql: string): Promise<void> => {
      for (const statement of sql.replaceAll(/\b[RS]$/gm, (name) => own?.[name as 'R'] ?? '').split('\n'))
        await admin.simple(statement);
    };
    await run(take);
    await body().finally(() => run(give));
  };
  const noOrigin = [
    'revoke execute on function pg_show_replication_origin_status() from R',
    'grant execute on function pg_show_replication_origin_status() to R',
  ] as const;
  const noActivity = [
    'revoke pg_monitor from R\nalter subscription repctl_n2_e1 owner to S',
    'grant pg_monitor to R\nalter subscription repctl_n2_e1 owner to R',
  ] as const;

  it.each([
    ['on the origin function', ...noOrigin],
    ['on the activity of others', ...noActivity],
  ])('%s: never a stale read, and served by the replica once it has caught up', async (_, take, give) => {
    await having(take, give, async () => {
      for (let round = 0; round < 3; round += 1) {
        await hold('n2');
        const { product } = await adjust(clients.client('poor'));
        turnTo('n2');
        const first = await get(clients.client('poor'), 'session');
        expect(first.node).not.toBe('n2');
        expect(first.stock).toBe(product['stock']);
        await release();
        const servedBy = await until(
          async () => {
            turnTo('n2');
            const found = await get(clients.client('poor'), 'session');
            expect(found.stock).toBe(product['stock']);
            return found.node;
          },
          (node) => node === 'n2',
        );
        expect(servedBy).toBe('n2');
      }
    });
  });

  // remote_lsn moves before the flush of the commit, visibility comes after it: here that takes 100 ms.
  const slowCommits = [
    `alter subscription repctl_n2_e1 set (synchronous_commit = on)\nalter system set commit_delay = 100000\nalter system set commit_siblings = 0\nselect pg_reload_conf()`,
    `alter subscription repctl_n2_e1 set (synchronous_commit = off)\nalter system reset commit_delay\nalter system reset commit_siblings\nselect pg_reload_conf()`,
  ] as const;
  it.each([
    ['all privileges', ...slowCommits],
    ['none on the origin function', `${slowCommits[0]}\n${noOrigin[0]}`, `${slowCommits[1]}\n${noOrigin[1]}`],
    [
      'none on the activity of others',
      `${slowCommits[0]}\n${noActivity[0]}`,
      `${slowCommits[1]}\n${noActivity[1]}`,
    ],
  ])('with %s: a position that is not visible yet does not count', async (_, take, give) => {
    await having(take, give, async () => {
      const admin = await servers.superuser('n2');
      await until(
        () => admin.query('show commit_delay'),
        ([row]) => row?.['commit_delay'] === '100000',
      );
      // A worker whose subscription was altered starts anew at the next transaction.
      const { product: warm } = await adjust(clients.client('slow'));
      await untilStock('n2', Number(warm['stock']));
      const session = await fleet.session('n2');
      await until(
        () => viewNode(session, true),
        (view) => view.feed === 'live',
      );
      const nodes = [];
      for (let round = 0; round < 15; round += 1) {
        const { product } = await adjust(clients.client('slow'));
        // n2 alone: it is waited for.
        const alone = clients.client('slow');
        const { value, served } = await read(
          { ...alone, fleet: { ...fleet, config: onlyN2 } },
          { level: 'read-your-writes' },
          (session) => session.query<{ stock: number }>(`select stock from products where sku = 'S'`),
        );
        expect(value[0]?.stock).toBe(product['stock']);
        nodes.push(served.node);
      }
      expect(new Set(nodes)).toEqual(new Set(['n2']));
    });
  });
});

describe('under load', () => {
  it('a reader of a replica never sees B without the A before it, and no session goes back', async () => {
    const leader = await fleet.fresh('n1');
    const state = { writing: true };
    const writer = (async () => {
      for (let pair = 0; pair < 300; pair += 1) {
        await leader.query(`insert into products (sku, name, price) values ($1, 'x', 1)`, [
          `A${String(pair)}`,
        ]);
        await leader.query(`insert into products (sku, name, price) values ($1, 'x', 1)`, [
          `B${String(pair)}`,
        ]);
      }
      state.writing = false;
    })();
    let reads = 0;
    let newest = 0;
    while (state.writing) {
      const { value } = await read(clients.client('prefix'), { level: 'session' }, async (session) =>
        session.query<{ a: number; b: number }>(
          `select count(*) filter (where sku ~ '^A\\d')::int as a, count(*) filter (where sku ~ '^B\\d')::int as b from products`,
        ),
      );
      const { a = 0, b = 0 } = value[0] ?? {};
      expect([a, a - 1]).toContain(b);
      expect(a + b).toBeGreaterThanOrEqual(newest);
      newest = a + b;
      reads += 1;
    }
    await writer;
    expect(reads).toBeGreaterThan(20);
  });

  it('writes are seen by the next read of their session, at every level that promises it', async () => {
    for (let round = 0; round < 60; round += 1) {
      const { product } = await adjust(clients.client('next'));
      const level = round % 2 === 0 ? 'session' : 'read-your-writes';
      expect((await get(clients.client('next'), level)).stock).toBe(product['stock']);
    }
  });
});
