/** What `cluster create` and `node add` find out before they change anything. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Fleet, openFleet } from '../../../src/cluster/fleet.js';
import { unfit } from '../../../src/operations/fitness.js';
import { type Servers, startServers } from '../../support/servers.js';

describe('unfit', () => {
  let servers: Servers;
  let fleet: Fleet;
  const on = async (node: string, sql: string) => (await fleet.session(node)).simple(sql);
  const codes = async (name: string): Promise<string[]> =>
    (await unfit(fleet, { leader: 'n1', nodes: ['n1', 'n2'], tables: [{ schema: 'public', name }] })).map(
      (finding) => `${finding.code} ${finding.node ?? ''}`,
    );

  beforeAll(async () => {
    servers = await startServers({ nodes: 2 });
    fleet = servers.fleet();
  });
  afterAll(() => servers.down());

  it('is silent about tables that are alike', async () => {
    for (const node of ['n1', 'n2']) await on(node, 'create table alike (id int primary key, v text)');
    expect(await codes('alike')).toEqual([]);
  });

  it.each([
    ['missing', 'create table missing (id int primary key)', undefined, ['table-missing n2']],
    [
      'drifted',
      'create table drifted (id int primary key, v text)',
      'create table drifted (id bigint primary key, v text)',
      ['schema-drift n2'],
    ],
    [
      'keyless',
      'create table keyless (id int)',
      'create table keyless (id int primary key)',
      ['replica-identity n1'],
    ],
    [
      'volatile',
      'create unlogged table volatile (id int primary key)',
      'create table volatile (id int primary key)',
      ['table-kind n1'],
    ],
  ])('%s', async (name, leader, replica, expected) => {
    await on('n1', leader);
    if (replica !== undefined) await on('n2', replica);
    expect(await codes(name)).toEqual(expected);
  });

  it('sees that two names lead to one database, and that twins are two', async () => {
    const [n1] = servers.config.nodes;
    const twice = openFleet({ ...servers.config, nodes: [n1!, { ...n1!, name: 'other' }] });
    try {
      const found = await unfit(twice, { leader: 'n1', nodes: ['n1', 'other'], tables: [] });
      expect(found).toMatchObject([{ code: 'same-database', node: 'other' }]);
      expect(await unfit(fleet, { leader: 'n1', nodes: ['n1', 'n2'], tables: [] })).toEqual([]);
    } finally {
      await twice.close();
    }
  });
});
