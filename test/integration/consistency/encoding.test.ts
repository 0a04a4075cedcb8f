/** Databases that keep their texts in other bytes: what replication converts is equal, what it does not is found. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { tablesEqual } from '../../../src/consistency/equal.js';
import { openSession, type Session } from '../../../src/postgres/session.js';
import { type Servers, startServers } from '../../support/servers.js';

const TABLE = { schema: 'public', name: 'dishes' };
const TABLE_SQL = `
  create table dishes (id int primary key, name text, doc jsonb, tags text[]);
  insert into dishes values (1, 'crème brûlée', '{"für": "süß"}', '{é,e}'), (2, 'pie', '{}', '{}')`;

let servers: Servers;
let sessions: Session[];

beforeAll(async () => {
  servers = await startServers({ nodes: 1 });
  const admin = await servers.superuser('n1');
  await admin.simple(`create database latin encoding 'LATIN1' locale 'C' template template0`);
  const { host, port, user, password } = admin.client;
  sessions = [];
  for (const database of ['shop', 'latin']) {
    const session = await openSession({
      ...{ node: database, connection: { host, port, user: user ?? '', password: password ?? '', database } },
      ...{ connectTimeoutMs: 10_000, statementTimeoutMs: 10_000 },
    });
    sessions.push(session);
    await session.simple(TABLE_SQL);
  }
});
afterAll(async () => {
  for (const session of sessions) await session.close();
  await servers.down();
});

test('the same texts in UTF-8 and in LATIN1 are equal, one that lost its accent is not', async () => {
  const [utf8, latin] = sessions;
  if (!utf8 || !latin) throw new Error('no sessions');
  expect(await tablesEqual(utf8, latin, [TABLE])).toMatchObject([{ equal: true }]);
  await latin.simple(`update dishes set tags = '{e,e}' where id = 1`);
  expect(await tablesEqual(utf8, latin, [TABLE])).toMatchObject([{ equal: false }]);
});
