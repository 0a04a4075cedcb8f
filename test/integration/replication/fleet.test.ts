/** The sessions of one run end with it, whatever they are in the middle of: one that stays keeps the program alive. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openFleet } from '../../../src/cluster/fleet.js';
import { type Servers, startServers } from '../../support/servers.js';

describe('a fleet that is closed', () => {
  let servers: Servers;
  beforeAll(async () => {
    servers = await startServers({ nodes: 1 });
  });
  afterAll(() => servers.down());

  it.each(['session', 'fresh'] as const)('closes what %s() is still opening', async (call) => {
    const fleet = openFleet(servers.fleet().config);
    const opening = fleet[call]('n1');
    await fleet.close();
    expect((await opening).alive).toBe(false);
  });

  it('opens no other', async () => {
    const fleet = openFleet(servers.fleet().config);
    await fleet.close();
    await expect(fleet.fresh('n1')).rejects.toMatchObject({ code: 'bug' });
  });
});
