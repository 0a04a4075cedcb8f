/** A long answer is read in portions; its server goes away in the middle of it. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Session } from '../../../src/postgres/session.js';
import { killNode, startNode } from '../../../src/sandbox/sandbox.js';
import { type Servers, startServers } from '../../support/servers.js';

const SQL = 'select i from generate_series(1, $1::int) i';
const PORTION = 1000;

describe('an answer in portions', () => {
  let servers: Servers;
  beforeAll(async () => {
    servers = await startServers({ nodes: 1 });
  });
  afterAll(() => servers.down());

  /** With its first portion read. */
  const begun = async (): Promise<{ session: Session; rest: AsyncGenerator<{ i: number }[]> }> => {
    const session = await servers.fleet().fresh('n1');
    const rest = session.portions<{ i: number }>(SQL, [100_000], () => PORTION);
    expect((await rest.next()).value).toHaveLength(PORTION);
    return { session, rest };
  };

  it('is whole, whether the last portion is full or empty', async () => {
    const session = await servers.fleet().fresh('n1');
    for (const count of [0, 999, 1000, 1001, 2500]) {
      const rows: { i: number }[] = [];
      for await (const portion of session.portions<{ i: number }>(SQL, [count], () => PORTION))
        rows.push(...portion);
      expect(rows.map(({ i }) => i)).toEqual(Array.from({ length: count }, (_, index) => index + 1));
    }
    await session.close();
  });

  it('left early, it leaves the session as it was', async () => {
    const { session, rest } = await begun();
    await rest.return(undefined);
    expect(await session.query('select 1 as one')).toEqual([{ one: 1 }]);
    await session.close();
  });

  it('an error of the server is one', async () => {
    const session = await servers.fleet().fresh('n1');
    const rows = session.portions('select 1 / (3 - i) from generate_series(1, 10) i', [], () => 2);
    expect((await rows.next()).value).toHaveLength(2);
    await expect(rows.next()).rejects.toMatchObject({ details: { sqlstate: '22012' } });
    await session.close();
  });

  it.each(['next', 'return'] as const)('the server is killed: %s() ends', async (call) => {
    const { session, rest } = await begun();
    await killNode(servers.sandbox, 'n1');
    if (call === 'next')
      await expect(rest.next()).rejects.toMatchObject({ code: 'connection-lost', exit: 3 });
    else expect(await rest.return(undefined)).toEqual({ done: true, value: undefined });
    await session.close();
    await startNode(servers.sandbox, 'n1');
  });
});
