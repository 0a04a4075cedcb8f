import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import type { Fleet } from '../../../src/cluster/fleet.js';
import { tablesEqual } from '../../../src/consistency/equal.js';
import { PROGRAM, cleanEnv, runCli } from '../../support/cli.js';
import { createCluster } from '../../support/cluster.js';
import { type Servers, startServers } from '../../support/servers.js';

let servers: Servers;
let fleet: Fleet;
let directory: string;

beforeAll(async () => {
  servers = await startServers({ nodes: 3 });
  fleet = servers.fleet();
  await createCluster(fleet);
  directory = await mkdtemp(path.join(tmpdir(), 'repctl-inspect-'));
  const nodes = Object.fromEntries(servers.config.nodes.map(({ name, url }) => [name, { url }]));
  await writeFile(
    path.join(directory, 'repctl.yaml'),
    stringify({ cluster: servers.config.cluster, nodes }),
    {
      mode: 0o600,
    },
  );
  // What somebody else made.
  const n1 = await fleet.session('n1');
  await n1.simple(
    `create table public.theirs (id int primary key); create publication theirs for table public.theirs`,
  );
  await n1.simple(`select pg_create_logical_replication_slot('their_slot', 'pgoutput')`);
  await (
    await servers.superuser('n2')
  ).simple(
    `create subscription theirs connection 'host=127.0.0.1 port=1 dbname=none' publication theirs with (connect = false)`,
  );
});
afterAll(async () => {
  await servers.down();
  await rm(directory, { recursive: true, force: true });
});

const repctl = (...args: string[]) =>
  runCli([...args, '--config', path.join(directory, 'repctl.yaml')], { env: { HOME: directory } });
const json = async (...args: string[]) => {
  const result = await repctl(...args, '--json');
  return {
    ...result,
    data: JSON.parse(result.stdout) as Record<string, unknown>,
  };
};
const query = async (node: string, sql: string) => (await fleet.session(node)).query(sql);

describe('what can be seen', () => {
  it.each([
    ['publication list', ['repctl', 'theirs', 'foreign']],
    ['publication show', ['public.products', 'primary key', 'disabled on n1', 'enabled on n2, n3']],
    ['subscription list', ['repctl_n2_e1', 'running', 'theirs', 'disabled', 'foreign']],
    ['subscription show n3', ['repctl_n3_e1 on n3', 'running', 'public.products', 'ready', 'Apply errors']],
    ['slot list', ['feeds n2', 'standby for n3', 'their_slot', 'foreign', 'WAL held']],
    ['sequence list', ['products_id_seq', 'products.id', 'n1 ★']],
    ['history', ['create', 'n1', 'epoch 1', 'read from n1']],
  ])('%s', async (command, expected) => {
    const result = await repctl(...command.split(' '));
    expect(result.stderr).toBe('');
    expect(result.code).toBe(0);
    for (const text of expected) expect(result.stdout).toContain(text);
  });

  it.each([
    ['publication list', ['publications', 'unreachable']],
    [
      'publication show',
      ['alike', 'allTables', 'missingOn', 'name', 'nodes', 'own', 'tables', 'unreachable'],
    ],
    ['subscription list', ['subscriptions', 'unreachable']],
    ['slot list --node n2', ['slots', 'unreachable']],
    ['sequence list', ['leader', 'sequences', 'unreachable']],
    ['history', ['epochs', 'events', 'leader', 'losses', 'readFrom', 'unfinished', 'unreachable']],
    ['slot advance --dry-run', ['data', 'notes', 'operation', 'status', 'steps', 'title', 'totalMs']],
  ])('%s --json', async (command, keys) => {
    const { code, data } = await json(...command.split(' '));
    expect(code).toBe(0);
    expect(Object.keys(data).sort()).toEqual(keys);
  });

  it('names what is not there', async () => {
    expect(await json('publication', 'show', 'nope')).toMatchObject({
      code: 2,
      data: { error: { code: 'unknown-publication' } },
    });
    expect(await json('subscription', 'show', 'n1')).toMatchObject({
      code: 2,
      data: { error: { code: 'unknown-subscription' } },
    });
    expect(await json('slot', 'list', '--node', 'n9')).toMatchObject({
      code: 2,
      data: { error: { code: 'unknown-node' } },
    });
  });
});

describe('what can be changed', () => {
  it.each([
    ['subscription disable n2', 'confirmation-needed'],
    ['subscription enable theirs --yes', 'foreign'],
    ['subscription skip n2 --lsn 0/1 --yes', 'superuser-needed'],
    ['slot drop their_slot --yes', 'foreign'],
    ['slot drop repctl_n2 --node n1 --yes', 'slot-active'],
    ['slot drop repctl_n3 --node n2 --yes', 'slot-needed'],
    ['publication add theirs --yes', 'table-missing'],
    ['publication drop repctl.epoch --yes', 'own-table'],
  ])('%s is refused: %s', async (command, code) => {
    const result = await json(...command.split(' '));
    expect(result).toMatchObject({ code: 6, data: { error: { code } } });
  });

  it('shows what it would do and does nothing', async () => {
    const result = await repctl('slot', 'drop', 'their_slot', '--foreign', '--dry-run');
    expect(result.code).toBe(0);
    expect(result.stdout).toContain(`n1> select pg_drop_replication_slot('their_slot')`);
    expect(await query('n1', `select from pg_replication_slots where slot_name = 'their_slot'`)).toHaveLength(
      1,
    );
  });

  it('disables and enables a subscription', async () => {
    expect(await repctl('subscription', 'disable', 'n2', '--yes')).toMatchObject({ code: 0 });
    expect((await json('subscription', 'show', 'n2')).data).toMatchObject({
      enabled: false,
      tombstone: false,
    });
    expect((await json('subscription', 'disable', 'n2', '--yes')).data).toMatchObject({
      status: 'nothing-to-do',
    });
    expect(await repctl('subscription', 'refresh', 'n2', '--yes')).toMatchObject({ code: 6 });
    expect(await repctl('subscription', 'enable', 'n2', '--yes')).toMatchObject({ code: 0 });
    expect(await repctl('subscription', 'refresh', 'n2', '--yes')).toMatchObject({ code: 0 });
  });

  it('drops a foreign slot with --foreign', async () => {
    expect(await repctl('slot', 'drop', 'their_slot', '--foreign', '--yes')).toMatchObject({ code: 0 });
    expect(await query('n1', `select from pg_replication_slots where slot_name = 'their_slot'`)).toHaveLength(
      0,
    );
  });

  it('moves standby slots, and says for each from where to where', async () => {
    const { code, data } = await json('slot', 'advance', '--yes');
    expect(code).toBe(0);
    expect(data['steps']).toHaveLength(4);
    expect((data['steps'] as { result: object }[])[0]?.result).toMatchObject({
      node: 'n2',
      sibling: 'n1',
      missing: null,
    });
  });

  it('brings sequences near', async () => {
    await query('n1', `insert into public.products (sku, name, price) values ('a', 'a', 1), ('b', 'b', 2)`);
    expect((await json('sequence', 'sync', '--yes')).data).toMatchObject({ status: 'done' });
    expect((await json('sequence', 'sync', '--yes')).data).toMatchObject({ status: 'nothing-to-do' });
  });

  it('adds and drops a table of the running cluster', async () => {
    for (const node of ['n2', 'n3']) await query(node, 'create table public.theirs (id int primary key)');
    await query('n1', 'insert into public.theirs select generate_series(1, 1000)');
    const added = await repctl('publication', 'add', 'theirs', '--yes');
    expect(added).toMatchObject({ code: 0 });
    expect(added.stderr).toContain('copy public.theirs on n2');
    expect((await query('n3', 'select count(*)::int as n from public.theirs'))[0]).toEqual({ n: 1000 });
    expect((await json('publication', 'add', 'theirs', '--yes')).data).toMatchObject({
      status: 'nothing-to-do',
    });
    expect(await repctl('publication', 'drop', 'theirs', '--yes')).toMatchObject({ code: 0 });
    expect((await json('publication', 'show')).data).toMatchObject({ alike: true });
    expect((await repctl('history')).stdout).toContain('publication-drop');
  });
});

it('publication add: killed at any moment, the same command goes on', async () => {
  for (const node of ['n1', 'n2', 'n3'])
    await query(node, 'create table public.killed (id int primary key, v text)');
  await query('n1', `insert into public.killed select i, 'x' from generate_series(1, 50000) i`);
  const config = path.join(directory, 'repctl.yaml');
  const seen = new Set<string>();
  for (let attempt = 1; ; attempt += 1) {
    // Each run may get one step further than the one before, then dies without a word.
    const child = spawn(
      process.execPath,
      [PROGRAM, 'publication', 'add', 'killed', '--yes', '--config', config],
      {
        env: cleanEnv({ HOME: directory }),
        stdio: ['ignore', 'ignore', 'pipe'],
      },
    );
    let steps = 0;
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      for (const line of text.split('\n').filter((one) => one.includes('✓')))
        seen.add(line.replace(/.* ms {2}/, ''));
      steps += text.split('✓').length - 1;
      if (steps >= attempt % 3) child.kill('SIGKILL');
    });
    const code = await new Promise((resolve) => child.on('close', resolve));
    if (code === 0 || attempt === 20) break;
  }
  expect(await json('publication', 'add', 'killed', '--yes')).toMatchObject({ code: 0 });
  expect((await json('publication', 'add', 'killed', '--yes')).data).toMatchObject({
    status: 'nothing-to-do',
  });
  const leader = await fleet.session('n1');
  await leader.query(`update public.killed set v = 'y' where id % 100 = 0`);
  for (const node of ['n2', 'n3']) {
    const session = await fleet.session(node);
    await expect
      .poll(
        async () => (await tablesEqual(leader, session, [{ schema: 'public', name: 'killed' }]))[0]?.equal,
        {
          timeout: 15_000,
        },
      )
      .toBe(true);
  }
  expect(seen.size).toBeGreaterThan(2);
});

it('shows the others when a node is down, and refuses what needs all', async () => {
  const { killNode } = await import('../../../src/sandbox/sandbox.js');
  await killNode(servers.sandbox, 'n3');
  const list = await repctl('slot', 'list');
  expect(list).toMatchObject({ code: 0 });
  expect(list.stdout).toContain('✗ n3 did not answer');
  expect(await json('slot', 'list', '--node', 'n3')).toMatchObject({ code: 3 });
  expect(await json('publication', 'add', 'theirs', '--yes')).toMatchObject({ code: 3 });
  const advance = await json('slot', 'advance', '--node', 'n2', '--yes');
  expect(advance.data['notes']).toEqual(['left alone: repctl_n3 on n2: n3 does not answer']);
});
