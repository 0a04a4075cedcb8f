/** A node that was down when it was first looked at, and is back: its login may take as long as any other. */
import { type AddressInfo, type Server, type Socket, connect, createServer } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openFleet } from '../../../src/cluster/fleet.js';
import { observe } from '../../../src/cluster/observe.js';
import { type Servers, startServers } from '../../support/servers.js';

let servers: Servers;
beforeAll(async () => {
  servers = await startServers({ nodes: 1 });
});
afterAll(() => servers.down());

const listen = (server: Server, port: number): Promise<void> =>
  new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
const close = (server: Server): Promise<unknown> => new Promise((resolve) => server.close(resolve));

it('is given its connect timeout again, since it let nobody wait', async () => {
  const url = new URL(servers.config.nodes[0]?.url ?? '');
  const own = Number(url.port);
  const sockets = new Set<Socket>();
  /** The way to n1, on which each connection takes its time. */
  const slow = createServer((client) => {
    setTimeout(() => {
      const upstream = connect(own, url.hostname);
      for (const socket of [client, upstream]) sockets.add(socket.on('error', () => undefined));
      client.pipe(upstream).pipe(client);
    }, 600);
  });
  await listen(slow, 0);
  const { port } = slow.address() as AddressInfo;
  await close(slow);
  url.port = String(port);
  const fleet = openFleet({
    ...servers.config,
    nodes: servers.config.nodes.map((node) => ({ ...node, url: url.href })),
  });
  const reachable = async () => (await observe(fleet)).nodes.map((node) => node.reachable);
  try {
    expect(await reachable()).toEqual([false]);
    await listen(slow, port);
    expect(await reachable()).toEqual([true]);
  } finally {
    await fleet.close();
    for (const socket of sockets) socket.destroy();
    if (slow.listening) await close(slow);
  }
});
