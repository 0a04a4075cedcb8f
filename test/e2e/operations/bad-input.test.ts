/**
 * What an operator can get wrong, or find wrong, when the leadership is to move: each with its code, its exit status,
 * what to type next, and nothing changed. On real servers, as it is typed.
 */
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Fleet } from '../../../src/cluster/fleet.js';
import { connectionOf } from '../../../src/config/connection.js';
import { openSession } from '../../../src/postgres/session.js';
import { killNode } from '../../../src/sandbox/sandbox.js';
import { type Cli, makeCli } from '../../support/home-cli.js';
import {
  type Failure,
  type Try,
  attempt as attemptOn,
  failing,
  writeConfig,
} from '../../support/operator.js';
import { type Servers, startServers } from '../../support/servers.js';
import { until } from '../../support/wait.js';

let servers: Servers;
let fleet: Fleet;
let cli: Cli;

beforeAll(async () => {
  servers = await startServers({ settings: { max_prepared_transactions: '10' } });
  fleet = servers.fleet();
  cli = makeCli();
  configure();
  const { code, stderr } = await cli.run(['cluster', 'create', '--with-products', '--yes']);
  expect(code, stderr).toBe(0);
});
afterAll(async () => {
  await servers.down();
  cli.end();
});

const NAMES = ['n1', 'n2', 'n3', 'n4'];
const urls = (over: Readonly<Record<string, string>> = {}) =>
  Object.fromEntries(
    servers.config.nodes.map(({ name, url }) => [name, { url: over[name] ?? url }] as const),
  );
const configure = (extra: Readonly<Record<string, unknown>> = {}, name?: string): string =>
  writeConfig(
    cli,
    { cluster: servers.config.cluster, nodes: urls(), drainTimeout: 0.7, connectTimeout: 1, ...extra },
    name,
  );
const on = async (node: string, sql: string) => (await fleet.session(node)).simple(sql);
const admin = async (node: string, sql: string) => {
  const session = await servers.superuser(node);
  await session.simple(sql);
  await session.close();
};
/** A session that holds on to something until it is closed. */
const holding = async (node: string, sql: string) => {
  const session = await servers.superuser(node);
  await session.simple(sql);
  return () => session.close();
};

/** Somebody else's reader of a slot. */
const reading = async (node: string, slot: string) => {
  const client = new pg.Client({
    connectionString: servers.config.nodes.find(({ name }) => name === node)?.url,
    replication: 'database',
  } as pg.ClientConfig);
  client.on('error', () => undefined);
  await client.connect();
  // It never answers, since the connection is in copy mode from here on: the server would end it after 5 s.
  await client.query('set wal_sender_timeout = 0');
  client
    .query(`START_REPLICATION SLOT ${slot} LOGICAL 0/0 (proto_version '1', publication_names 'repctl')`)
    .catch(() => undefined);
  const session = await fleet.session(node);
  await until(
    () => session.query('select from pg_replication_slots where slot_name = $1 and active', [slot]),
    (rows) => rows.length === 1,
  );
  return async () => {
    (client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
    await until(
      () => session.query('select from pg_replication_slots where slot_name = $1 and active', [slot]),
      (rows) => rows.length === 0,
    );
  };
};
const hooks = (given: Readonly<Record<string, unknown>>) => {
  configure({ hooks: given });
  return Promise.resolve(() => {
    configure();
    return Promise.resolve();
  });
};

interface Case {
  readonly what: string;
  /** Returns how it is taken back. */
  readonly plant?: () => Promise<() => Promise<unknown>>;
  readonly tries: readonly Try[];
  /** On which nodes everything is compared; default all. */
  readonly names?: readonly string[];
  /** What the hint says to type, instead of taking it back. */
  readonly mend?: string;
  /** What goes through afterwards, as a dry run. */
  readonly then?: string;
}

const attempt = (one: Try, names: readonly string[] = NAMES): Promise<Failure> =>
  attemptOn(cli, fleet, names, one);

async function done(args: string): Promise<void> {
  const { code, stdout, stderr } = await cli.run(args.split(' '));
  expect(code, `${args}\n${stdout}\n${stderr}`).toBe(0);
}

const switching = (target: string, rest: Omit<Try, 'args'>): Try => ({
  args: `switchover ${target}`,
  ...rest,
});
/** promote is a switchover then, and must not be an easier one. */
const both = (target: string, rest: Omit<Try, 'args'>): Try[] => [
  switching(target, rest),
  { args: `promote ${target}`, ...rest },
];

describe('a healthy cluster', () => {
  const cases: Case[] = [
    {
      what: 'a name that is unknown',
      tries: ['switchover', 'failover', 'promote', 'rewire', 'rejoin', 'fence', 'unfence'].map((command) => ({
        args: `${command} n9`,
        code: 'unknown-node',
        exit: 2,
        hint: /repctl status/,
        says: /n9.*n1, n2, n3, n4/,
      })),
    },
    {
      what: 'the leader itself',
      tries: [
        ...both('n1', { code: 'target-is-leader', hint: /repctl status/ }),
        { args: 'failover n1', code: 'leader-alive', hint: /repctl status/ },
        { args: 'rewire n1', code: 'is-leader', hint: /repctl status/ },
        { args: 'rejoin n1', code: 'is-leader', hint: /repctl status/ },
      ],
    },
    {
      what: 'a failover although the leader is well',
      tries: [
        { args: 'failover', code: 'leader-alive', hint: /repctl status/ },
        { args: 'failover n2', code: 'leader-alive', hint: /repctl switchover n2/ },
      ],
    },
    {
      what: 'unfence of a replica, rejoin of a node that never led',
      tries: [{ args: 'unfence n2', code: 'not-leader', hint: /repctl switchover n2/ }],
    },
    {
      what: 'a replica whose subscription is disabled',
      plant: async () => {
        await on('n2', 'alter subscription repctl_n2_e1 disable');
        return () => Promise.resolve();
      },
      tries: both('n2', { code: 'subscription-disabled', hint: /repctl subscription enable n2/ }),
      mend: 'subscription enable n2',
      then: 'switchover n2',
    },
    {
      what: 'a replica without a subscription',
      plant: async () => {
        await on(
          'n2',
          'alter subscription repctl_n2_e1 disable; alter subscription repctl_n2_e1 set (slot_name = none); drop subscription repctl_n2_e1',
        );
        return () => Promise.resolve();
      },
      tries: [switching('n2', { code: 'subscription-missing', hint: /repctl rewire n2/ })],
      mend: 'rewire n2',
      then: 'switchover n2',
    },
    {
      what: 'a replica without the epoch table',
      plant: async () => {
        await admin('n2', 'drop table repctl.epoch');
        return () => Promise.resolve();
      },
      // The helper that compares reads that very table.
      names: ['n1', 'n3', 'n4'],
      tries: [
        switching('n2', { code: 'epoch-missing', hint: /repctl rewire n2 --recopy/ }),
        { args: 'rewire n2', code: 'epoch-missing', hint: /repctl rewire n2 --recopy/ },
        { args: 'unfence n2', code: 'not-leader', hint: /repctl switchover n2/ },
      ],
      mend: 'rewire n2 --recopy',
      then: 'switchover n2',
    },
    {
      what: 'a table that only the leader publishes',
      plant: async () => {
        await on('n1', 'create table extra (id int primary key); alter publication repctl add table extra');
        return () => Promise.resolve();
      },
      tries: [
        switching('n2', { code: 'publication-drift', hint: /repctl publication add public\.extra/ }),
        { args: 'publication add public.extra', code: 'table-missing', hint: /Create it on n2/ },
      ],
      mend: 'publication drop public.extra',
      then: 'switchover n2',
    },
    {
      what: 'a replica whose publication would not send deletes',
      plant: async () => {
        await on('n2', `alter publication repctl set (publish = 'insert, update, truncate')`);
        return () => on('n2', `alter publication repctl set (publish = 'insert, update, delete, truncate')`);
      },
      tries: [
        switching('n2', { code: 'publication-withholds', hint: /On n2: alter publication "repctl" set/ }),
      ],
      then: 'switchover n2',
    },
    {
      what: 'a prepared transaction on the leader',
      plant: async () => {
        await on(
          'n1',
          `begin; insert into products (sku, name, price) values ('p', 'x', 1); prepare transaction 'it''s'`,
        );
        return () => on('n1', `rollback prepared 'it''s'`);
      },
      tries: both('n2', { code: 'prepared-transaction', hint: /rollback prepared 'it''s'/ }),
      then: 'switchover n2',
    },
    {
      what: 'a prepared transaction on a replica',
      plant: async () => {
        await admin('n3', `begin; create table held (i int); prepare transaction 'there'`);
        return () => admin('n3', `rollback prepared 'there'`);
      },
      tries: [switching('n2', { code: 'prepared-transaction', hint: /On n3.*rollback prepared 'there'/ })],
      then: 'switchover n2',
    },
    {
      what: "somebody else's subscription on a published table",
      plant: async () => {
        await admin('n3', 'create publication theirs for table products');
        const { port } = servers.sandbox.nodes[2]!;
        const { pathname, username, password } = new URL(servers.config.nodes[2]!.url);
        await admin(
          'n2',
          `create subscription theirs connection 'host=127.0.0.1 port=${String(port)} user=${username} password=${password} dbname=${pathname.slice(1)}' publication theirs with (copy_data = false)`,
        );
        return async () => {
          await admin('n2', 'drop subscription theirs');
          await admin('n3', 'drop publication theirs');
        };
      },
      tries: [
        switching('n2', { code: 'foreign-subscription', hint: /On n2: alter subscription theirs disable/ }),
      ],
      then: 'switchover n2',
    },
    {
      what: 'a trigger that fires for replicated rows',
      plant: async () => {
        const sql =
          'create trigger mine before update on products for each row execute function suppress_redundant_updates_trigger(); alter table products enable always trigger mine';
        for (const node of NAMES) await on(node, sql);
        return async () => {
          for (const node of NAMES) await on(node, 'drop trigger mine on products');
        };
      },
      tries: [switching('n2', { code: 'foreign-trigger', hint: /drop trigger mine on/ })],
      then: 'switchover n2',
    },
    {
      what: 'an idle client that holds a lock on a published table of the leader',
      plant: () => holding('n1', `begin; lock table products in row exclusive mode`),
      tries: [
        {
          args: 'switchover n2',
          code: 'fence-blocked',
          exit: 8,
          hint: /--terminate-blockers[^]*takes writes/,
          says: /pid \d+/,
        },
      ],
      then: 'switchover n2',
    },
    {
      what: 'a standby slot that somebody else reads',
      plant: () => reading('n2', 'repctl_n3'),
      tries: [
        switching('n2', { code: 'slot-active', hint: /On n2|on n2: select pg_terminate_backend\(\d+\)/ }),
      ],
      then: 'switchover n2',
    },
    {
      what: 'a hook that is missing',
      plant: () => hooks({ beforePromote: ['/nowhere/hook'] }),
      tries: [switching('n2', { code: 'hook-missing', exit: 8, hint: /Mend the program/, says: /nowhere/ })],
      then: 'switchover n2',
    },
    {
      what: 'a hook that hangs',
      plant: () => hooks({ beforePromote: ['sleep', '60'], timeout: 0.3 }),
      tries: [switching('n2', { code: 'hook-timeout', exit: 8, hint: /Mend the program/, says: /0\.3 s/ })],
      then: 'switchover n2',
    },
    {
      what: 'the database of another cluster, further in its epochs, behind the name of a replica',
      plant: async () => {
        await admin('n2', 'create database staging owner app');
        const staging = new URL(servers.config.nodes[1]!.url);
        staging.pathname = '/staging';
        const alone = writeConfig(
          cli,
          { cluster: 'staging', nodes: { n2: { url: staging.href } } },
          'staging.yaml',
        );
        await done(`cluster create --with-products --yes -c ${alone}`);
        const there = await openSession({
          node: 'staging',
          connection: connectionOf(staging.href, {}),
          connectTimeoutMs: 5000,
          statementTimeoutMs: 5000,
        });
        await there.simple(
          `insert into repctl.epoch (epoch, leader, operation, operator) values (7, 'n2', 'x', 'x')`,
        );
        await there.close();
        configure({ nodes: urls({ n2: staging.href }) });
        return async () => {
          configure();
          await admin('n2', 'drop database staging with (force)');
        };
      },
      tries: [
        'switchover n3',
        'failover',
        'promote n2',
        'rewire n2',
        'rejoin n2',
        'fence n2',
        'unfence n2',
      ].map((args) => ({
        args,
        code: 'other-cluster',
        hint: /Check the URL/,
        says: /n2 belongs to cluster staging/,
      })),
      then: 'switchover n2',
    },
  ];

  it.each(cases)('$what', async ({ plant, tries, names, mend, then }) => {
    const undo = await plant?.();
    try {
      const failures: Failure[] = [];
      for (const one of tries) failures.push(await attempt(one, names));
      if (mend !== undefined) {
        expect(failures[0]?.hint).toMatch(new RegExp(mend.replace('drop public.extra', 'drop')));
        await done(`${mend} --yes`);
      }
    } finally {
      await undo?.();
    }
    if (then !== undefined)
      await until(
        async () => cli.run([...then.split(' '), '--dry-run']),
        ({ code }) => code === 0,
      );
  });
});

describe('the leader is gone', () => {
  const REPLICAS = ['n2', 'n3', 'n4'];

  it('refuses what cannot be, and goes on where a sibling could not be attached', async () => {
    await killNode(servers.sandbox, 'n1');
    const gone: Try[] = [
      { args: 'failover n1', code: 'target-is-leader', hint: /Name another node/ },
      { args: 'failover n9', code: 'unknown-node', exit: 2, hint: /repctl status/ },
      { args: 'switchover n2', code: 'leader-unreachable', exit: 3, hint: /repctl failover/ },
      { args: 'rewire n2', code: 'no-leader', hint: /repctl failover/ },
      { args: 'rejoin n2', code: 'no-leader', hint: /repctl failover/ },
      { args: 'fence n1', code: 'node-unreachable', exit: 3, hint: /./ },
    ];
    for (const one of gone) await attempt(one, REPLICAS);

    const mended = await hooks({ beforePromote: ['sleep', '60'], timeout: 0.2 });
    await attempt({ args: 'failover n2', code: 'hook-timeout', exit: 8, hint: /Mend the program/ }, REPLICAS);
    await mended();

    const stop = await reading('n2', 'repctl_n3');
    const half = await failing(cli, ['failover', 'n2', '--yes'], 7);
    expect(half.hint).toContain('the same command goes on');
    // What is on its way in the stream is no change of the command that is tried next.
    const attached = await fleet.session('n4');
    await until(
      () => attached.query('select from repctl.epoch where epoch = 2'),
      (rows) => rows.length === 1,
    );
    const unfinished = await attempt(
      { args: 'switchover n4', code: 'mid-change', hint: /repctl failover/ },
      REPLICAS,
    );
    expect(unfinished.message).toContain('is not finished');
    await stop();

    // The sibling is held up where the failover looks for its own record.
    const locker = await servers.superuser('n3');
    await locker.simple('begin; lock table repctl.event in share row exclusive mode');
    const [row] = await locker.query<{ pid: number }>('select pg_backend_pid() as pid');
    const locked = await failing(cli, ['failover', '--yes'], 7);
    expect(locked).toMatchObject({ code: 'replica-locked', details: { node: 'n3' } });
    expect(locked.hint).toContain(`On n3: select pg_terminate_backend(${String(row?.pid)})`);
    await locker.close();
    await done('failover --yes');
    const leader = await fleet.session('n2');
    await leader.simple(`insert into products (sku, name, price) values ('after', 'x', 1)`);
    for (const name of ['n3', 'n4']) {
      const session = await fleet.session(name);
      await until(
        () => session.query(`select from products where sku = 'after'`),
        (rows) => rows.length === 1,
      );
    }
  });
});
