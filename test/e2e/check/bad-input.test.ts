/**
 * What `check` is given that it cannot use, or finds that it cannot compare: as it is typed, with its exit status, what
 * to type next, and nothing changed on any node.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Fleet } from '../../../src/cluster/fleet.js';
import type { CheckHistory } from '../../../src/consistency/history.js';
import type { CheckResult, TableNodeResult } from '../../../src/consistency/result.js';
import { makeCluster } from '../../integration/consistency/cluster.js';
import type { CliResult } from '../../support/cli.js';
import { type Cli, makeCli, urlEnv } from '../../support/home-cli.js';
import { nothingLeft } from '../../support/left.js';
import { type Failure, commandsIn, unchanged } from '../../support/operator.js';
import { type Servers, startServers } from '../../support/servers.js';
import { until } from '../../support/wait.js';

const NAMES = ['n1', 'n2', 'n3'];
/** Compared slowly while something happens to them. */
const MIDDLE = ['retyped', 'renamed_on_n3', 'dropped', 'dropped_on_n3'];

let servers: Servers;
let fleet: Fleet;
let cli: Cli;
let role: string;
let env: Record<string, string>;
beforeAll(async () => {
  servers = await startServers({ nodes: 3 });
  fleet = servers.fleet();
  cli = makeCli();
  // Only superusers make types; this one has text and no bytes.
  for (const name of NAMES)
    await admin(
      name,
      `create type public.code;
       create function public.code_in(cstring) returns public.code language internal immutable strict as 'textin';
       create function public.code_out(public.code) returns cstring language internal immutable strict as 'textout';
       create type public.code (input = public.code_in, output = public.code_out, like = text)`,
    );
  await makeCluster(servers, fleet, {
    create: () =>
      [
        'create table goods (id int primary key, price numeric, note text)',
        'create table coded (id int primary key, c public.code)',
        'create table unpublished (id int primary key)',
        ...MIDDLE.map((name) => `create table ${name} (id int primary key, note text)`),
      ].join('; '),
    published: ['goods', 'coded', ...MIDDLE],
    fill: [
      `insert into goods select g, g + 0.10, 'note ' || g from generate_series(1, 5000) g`,
      `insert into coded select g, ('c' || g)::public.code from generate_series(1, 100) g`,
      ...MIDDLE.map((name) => `insert into ${name} select g, 'note ' || g from generate_series(1, 6000) g`),
    ].join('; '),
  });
  const [row] = await (await fleet.session('n1')).query<{ role: string }>('select current_user as role');
  role = row?.role ?? '';
  env = urlEnv(servers.config);
});
afterAll(async () => {
  await servers.down();
  cli.end();
});

async function admin(node: string, sql: string): Promise<void> {
  const session = await servers.superuser(node);
  await session.simple(sql);
  await session.close();
}

/** As it is typed; what it says to type exists. */
async function check(...args: string[]): Promise<CliResult> {
  const result = await cli.run(['check', ...args], { env });
  commandsIn(`${result.stdout}\n${result.stderr}`);
  return result;
}

async function compared(...args: string[]): Promise<{ code: number | null; result: CheckResult }> {
  const { code, stdout } = await check(...args, '--json');
  return { code, result: JSON.parse(stdout) as CheckResult };
}

const nodeOf = ({ tables }: CheckResult, table: string, node: string): TableNodeResult | undefined =>
  tables.find(({ name }) => name === table)?.nodes.find((one) => one.node === node);

describe('what cannot be used: refused before a row is read', () => {
  test.each([
    {
      args: ['unpublished'],
      ...{ code: 'table-not-published', exit: 2, hint: /repctl publication add public\.unpublished/ },
    },
    { args: ['nowhere'], code: 'unknown-table', exit: 2, hint: /public\.goods/ },
    {
      args: ['goods', '--where', 'id = 1; drop table goods'],
      code: 'bad-condition',
      exit: 2,
      hint: /One condition/,
    },
    {
      args: ['goods', '--where', `id = 1) or pg_sleep(1) is null or (true`],
      code: 'bad-condition',
      exit: 2,
      hint: /./,
    },
    { args: ['goods', '--where', 'id ='], code: 'bad-condition', exit: 2, hint: /./ },
    { args: ['goods', '--where', 'nothing = 1'], code: 'bad-condition', exit: 2, hint: /./ },
    {
      // A rate at which the rows would take an hour: what cannot be written is told before.
      args: ['--report', '/nowhere/report.ndjson', '--max-rate', '2rows'],
      ...{ code: 'report-unwritable', exit: 2, hint: /./ },
    },
    {
      args: ['--report', '/proc/self/report.ndjson', '--max-rate', '2rows'],
      ...{ code: 'report-unwritable', exit: 2, hint: /./ },
    },
    { args: ['--max-rate', 'fast'], code: 'usage', exit: 2, hint: undefined },
    { args: ['--since', 'yesterday'], code: 'usage', exit: 2, hint: undefined },
  ])('$args', async ({ args, code, exit, hint }) => {
    await unchanged(fleet, NAMES, async () => {
      const { code: status, stdout } = await check(...args, '--json');
      const { error } = JSON.parse(stdout) as { error: Failure };
      expect({ status, code: error.code }, error.message).toEqual({ status: exit, code });
      // The message of a wrong flag says what it takes.
      if (hint === undefined) expect(error.message).toMatch(/such as|2h|rows/u);
      else expect(error.hint).toMatch(hint);
    });
    await nothingLeft(servers, NAMES);
  });
});

test.each([
  {
    args: ['--since', '2h', '--since-column', 'nope'],
    code: 'no-time-column',
    says: /^No replicated table has a column nope /u,
  },
  { args: ['--history', 'nosuch'], code: 'usage', says: /^--history tells of every table/u },
])('$args: said in so many words', async ({ args, code, says }) => {
  const { code: status, stdout } = await check(...args, '--json');
  const { error } = JSON.parse(stdout) as { error: Failure };
  expect({ status, code: error.code }, error.message).toEqual({ status: 2, code });
  expect(error.message).toMatch(says);
});

describe('nobody says who leads: that is not a cluster to be created', () => {
  /** Nobody listens there. */
  const nowhere = (...names: string[]) =>
    Object.fromEntries(names.map((name) => [`REPCTL_URL_${name}`, `postgres://x@127.0.0.1:1/${name}`]));

  async function refused(args: readonly string[], over: Record<string, string>): Promise<Failure> {
    const { code, data } = await cli.json<{ error: Failure }>(args, { env: { ...env, ...over } });
    expect({ code, error: data.error.code }, data.error.message).toEqual({
      ...{ code: 3, error: 'node-unreachable' },
    });
    expect(data.error.hint).toMatch(/repctl status/u);
    expect(JSON.stringify(data.error)).not.toContain('cluster create');
    return data.error;
  }

  test.each([['check'], ['repair', '--dry-run']])('%s: no node answers', async (...args) => {
    expect((await refused(args, nowhere('N1', 'N2', 'N3'))).message).toMatch(/n1 at .*; n2 at .*; n3 at /u);
  });

  test.each([['check'], ['history'], ['sync'], ['repair', '--dry-run']])(
    '%s: the only one that answers knows of no cluster',
    async (...args) => {
      const bare = new URL(env['REPCTL_URL_N1'] ?? '');
      bare.pathname = '/postgres';
      const { message } = await refused(args, { REPCTL_URL_N1: bare.href, ...nowhere('N2', 'N3') });
      expect(message).toMatch(/n2 at .*; n3 at /u);
    },
  );

  test('all answer, and this role may not read what they know', async () => {
    for (const name of NAMES)
      await admin(
        name,
        `create role bystander; grant bystander to ${role}; alter role ${role} set role = bystander`,
      );
    try {
      for (const args of [['check'], ['history'], ['sync'], ['repair', '--dry-run']])
        expect((await refused(args, {})).message).toMatch(/bystander may not read schema repctl on n1; /u);
    } finally {
      for (const name of NAMES) await admin(name, `alter role ${role} reset role; drop role bystander`);
    }
    expect((await compared('goods')).code).toBe(0);
  });

  test('every node answers and none knows of a cluster: it is to be created', async () => {
    const bare = Object.entries(env).map(([name, url]) => {
      const other = new URL(url);
      other.pathname = '/postgres';
      return [name, other.href] as const;
    });
    const { code, data } = await cli.json<{ error: Failure }>(['check'], { env: Object.fromEntries(bare) });
    expect([code, data.error.code, data.error.hint]).toEqual([2, 'not-created', 'repctl cluster create']);
  });
});

describe('as cron has it', () => {
  test('equal: --quiet says nothing at all; --history tells since when', async () => {
    expect(await check('--quiet')).toMatchObject({ code: 0, stdout: '' });
    const { stdout } = await check('--history', '--json');
    const history = JSON.parse(stdout) as CheckHistory;
    expect(JSON.stringify(history)).toContain('goods');
    const shown = await check('--history');
    expect(shown.code).toBe(0);
    expect(shown.stdout).toMatch(/✓ public\.goods on n3: equal since/u);
  });

  test('--paranoid: sha256, equal', async () => {
    expect(await compared('goods', '--paranoid')).toMatchObject({
      ...{ code: 0, result: { digest: 'sha256', verdict: 'equal' } },
    });
  });

  test('different: --quiet has a line for it, exit 5', async () => {
    await admin('n3', 'update goods set price = 0 where id = 7');
    const { code, stdout } = await check('goods', '--quiet');
    expect(code).toBe(5);
    expect(stdout).toMatch(/^public\.goods on n3/mu);
    await admin('n3', 'update goods set price = 7.10 where id = 7');
  });
});

describe('what a server says otherwise', () => {
  test('a type without a send function: compared as text, a difference is found', async () => {
    expect((await compared('coded')).code).toBe(0);
    await admin('n3', `update coded set c = 'x' where id = 5`);
    const { code, result } = await compared('coded');
    expect(code).toBe(5);
    expect(JSON.stringify(nodeOf(result, 'coded', 'n3'))).toContain('c5');
    await admin('n3', `update coded set c = 'c5' where id = 5`);
  });

  test('no right to read: unverified, exit 4, the GRANT is named; the other replica is compared', async () => {
    await admin('n3', `revoke select on goods from ${role}; alter table goods owner to current_user`);
    const { code, stdout } = await check('goods');
    expect(code).toBe(4);
    expect(stdout).toMatch(new RegExp(`n3.*grant select on public\\.goods to ${role}`, 'u'));
    expect(stdout).toMatch(/public\.goods\s+n2\s+✓ equal/u);
    // On columns alone: equal can be proven, a difference cannot.
    await admin('n3', `grant select (id, price, note) on goods to ${role}`);
    expect((await compared('goods')).code).toBe(0);
    await admin('n3', 'update goods set price = 0 where id = 7');
    const { result } = await compared('goods');
    expect(nodeOf(result, 'goods', 'n3')).toMatchObject({
      ...{ verdict: 'unverified', problem: expect.stringMatching(/SELECT on the whole table/u) as string },
    });
    await admin('n3', 'update goods set price = 7.10 where id = 7');
    await admin('n3', `alter table goods owner to ${role}; grant all on goods to ${role}`);
    expect((await compared('goods')).code).toBe(0);
  });

  test('a short statement_timeout and transaction_timeout of the role: not those of a check', async () => {
    for (const name of NAMES) await admin(name, `alter role ${role} set statement_timeout = '200ms'`);
    // 17 and later have it.
    for (const name of NAMES) await admin(name, `alter role ${role} set transaction_timeout = '300ms'`);
    const slow = ['--exact', '--max-rate', '5000rows', '--block-rows', '500'];
    expect(await compared('goods', ...slow)).toMatchObject({ code: 0, result: { verdict: 'equal' } });
    const held = await servers.superuser('n3');
    await held.simple('begin; lock table goods in access exclusive mode');
    const waited = compared('goods');
    const watcher = await servers.superuser('n3');
    await until(
      () =>
        watcher.query(
          `select from pg_stat_activity where application_name = 'repctl check' and wait_event_type = 'Lock'
           and clock_timestamp() - query_start > interval '500 ms'`,
        ),
      (rows) => rows.length > 0,
    );
    await held.close();
    expect(await waited).toMatchObject({ code: 0, result: { verdict: 'equal' } });
    for (const name of NAMES) await admin(name, `alter role ${role} reset all`);
  });

  test('a server that hashes otherwise: said, and compared by sha256', async () => {
    await admin(
      'n3',
      `alter function pg_catalog.int8send(int8) rename to int8send_of_old;
       create function pg_catalog.int8send(int8) returns bytea language sql immutable strict parallel safe as 'select pg_catalog.int8send_of_old($1 + 1)'`,
    );
    try {
      const { code, stdout } = await check('goods');
      expect(code, stdout).toBe(0);
      expect(stdout).toMatch(/n3 hashes otherwise.*sha256/u);
    } finally {
      await admin(
        'n3',
        `drop function pg_catalog.int8send(int8);
         alter function pg_catalog.int8send_of_old(int8) rename to int8send`,
      );
    }
  });

  test('a replica with one free connection: it is told of with why, exit 4; the other is compared', async () => {
    // Those of a check that has just ended would be counted, and be free a moment later.
    await nothingLeft(servers, NAMES);
    const [free] = await (
      await servers.superuser('n3')
    ).query<{ limited: string | null }>(
      `select format('alter role %I connection limit %s', usename, count(*) filter (where backend_type = 'client backend') + 1) as limited
       from pg_stat_activity where usename = $1 and not (select rolsuper from pg_roles where rolname = $1) group by usename`,
      [role],
    );
    // No limit binds a superuser, which the role of a 15 is.
    if (!free?.limited) return;
    await admin('n3', free.limited);
    const { code, result } = await compared('goods');
    expect(nodeOf(result, 'goods', 'n2')).toMatchObject({ verdict: 'equal' });
    expect(result.unreachable).toMatchObject([
      { node: 'n3', message: expect.stringMatching(/too many connections/u) as string },
    ]);
    expect(code).toBe(4);
    await admin('n3', `alter role ${role} connection limit -1`);
    await nothingLeft(servers, NAMES);
  });

  test.each(NAMES)(
    'a table locked on %s: waited for as long as --timeout says, then unverified',
    async (name) => {
      const held = await servers.superuser(name);
      await held.simple('begin; lock table coded in access exclusive mode');
      const { code, result } = await compared('coded', 'goods', '--timeout', '1');
      const { code: schemaCode, result: schemaOnly } = await compared('coded', '--schema', '--timeout', '1');
      await held.close();
      expect([code, schemaCode], JSON.stringify({ result, schemaOnly })).toEqual([4, 4]);
      const unread = {
        code: 'table-unread',
        node: name,
        message: expect.stringMatching(/coded: .*lock/u) as string,
      };
      expect(schemaOnly.publication).toMatchObject([unread]);
      if (name === 'n1') expect(result.publication).toMatchObject([unread]);
      else
        expect(nodeOf(result, 'coded', name)).toMatchObject({
          ...{ verdict: 'unverified', problem: expect.stringMatching(/lock/u) as string },
        });
      for (const node of ['n2', 'n3']) {
        if (name !== 'n1' && node !== name)
          expect(nodeOf(result, 'coded', node)).toMatchObject({ verdict: 'equal' });
        expect(nodeOf(result, 'goods', node)).toMatchObject({ verdict: 'equal' });
      }
      await nothingLeft(servers, NAMES);
    },
  );

  test('a replica that never catches up: unverified after --timeout, exit 4', async () => {
    const held = await servers.superuser('n3');
    await held.simple('begin; lock table goods in share mode');
    await (await fleet.session('n1')).simple('update goods set price = 1 where id = 9');
    const other = await fleet.session('n2');
    await until(
      () => other.query('select from goods where id = 9 and price = 1'),
      (rows) => rows.length === 1,
    );
    const { code, result } = await compared('goods', '--timeout', '2');
    expect(code).toBe(4);
    expect(nodeOf(result, 'goods', 'n3')).toMatchObject({ verdict: 'unverified', unverified: 1 });
    expect(nodeOf(result, 'goods', 'n2')).toMatchObject({ verdict: 'equal' });
    expect(result.durationMs).toBeLessThan(20_000);
    await held.close();
    await until(
      () => compared('goods'),
      (again) => again.code === 0,
    );
  });
});

describe('in the middle of it', () => {
  /** Stopped while it reads the table, until `what` is done. */
  async function during(table: string, what: () => Promise<void>) {
    const args = ['check', table, '--json', '--max-rate', '1500rows', '--block-rows', '500'];
    const running = cli.start(args, { env });
    const leader = await fleet.session('n1');
    await running.seen(
      () =>
        leader.query(
          // The digest of a block, or the settings around it.
          `select from pg_stat_activity where application_name = 'repctl check' and query ~ 'bit_xor|enable_indexscan'`,
        ),
      (rows) => rows.length > 0,
    );
    running.child.kill('SIGSTOP');
    await what();
    running.child.kill('SIGCONT');
    const { code, stdout } = await running.ended;
    await nothingLeft(servers, NAMES);
    return { code, result: JSON.parse(stdout) as CheckResult };
  }
  const ALTERED = /altered while it was compared: check it again/u;
  const on = async (names: readonly string[], sql: string) => {
    for (const name of names) await (await fleet.session(name)).simple(sql);
  };

  test('a table is altered everywhere', async () => {
    const alter = () => on(NAMES, 'alter table retyped alter note type varchar(90)');
    const { code, result } = await during('retyped', alter);
    expect(code).toBe(4);
    for (const node of ['n2', 'n3']) {
      const found = nodeOf(result, 'retyped', node);
      expect(found?.verdict).toBe('unverified');
      expect(found?.problem).toMatch(ALTERED);
    }
    expect((await compared('retyped')).code).toBe(0);
  });

  test('a column is renamed on one replica alone: that one is unverified, and why is said', async () => {
    const rename = () => on(['n3'], 'alter table renamed_on_n3 rename note to remark');
    const { code, result } = await during('renamed_on_n3', rename);
    expect(nodeOf(result, 'renamed_on_n3', 'n3')).toMatchObject({ verdict: 'unverified' });
    expect(nodeOf(result, 'renamed_on_n3', 'n3')?.problem).toMatch(ALTERED);
    expect(nodeOf(result, 'renamed_on_n3', 'n2')).toMatchObject({ verdict: 'equal' });
    expect(code).toBe(4);
  });

  test('a table is dropped on one replica: the same', async () => {
    const { code, result } = await during('dropped_on_n3', () => on(['n3'], 'drop table dropped_on_n3'));
    expect(nodeOf(result, 'dropped_on_n3', 'n3')?.problem).toMatch(ALTERED);
    expect(nodeOf(result, 'dropped_on_n3', 'n2')).toMatchObject({ verdict: 'equal' });
    expect(code).toBe(4);
  });

  test('a table is dropped on the leader: nothing of it is verified', async () => {
    const { code, result } = await during('dropped', () => on(['n1'], 'drop table dropped'));
    expect(code).toBe(4);
    for (const node of ['n2', 'n3'])
      expect(nodeOf(result, 'dropped', node)).toMatchObject({ verdict: 'unverified' });
    expect(nodeOf(result, 'dropped', 'n2')?.problem).toMatch(ALTERED);
  });

  test('a table that some nodes do not have: said, with what to type; the others are compared', async () => {
    await on(['n1', 'n2'], 'create table half (id int primary key)');
    await on(['n1'], 'alter publication repctl add table half');
    await admin('n2', 'alter subscription repctl_n2_e1 refresh publication');
    const shown = await check('half');
    expect(shown.stdout).toMatch(/public\.half on n3: the table does not exist/u);
    expect(shown.stdout).toMatch(/repctl subscription refresh repctl_n3_e1 --node n3/u);
    // There is no row of it to set right.
    expect(shown.stdout).toMatch(/n3 has diverged from n1/u);
    expect(shown.stdout).not.toContain('repctl repair');
    const { code, result } = await compared('half');
    expect(code).toBe(5);
    expect(nodeOf(result, 'half', 'n2')).toMatchObject({ verdict: 'equal' });
    expect(result.schema).toContainEqual(expect.objectContaining({ node: 'n3', code: 'table-missing' }));
  });
});
