/**
 * The whole way with names, passwords and tables that nobody would choose and somebody has: the program as it is
 * typed, a database and a role with quotes and spaces, a password with every character that means something in a
 * URL or a connection string, and every kind of table that logical replication treats apart.
 */
import { chmodSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectionOf } from '../../../src/config/connection.js';
import { ident, literal } from '../../../src/postgres/quote.js';
import { type Session, openSession } from '../../../src/postgres/session.js';
import { killNode } from '../../../src/sandbox/sandbox.js';
import { type Cli, makeCli } from '../../support/home-cli.js';
import { type Servers, startServers } from '../../support/servers.js';
import { until } from '../../support/wait.js';

const DATABASE = `o'dd "db" %41 ü.x`;
const ROLE = `r"o le/'x`;
const PASSWORD = `p@:/% #'\\"?&=+ü x`;
const LONG = `${'ä'.repeat(31)}z`;
const NAMES = ['n1', 'n2', 'n3'];

/** Columns by name, so that every server makes the same. */
const TABLES = [
  `create schema "Sch.ema ""q"""`,
  `create type "Sch.ema ""q""".mood as enum ('sad', 'o''k')`,
  `create table "Sch.ema ""q"""."T a.b""c'd" (id bigint generated always as identity primary key, "Co l""" text, m "Sch.ema ""q""".mood)`,
  `create table "${LONG}" (id serial primary key, v int, w int generated always as (v * 2) stored)`,
  `create table parent (id int primary key, code text default 'P-' || nextval('public.free'))`,
  `create table child (id bigserial primary key, parent int not null references parent (id) on delete cascade)`,
  `create table parts (id int, at date, v text, primary key (id, at)) partition by range (at)`,
  `create table parts_1 partition of parts for values from ('2026-01-01') to ('2026-07-01')`,
  `create table parts_2 partition of parts for values from ('2026-07-01') to ('2027-01-01')`,
  `create table by_index (k text not null, v int)`,
  `create unique index by_index_k on by_index (k)`,
  `alter table by_index replica identity using index by_index_k`,
  `create table whole (a int, b text)`,
  `alter table whole replica identity full`,
  `create table fraction (id numeric default nextval('public.halves') primary key)`,
];

describe('odd names, odd tables', () => {
  let servers: Servers;
  let cli: Cli;
  const sessions = new Map<string, Session>();
  const url = (port: number) =>
    `postgres://${encodeURIComponent(ROLE)}:${encodeURIComponent(PASSWORD)}@127.0.0.1:${String(port)}/${encodeURIComponent(DATABASE)}`;
  const configure = (tables: readonly string[]) => {
    const file = path.join(cli.home, 'repctl.yaml');
    const lines = servers.sandbox.nodes.map(
      ({ name, port }) => `  ${name}: { url: ${JSON.stringify(url(port))} }`,
    );
    writeFileSync(
      file,
      ['cluster: "odd, one"', `tables: ${JSON.stringify(tables)}`, 'nodes:', ...lines, ''].join('\n'),
    );
    chmodSync(file, 0o600);
  };
  const on = (node: string): Session => {
    const session = sessions.get(node);
    if (session === undefined) throw new Error(node);
    return session;
  };
  const open = async ({ name, port }: { name: string; port: number }) => {
    const limits = { connectTimeoutMs: 5000, statementTimeoutMs: 30_000 };
    sessions.set(name, await openSession({ node: name, connection: connectionOf(url(port), {}), ...limits }));
  };

  beforeAll(async () => {
    servers = await startServers({ nodes: 3 });
    cli = makeCli();
    for (const node of servers.sandbox.nodes) {
      const admin = await servers.superuser(node.name);
      await admin.simple(`create role ${ident(ROLE)} login replication password ${literal(PASSWORD)}`);
      await admin.simple(`grant pg_monitor, pg_create_subscription to ${ident(ROLE)}`);
      await admin.simple(`create database ${ident(DATABASE)} owner ${ident(ROLE)}`);
      await open(node);
      const session = on(node.name);
      await session.simple('create sequence public.free; create sequence public.halves increment 3');
      for (const sql of TABLES) await session.simple(sql);
    }
    configure(['public.*', '*.*']);
    const leader = on('n1');
    await leader.simple(`insert into parent (id) select i from generate_series(1, 50) i`);
    await leader.simple(`insert into child (parent) select i from generate_series(1, 50) i`);
    await leader.simple(`insert into whole select i % 3, 'x' from generate_series(1, 9) i`);
  });
  afterAll(async () => {
    await Promise.all([...sessions.values()].map((session) => session.close()));
    await servers.down();
    cli.end();
  });

  it('creates the cluster', async () => {
    const { code, stdout, stderr } = await cli.run(['cluster', 'create', '--yes']);
    expect(stderr + stdout).not.toContain(PASSWORD);
    expect(stderr + stdout).not.toContain(encodeURIComponent(PASSWORD));
    expect(code, stderr + stdout).toBe(0);
  });

  it('replicates all of it', async () => {
    const leader = on('n1');
    await leader.simple(
      `insert into "Sch.ema ""q"""."T a.b""c'd" ("Co l""", m) select 'r' || i, 'o''k' from generate_series(1, 20) i`,
    );
    await leader.simple(`insert into "${LONG}" (v) select i from generate_series(1, 20) i`);
    await leader.simple(
      `insert into parts select i, date '2026-01-01' + i * 30, 'x' from generate_series(0, 11) i`,
    );
    await leader.simple(`insert into by_index select 'k' || i, i from generate_series(1, 20) i`);
    await leader.simple(`insert into fraction default values; insert into fraction values (7.5)`);
    // Keys that change, rows that move to another partition, a truncate with its dependants.
    await leader.simple(
      `update parent set id = id + 1000 where id > 40 and not exists (select from child c where c.parent = parent.id)`,
    );
    await leader.simple(`update parts set at = '2026-12-31' where id = 1`);
    await leader.simple(`update by_index set k = 'new' || k where v < 5`);
    await leader.simple(`delete from whole where ctid in (select ctid from whole where a = 1 limit 1)`);
    await leader.simple(
      `truncate parent cascade; insert into parent (id) values (1), (2); insert into child (parent) values (1)`,
    );
    const check = await until(
      () => cli.run(['check']),
      ({ code }) => code === 0,
    );
    expect(check.code, check.stdout).toBe(0);
  });

  it('fails over, and the sequences give no value twice', async () => {
    const { sandbox } = servers;
    // Without the grant on origins, positions are read out of slots: moved on, these hold nothing any more.
    const advance = await cli.run(['slot', 'advance', '--yes']);
    expect(advance.code, advance.stderr).toBe(0);
    await on('n1').close();
    await killNode(sandbox, 'n1');
    const { code, stdout, stderr } = await cli.run(['failover', '--yes']);
    expect(code, stderr + stdout).toBe(0);
    const leader = on('n2');
    await leader.simple(`insert into child (parent) select 1 from generate_series(1, 5)`);
    await leader.simple(`insert into "Sch.ema ""q"""."T a.b""c'd" ("Co l""") values ('after')`);
    await leader.simple(`insert into "${LONG}" (v) values (1)`);
    await leader.simple(`insert into fraction default values`);
    await leader.simple(`insert into parent (id) values (77)`);
    expect(NAMES).toContain('n3');
    await until(
      () => on('n3').query('select 1 from parent where id = 77'),
      (rows) => rows.length === 1,
    );
  });
});
