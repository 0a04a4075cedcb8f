/** The sessions of one run end with it, whatever they are in the middle of: one that stays keeps the program alive. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openFleet } from '../../../src/cluster/fleet.js';
import { type Servers, startServers } from '../../support/servers.js';

describe('sessions', () => {
  let servers: Servers;
  beforeAll(async () => {
    servers = await startServers({ nodes: 1 });
  });
  afterAll(() => servers.down());

  it('one lives on, and rolls back, when its server finds no way to another one', async () => {
    const session = await servers.superuser('n1');
    const subscribe = `create subscription nowhere connection 'host=127.0.0.1 port=1' publication p with (create_slot = false, slot_name = 'nowhere')`;
    const work = session.transaction(() => session.simple(subscribe));
    await expect(work).rejects.toMatchObject({ code: 'way-lost', exit: 3, details: { sqlstate: '08006' } });
    expect(session.alive).toBe(true);
    expect(await session.query('select 1 as one')).toEqual([{ one: 1 }]);
  });

  it('one is over when its server ends it', async () => {
    const [session, other] = [await servers.fleet().fresh('n1'), await servers.superuser('n1')];
    const [own] = await session.query<{ pid: number }>('select pg_backend_pid() as pid');
    const work = session.query('select pg_sleep(60)');
    await other.query('select pg_terminate_backend($1)', [own?.pid]);
    await expect(work).rejects.toMatchObject({ code: 'connection-lost', exit: 3 });
    expect(session.alive).toBe(false);
  });

  it.each(['session', 'fresh'] as const)(
    'a fleet that is closed closes what %s() is still opening',
    async (call) => {
      const fleet = openFleet(servers.fleet().config);
      const opening = fleet[call]('n1');
      await fleet.close();
      expect((await opening).alive).toBe(false);
    },
  );

  it('a fleet that is closed opens no other', async () => {
    const fleet = openFleet(servers.fleet().config);
    await fleet.close();
    await expect(fleet.fresh('n1')).rejects.toMatchObject({ code: 'bug' });
  });
});
