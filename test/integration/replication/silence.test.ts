/** A statement that takes long: whether its server is still there is asked over a connection of its own. */
import { type AddressInfo, createServer } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openSession, type Session, type SessionOptions } from '../../../src/postgres/session.js';
import { type Servers, startServers } from '../../support/servers.js';

let servers: Servers;
/** Accepts connections and never answers. */
const deaf = createServer();
beforeAll(async () => {
  servers = await startServers({ nodes: 1 });
  await new Promise<void>((resolve) => deaf.listen(0, '127.0.0.1', resolve));
});
afterAll(async () => {
  deaf.close();
  await servers.down();
});

/** None of its knocks is answered within a second, as when this program is too busy to notice. */
async function busy(): Promise<Session> {
  const { host, port, user, password, database } = (await servers.superuser('n1')).client;
  const connection = { host, port, user: user ?? '', password: password ?? '', database: database ?? '' };
  const options: SessionOptions = {
    ...{ node: 'n1', connection, connectTimeoutMs: 10_000, statementTimeoutMs: 60_000 },
  };
  const session = await openSession(options);
  connection.port = (deaf.address() as AddressInfo).port;
  options.connectTimeoutMs = 1000;
  return session;
}

it.concurrent.each([
  ['a server whose answer goes on arriving is there', `repeat('x', 10000)`, true],
  ['one that says nothing is given up', `''`, false],
])('%s', async (_, text, there) => {
  const session = await busy();
  // Both are longer than a statement may be silent.
  const answer = session.query(`select ${text}, pg_sleep(0.2) from generate_series(1, 60)`);
  if (there) expect(await answer).toHaveLength(60);
  else await expect(answer).rejects.toMatchObject({ code: 'connection-lost', exit: 3 });
  await session.close();
});
