/** Writes while leaders move, connections break and majorities go: once, or refused, or said to be unknown. */
import net from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Fleet, openFleet } from '../../../src/cluster/fleet.js';
import { fenceSql, fencedTablesSql, type FencedTable } from '../../../src/cluster/fence.js';
import { planFailover } from '../../../src/operations/failover.js';
import { runOperation } from '../../../src/operations/run.js';
import { noJournal } from '../../../src/plan/journal.js';
import { requestIdOf } from '../../../src/products/request.js';
import { changeProduct, getProduct } from '../../../src/products/service.js';
import { PUBLISHED_METADATA } from '../../../src/replication/metadata.js';
import { runWrite } from '../../../src/routing/sql.js';
import { type Routing, write } from '../../../src/routing/write.js';
import { killNode, startNode } from '../../../src/sandbox/sandbox.js';
import { createCluster } from '../../support/cluster.js';
import { commitsGoOn, commitsHang, waitingCommits } from '../../support/hanging.js';
import { type Clients, holdApply, makeClients } from '../../support/routing.js';
import { type Servers, startServers } from '../../support/servers.js';
import { until } from '../../support/wait.js';

let servers: Servers;
let fleet: Fleet;
let clients: Clients;
const TABLES = [{ schema: 'public', name: 'products' }, ...PUBLISHED_METADATA];

beforeAll(async () => {
  servers = await startServers({ nodes: 3 });
  fleet = servers.fleet();
  await createCluster(fleet);
  clients = makeClients(fleet);
  await create(clients.client('setup'), 'S');
});
afterAll(async () => {
  clients.end();
  await servers.down();
});

const create = (routing: Routing, sku: string, id = requestIdOf(undefined)) =>
  changeProduct(routing, id, () => ({
    action: 'create',
    key: sku,
    values: new Map([
      ['sku', sku],
      ['name', 'x'],
      ['price', '1'],
      ['stock', '0'],
    ]),
  }));
const adjust = (routing: Routing, id = requestIdOf(undefined)) =>
  changeProduct(routing, id, () => ({ action: 'adjust', key: 'S', delta: 1 }));
const stockOn = async (node: string): Promise<number | undefined> => {
  const session = await fleet.session(node);
  return (await session.query<{ stock: number }>(`select stock from products where sku = 'S'`))[0]?.stock;
};
const setFence = async (node: string, wanted: 'enabled' | 'disabled'): Promise<void> => {
  const session = await fleet.session(node);
  const tables = await session.query<FencedTable>(fencedTablesSql(TABLES));
  await session.simple(fenceSql(tables, wanted).join('; '));
};
/** Waits until somebody on the leader waits for a lock with a statement like this, and returns its process. */
const blocked = async (node: string, statement: string): Promise<number> => {
  const admin = await servers.superuser(node);
  const found = await until(
    () =>
      admin.query<{ pid: number }>(
        `select pid from pg_stat_activity where wait_event_type = 'Lock' and query ~ $1`,
        [statement],
      ),
    (rows) => rows.length === 1,
  );
  return found[0]?.pid ?? 0;
};

describe('a fence', () => {
  it('refuses with exit 6 when it stays, after patience', async () => {
    await setFence('n1', 'enabled');
    const before = await stockOn('n1');
    await expect(adjust(clients.client('f', { patienceMs: 150 }))).rejects.toMatchObject({
      code: 'node-fenced',
      exit: 6,
    });
    expect(await stockOn('n1')).toBe(before);
    await setFence('n1', 'disabled');
  });

  it('is waited for: a change of leader that is rolled back costs the writer nothing but time', async () => {
    await setFence('n1', 'enabled');
    const client = clients.client('f');
    const writing = adjust(client);
    await until(
      () => Promise.resolve(client.notes),
      (notes) => notes.some((note) => note.includes('n1 is fenced')),
    );
    await setFence('n1', 'disabled');
    expect((await writing).node).toBe('n1');
  });
});

describe('a connection that breaks', () => {
  it('while the statement waits: unknown (exit 7) where twice is not as good as once', async () => {
    const release = await holdApply(await servers.superuser('n1'));
    const writing = write(clients.client('b'), ({ session }) =>
      runWrite(session, `update products set stock = stock + 100 where sku = 'S'`),
    );
    const outcome = expect(writing).rejects.toMatchObject({ code: 'write-unknown', exit: 7 });
    const admin = await servers.superuser('n1');
    await admin.query('select pg_terminate_backend($1)', [await blocked('n1', 'stock \\+ 100')]);
    await outcome;
    await release();
  });

  it('is not what ends it when the wait for replicas is cancelled: committed, but unknown (exit 7)', async () => {
    const admin = await servers.superuser('n1');
    await commitsHang(servers, 'n1');
    try {
      const before = Number(await stockOn('n1'));
      const writer = adjust(clients.client('c'));
      const outcome = expect(writer).rejects.toMatchObject({ code: 'write-unknown', exit: 7 });
      const [pid] = await until(
        () => waitingCommits(admin),
        (pids) => pids.length === 1,
      );
      await admin.query('select pg_cancel_backend($1)', [pid]);
      await outcome;
      expect(await stockOn('n1')).toBe(before + 1);
    } finally {
      await commitsGoOn(servers, 'n1');
    }
  });

  it('is not waited for when no replica ever confirms: committed, but unknown (exit 7), after its time', async () => {
    await commitsHang(servers, 'n1');
    const hasty = openFleet({ ...fleet.config, statementTimeoutMs: 1000 });
    const before = Number(await stockOn('n1'));
    try {
      await expect(adjust(clients.client('c', { fleet: hasty }))).rejects.toMatchObject({
        code: 'write-unknown',
        exit: 7,
        message: expect.stringMatching(
          /waits in vain for replicas to confirm it \(ANY 1 \(nobody\)\)/,
        ) as string,
      });
    } finally {
      await hasty.close();
      await commitsGoOn(servers, 'n1');
    }
    // Others see it once its server process has stopped to wait.
    await until(
      () => stockOn('n1'),
      (stock) => stock === before + 1,
    );
  });

  it('while the statement waits: a product write is sent again under its id and happens once', async () => {
    const before = (await stockOn('n1')) ?? 0;
    const release = await holdApply(await servers.superuser('n1'));
    const client = clients.client('b');
    const writing = adjust(client);
    const admin = await servers.superuser('n1');
    await admin.query('select pg_terminate_backend($1)', [await blocked('n1', 'repctl.request')]);
    await until(
      () => Promise.resolve(client.notes),
      (notes) => notes.some((note) => note.includes('sending the same request again')),
    );
    await release();
    expect(await writing).toMatchObject({ replayed: false, node: 'n1' });
    expect(await stockOn('n1')).toBe(before + 1);
  });

  it('after the commit, with the answer swallowed: the request is found done, not done twice', async () => {
    const before = (await stockOn('n1')) ?? 0;
    const proxied = await swallowing('insert into repctl.request');
    try {
      const client = clients.client('p', { fleet: proxied.fleet });
      expect(await adjust(client)).toMatchObject({ replayed: true, product: { stock: before + 1 } });
      expect(client.notes.join()).toContain('sending the same request again');
    } finally {
      await proxied.close();
    }
    expect(await stockOn('n1')).toBe(before + 1);
  });

  it('after the commit, without patience: unknown, and the same id later finds out', async () => {
    const before = (await stockOn('n1')) ?? 0;
    const id = requestIdOf(undefined);
    const proxied = await swallowing('insert into repctl.request');
    try {
      const error: unknown = await adjust(
        clients.client('p', { fleet: proxied.fleet, patienceMs: 0 }),
        id,
      ).catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ code: 'write-unknown', exit: 7 });
      expect((error as { hint: string }).hint).toContain(`--request-id ${id}`);
    } finally {
      await proxied.close();
    }
    expect(await stockOn('n1')).toBe(before + 1);
    const again = await adjust(clients.client('p'), id);
    expect(again).toMatchObject({ replayed: true, product: { stock: before + 1 } });
    expect((await getProduct(clients.client('p'), { level: 'session' }, 'S')).product['stock']).toBe(
      before + 1,
    );
  });

  it('two at once under one id happen once', async () => {
    const before = (await stockOn('n1')) ?? 0;
    const id = requestIdOf(undefined);
    const fleets = [1, 2, 3].map(() => openFleet(fleet.config));
    const results = await Promise.all(fleets.map((own) => adjust(clients.client('t', { fleet: own }), id)));
    await Promise.all(fleets.map((own) => own.close()));
    expect(results.filter((result) => !result.replayed)).toHaveLength(1);
    expect(await stockOn('n1')).toBe(before + 1);
  });
});

/** ReadyForQuery, outside of a transaction. */
const READY = Buffer.from('Z\0\0\0\x05I', 'latin1');

/** A fleet that reaches n1 through a proxy, which cuts instead of answering statements that hold `marker`. */
async function swallowing(marker: string) {
  let left = 1;
  const target = new URL(fleet.node('n1').url);
  const sockets = new Set<net.Socket>();
  const server = net.createServer((client) => {
    const upstream = net.connect(Number(target.port), target.hostname);
    let cutting = false;
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
    }
    client.on('data', (chunk) => {
      if (left > 0 && chunk.includes(marker)) {
        left -= 1;
        cutting = true;
      }
      upstream.write(chunk);
    });
    upstream.on('data', (chunk) => {
      // An answer means that the server has done it: a single statement is committed before ReadyForQuery.
      if (!cutting) client.write(chunk);
      else if (chunk.includes(READY)) client.destroy();
    });
    client.on('close', () => upstream.destroy());
    upstream.on('close', () => client.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as net.AddressInfo;
  const url = new URL(target);
  url.port = String(port);
  const own = openFleet({
    ...fleet.config,
    nodes: fleet.config.nodes.map((node) => (node.name === 'n1' ? { ...node, url: url.href } : node)),
  });
  return {
    fleet: own,
    async close() {
      await own.close();
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

describe('without a majority', () => {
  it('nothing is written (exit 6), and the leader alone still serves reads, which is said', async () => {
    const before = await stockOn('n1');
    await killNode(servers.sandbox, 'n2');
    await killNode(servers.sandbox, 'n3');
    await expect(adjust(clients.client('x'))).rejects.toMatchObject({ code: 'no-majority', exit: 6 });
    await expect(getProduct(clients.client('x'), { level: 'strong' }, 'S')).rejects.toMatchObject({
      code: 'no-majority',
    });
    const reader = clients.client('x');
    expect(await getProduct(reader, { level: 'session' }, 'S')).toMatchObject({ node: 'n1' });
    expect(reader.notes).toContain('read: no replica can serve this read now; the leader n1 does');
    await startNode(servers.sandbox, 'n2');
    const client = clients.client('x', { patient: true });
    expect((await adjust(client)).node).toBe('n1');
    await startNode(servers.sandbox, 'n3');
    expect(await stockOn('n1')).toBe((before ?? 0) + 1);
  });
});

describe('a change of leader', () => {
  it('between observe and write: the 25006 is taken to the new leader', async () => {
    const before = (await stockOn('n1')) ?? 0;
    for (const node of ['n2', 'n3'])
      await until(
        () => stockOn(node),
        (stock) => stock === before,
      );
    let calls = 0;
    const nodes: string[] = [];
    const { value, node } = await write(clients.client('move'), async ({ session }) => {
      nodes.push(session.node);
      if ((calls += 1) === 1) await moveTo('n2');
      return runWrite(session, `update products set stock = stock + 1 where sku = 'S' returning stock`);
    });
    expect(nodes[0]).toBe('n1');
    expect(nodes.at(-1)).toBe('n2');
    expect(node).toBe('n2');
    expect(value.results[0]?.rows).toEqual([[before + 1]]);
    expect(await stockOn('n1')).toBe(before);
  });

  /** The old leader fenced, the new one promoted: what a switchover does between two statements of ours. */
  async function moveTo(node: string): Promise<void> {
    await setFence('n1', 'enabled');
    await setFence(node, 'disabled');
    const session = await fleet.session(node);
    await session.simple(`alter subscription repctl_${node}_e1 disable`);
    await session.query(
      `insert into repctl.epoch (epoch, leader, previous_leader, fork_point, operation, operator)
       values (2, $1, 'n1', 'FFFFFFF0/0', 'switchover', 'test')`,
      [node],
    );
  }
});

describe('tokens over a failover', () => {
  let own: Servers;
  let crew: Fleet;
  let users: Clients;
  beforeAll(async () => {
    own = await startServers({ nodes: 3 });
    crew = own.fleet();
    await createCluster(crew);
    users = makeClients(crew);
  });
  afterAll(async () => {
    users.end();
    await own.down();
  });

  it('a write that the new leader has satisfies its session; one that it has not is told as lost', async () => {
    const kept = await create(users.client('kept'), 'KEPT');
    for (const name of ['n2', 'n3']) {
      const session = await crew.session(name);
      await until(
        () => session.query(`select 1 from products where sku = 'KEPT'`),
        (rows) => rows.length === 1,
      );
      await session.simple(`alter subscription repctl_${name}_e1 disable`);
      await until(
        () => session.query('select 1 from pg_stat_subscription where pid is not null'),
        (rows) => rows.length === 0,
      );
    }
    await create(users.client('lost'), 'LOST');
    await killNode(own.sandbox, 'n1');
    await expect(create(users.client('kept'), 'NOW')).rejects.toMatchObject({
      code: 'leader-unreachable',
      exit: 3,
    });
    await runOperation(
      (snapshot) => planFailover(snapshot, crew.config, { leaderIsDead: true, acceptMinority: false }),
      { fleet: crew, journal: noJournal },
    );
    const reader = users.client('kept');
    const found = await getProduct(reader, { level: 'session' }, 'KEPT');
    expect(found.product).toEqual(kept.product);
    expect(found.epoch).toBe(2);
    expect(reader.notes.join()).not.toContain('lost');

    const told = users.client('lost');
    await expect(getProduct(told, { level: 'session' }, 'LOST')).rejects.toMatchObject({
      code: 'product-not-found',
    });
    expect(told.notes.join()).toMatch(/epoch 1 \(n1, .*was lost when epoch 2 began/);
    // Said once; from then on the session is like any other.
    const later = users.client('lost');
    await getProduct(later, { level: 'session' }, 'KEPT');
    expect(later.notes.join()).not.toContain('lost');
  });

  it('the session goes on at the new leader: it reads what it writes there', async () => {
    for (let round = 0; round < 10; round += 1) {
      const { node } = await create(users.client('kept'), `N${String(round)}`);
      expect(['n2', 'n3']).toContain(node);
      const found = await getProduct(users.client('kept'), { level: 'session' }, `N${String(round)}`);
      expect(found.node).not.toBe(node);
    }
  });

  it('the former leader, back and alone, does not serve a session that saw more under its successor', async () => {
    await startNode(own.sandbox, 'n1');
    const alone = {
      ...crew,
      config: { ...crew.config, nodes: crew.config.nodes.filter((node) => node.name === 'n1') },
    };
    await expect(
      getProduct(users.client('kept', { fleet: alone }), { level: 'session' }, 'KEPT'),
    ).rejects.toMatchObject({ code: 'no-node-serves', exit: 3 });
    const fresh = await getProduct(users.client('fresh', { fleet: alone }), { level: 'session' }, 'KEPT');
    expect(fresh.node).toBe('n1');
  });
});
