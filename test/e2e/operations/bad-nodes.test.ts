/**
 * Nodes that cannot take over, and a former leader that cannot be rejoined as it stands: each with its code, its exit
 * status, what to type next, and nothing changed. On real servers, as it is typed.
 */
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Fleet } from '../../../src/cluster/fleet.js';
import { killNode, startNode } from '../../../src/sandbox/sandbox.js';
import { type Cli, makeCli } from '../../support/home-cli.js';
import { type Try, attempt, failing, writeConfig } from '../../support/operator.js';
import { type Servers, startServers } from '../../support/servers.js';
import { strand } from '../../support/stranded.js';
import { until } from '../../support/wait.js';

const ALL = ['n1', 'n2', 'n3', 'n4'];
let servers: Servers;
let fleet: Fleet;
let cli: Cli;

beforeAll(async () => {
  servers = await startServers();
  fleet = servers.fleet();
  cli = makeCli();
  writeConfig(cli, {
    cluster: servers.config.cluster,
    nodes: Object.fromEntries(servers.config.nodes.map(({ name, url }) => [name, { url }])),
    connectTimeout: 5,
  });
  await done('cluster create --with-products --yes');
});
afterAll(async () => {
  await servers.down();
  cli.end();
});

async function done(args: string): Promise<void> {
  const { code, stdout, stderr } = await cli.run(args.split(' '));
  expect(code, `${args}\n${stdout}\n${stderr}`).toBe(0);
}
const tries = async (names: readonly string[], list: readonly Try[]): Promise<void> => {
  for (const one of list) await attempt(cli, fleet, names, one);
};
const healthy = () =>
  expect
    .poll(async () => (await cli.json<{ state: string }>(['status'])).data.state, { timeout: 30_000 })
    .toBe('healthy');

describe('a target that cannot lead', () => {
  it('is still copying', async () => {
    const admin = await servers.superuser('n2');
    await admin.simple('alter system set max_sync_workers_per_subscription = 0');
    await admin.simple('select pg_reload_conf()');
    // The server itself has read it before it tells its sessions, and the workers that it starts inherit it.
    await until(
      () =>
        admin.query<{ value: string }>(
          `select current_setting('max_sync_workers_per_subscription') as value`,
        ),
      ([row]) => row?.value === '0',
    );
    const copying = cli.spawn(['rewire', 'n2', '--recopy', '--yes']);
    const ended = new Promise((resolve) => copying.once('close', resolve));
    await until(
      () => admin.query(`select from pg_subscription_rel where srsubstate <> 'r'`),
      (rows) => rows.length > 0,
    );
    copying.kill('SIGKILL');
    await ended;
    for (const name of ALL) {
      const session = await fleet.session(name);
      await until(
        () => session.query(`select from pg_locks where locktype = 'advisory'`),
        (rows) => rows.length === 0,
      );
    }
    const no = { code: 'still-copying', hint: /repctl status/, says: /n2 has not finished its initial copy/ };
    await tries(ALL, [
      { args: 'switchover n2', ...no },
      { args: 'promote n2', ...no },
    ]);
    await admin.simple('alter system reset max_sync_workers_per_subscription');
    await admin.simple('select pg_reload_conf()');
    await done('rewire n2 --yes');
    await healthy();
  });

  it('is of another epoch: left out of a switchover, and not attached since', async () => {
    await done('switchover n3 --without n2 --yes');
    const no = { code: 'follows-old-leader', hint: /repctl rewire n2/ };
    await tries(ALL, [
      { args: 'switchover n2', ...no },
      { args: 'promote n2', ...no },
    ]);
    await done('rewire n2 --yes');
    await healthy();
  });

  it('does not answer', async () => {
    await killNode(servers.sandbox, 'n2');
    await tries(
      ['n1', 'n3', 'n4'],
      [
        { args: 'switchover n2', code: 'node-unreachable', exit: 3, hint: /Start n2, or name another node/ },
        { args: 'promote n2', code: 'node-unreachable', exit: 3, hint: /Start n2, or name another node/ },
        { args: 'failover n2', code: 'leader-alive', hint: /repctl switchover n2/ },
        { args: 'rewire n2', code: 'node-unreachable', exit: 3, hint: /Start/ },
        { args: 'rejoin n2', code: 'node-unreachable', exit: 3, hint: /Start/ },
        { args: 'fence n2', code: 'node-unreachable', exit: 3, hint: /./ },
      ],
    );
    await startNode(servers.sandbox, 'n2');
    await healthy();
  });
});

describe('a former leader', () => {
  let old = '';
  let leader = '';
  const file = (name: string): string => path.join(cli.home, name);
  const stock = async (): Promise<unknown> =>
    (await fleet.session(leader)).query('select sku, name, version from products order by sku');

  it('with a prepared transaction', async () => {
    ({ old, leader } = await strand(servers, fleet, async (session) => {
      for (const sku of ['lost 1', 'lost 2'])
        await session.query(`insert into products (sku, name, price) values ($1, 'x', 1)`, [sku]);
      await session.simple(
        `begin; insert into products (sku, name, price) values ('pending', 'x', 1); prepare transaction 'pending'`,
      );
    }));
    await tries(ALL, [
      {
        args: `rejoin ${old}`,
        code: 'prepared-transactions',
        hint: /rollback prepared/,
        says: new RegExp(old),
      },
    ]);
    await (await fleet.session(old)).simple(`rollback prepared 'pending'`);
  });

  it('whose stranded file cannot be written, or is there already: nothing is dropped, and no file touched', async () => {
    await done(`fence ${old} --yes`);
    // A directory that is a file stops everybody, root too.
    writeFileSync(file('no-directory'), 'mine');
    mkdirSync(file('taken'));
    const taken = file(`taken/stranded-${old}-3.jsonl`);
    const [epoch] = await (
      await fleet.session(old)
    ).query<{ epoch: number }>('select max(epoch) as epoch from repctl.epoch');
    const there = taken.replace('-3.jsonl', `-${String(epoch?.epoch)}.jsonl`);
    writeFileSync(there, 'somebody wrote this\n');
    await tries(ALL, [
      {
        args: `rejoin ${old} --output ${file('no-directory/below')}`,
        ...{ code: 'stranded-unwritable', hint: /Nothing was dropped[^]*--output/, says: /no-directory/ },
      },
      {
        args: `rejoin ${old} --output ${file('taken')}`,
        ...{ code: 'stranded-file-exists', hint: /--output/, says: /not a whole stranded file/ },
      },
    ]);
    expect(readFileSync(there, 'utf8')).toBe('somebody wrote this\n');
    expect(readFileSync(file('no-directory'), 'utf8')).toBe('mine');
  });

  it('whose stranded file is damaged: the line is named, and nothing of it applied', async () => {
    await done(`rejoin ${old} --output ${file('saved')} --yes`);
    await healthy();
    const [epoch] = await (
      await fleet.session(leader)
    ).query<{ epoch: number }>('select max(epoch) - 1 as epoch from repctl.epoch');
    const name = `stranded-${old}-${String(epoch?.epoch)}.jsonl`;
    const lines = readFileSync(file(`saved/${name}`), 'utf8')
      .trimEnd()
      .split('\n');
    expect(lines.length).toBe(4);
    const write = (as: string, changed: readonly string[]): string => {
      writeFileSync(file(as), `${changed.join('\n')}\n`);
      return file(as);
    };
    const before = await stock();
    const damaged: readonly (readonly [string, RegExp])[] = [
      [write('cut', lines.slice(0, -1)), /cut, line 3: the end of the file is missing/],
      [write('torn', lines.with(1, lines[1]!.slice(0, 40))), /torn, line 2: this is no JSON/],
      [write('changed', lines.with(2, lines[2]!.replace('lost 2', 'lost 3'))), /changed, line 4: the digest/],
      [write('gap', lines.toSpliced(1, 1)), /gap, line 2: a line is missing before it/],
      [write('empty', []), /empty, line 1/],
    ];
    for (const [bad, says] of damaged)
      await tries(ALL, [
        {
          args: `rejoin ${old} --replay --file ${bad}`,
          ...{ code: 'stranded-damaged', exit: 2, says, hint: /Nothing was applied/ },
        },
      ]);
    copyFileSync(file(`saved/${name}`), file('whole'));
    await tries(ALL, [
      {
        args: `rejoin ${old} --replay --file ${file('nowhere')}`,
        ...{ code: 'stranded-missing', exit: 2, hint: /repctl history/ },
      },
      {
        args: `rejoin ${leader} --replay --file ${file('whole')}`,
        ...{ code: 'stranded-of-another', hint: new RegExp(`repctl rejoin ${old} --replay`) },
      },
    ]);
    expect(await stock()).toEqual(before);
    expect((await failing(cli, ['rejoin', old, '--replay', '--file', file('cut')], 2)).details).toMatchObject(
      { line: 3 },
    );
    await done(`rejoin ${old} --replay --file ${file('whole')} --yes`);
    expect(await stock()).not.toEqual(before);
  });
});
