/** `drill run --cluster`: a safe drill on a cluster that somebody has, with names of its own and no superuser. */
import { chmodSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { connectionOf } from '../../../src/config/connection.js';
import type { DrillResult } from '../../../src/drill/result.js';
import { type Session, openSession } from '../../../src/postgres/session.js';
import { type Cli, makeCli } from '../../support/home-cli.js';
import { type Servers, startServers } from '../../support/servers.js';
import { until } from '../../support/wait.js';

interface Report {
  met: boolean;
  results: (DrillResult & { directory: string })[];
  error?: { code: string; message: string; hint: string };
}

const NAMES = ['alpha', 'beta', 'gamma'];
/** What a drill might leave; slots and subscriptions by number, since a switchover gives them other names. */
const LEFT = `select json_build_object(
  'schemas', (select json_agg(nspname order by nspname) from pg_namespace where nspname !~ '^pg_'),
  'tables', (select json_agg(oid::regclass::text order by oid::regclass::text) from pg_class where relkind = 'r'
     and relnamespace <> 'pg_catalog'::regnamespace and relnamespace <> 'information_schema'::regnamespace),
  'published', (select json_agg(prrelid::regclass::text order by prrelid::regclass::text) from pg_publication_rel),
  'subscribed', (select json_agg(srrelid::regclass::text order by srrelid::regclass::text) from pg_subscription_rel),
  'subscriptions', (select count(*) from pg_subscription
     where subdbid = (select oid from pg_database where datname = current_database())),
  'slots', (select count(*) from pg_replication_slots where not temporary),
  'rows', (select json_agg(p order by id) from public.products p),
  'sessions', (select count(*) from pg_stat_activity where application_name like '%drill%')) as left`;

describe('a drill on a configured cluster', () => {
  let servers: Servers;
  let cli: Cli;
  const sessions = new Map<string, Session>();
  const scenario = (name: string, rest: string): string => {
    const file = path.join(cli.home, `${name}.yaml`);
    const load =
      'workload: { duration: 1s, writers: { clients: 2, rate: 6 }, readers: { clients: 2, rate: 6 } }';
    writeFileSync(file, `name: ${name}\ntitle: Short\nsafe: true\n${load}\n${rest}\n`);
    return file;
  };
  const args = (...rest: string[]): string[] => ['drill', 'run', ...rest, '--cluster'];
  const left = async (): Promise<Record<string, unknown>> => {
    const found: Record<string, unknown> = {};
    for (const [name, session] of sessions)
      found[name] = (await session.query<{ left: unknown }>(LEFT))[0]?.left;
    return found;
  };
  /** Sessions of a program that has ended are gone a moment later. */
  const leftAsBefore = (before: Record<string, unknown>): Promise<void> =>
    expect.poll(left, { timeout: 10_000 }).toEqual(before);
  const leader = async (): Promise<string | undefined> =>
    (
      await sessions
        .get('gamma')
        ?.query<{ leader: string }>('select leader from repctl.epoch order by epoch desc limit 1')
    )?.[0]?.leader;
  const refused = async (rest: readonly string[]): Promise<string | undefined> => {
    const before = await left();
    const { code, data } = await cli.json<Report>(rest);
    expect(code, JSON.stringify(data)).toBe(6);
    expect(data.error?.hint).toContain('Nothing was');
    await leftAsBefore(before);
    return data.error?.code;
  };
  /** Started, and playing by now. */
  const playing = async (file: string) => {
    const child = cli.spawn([...args(file), '--yes']);
    let said = '';
    child.stderr?.on('data', (chunk: Buffer) => (said += chunk.toString()));
    const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
    await until(
      () => Promise.resolve(said),
      (text) => text.includes('✓ repctl switchover'),
      60_000,
    );
    return { child, ended };
  };

  beforeAll(async () => {
    servers = await startServers({ nodes: 3 });
    cli = makeCli();
    const nodes = servers.sandbox.nodes.map(({ directUrl }, index) => [
      NAMES[index] ?? '',
      { url: directUrl },
    ]);
    const file = path.join(cli.home, 'repctl.yaml');
    writeFileSync(file, stringify({ cluster: 'shop', nodes: Object.fromEntries(nodes) as unknown }));
    chmodSync(file, 0o600);
    const created = await cli.run(['cluster', 'create', '--with-products', '--yes']);
    expect(created.code, created.stderr).toBe(0);
    for (const [index, { directUrl }] of servers.sandbox.nodes.entries()) {
      const session = await openSession({
        ...{ node: NAMES[index] ?? '', connection: connectionOf(directUrl), applicationName: 'test' },
        ...{ connectTimeoutMs: 5000, statementTimeoutMs: 30_000 },
      });
      sessions.set(NAMES[index] ?? '', session);
      const [role] = await session.query<{ super: boolean }>(
        'select rolsuper as super from pg_roles where rolname = current_user',
      );
      expect(role?.super).toBe(false);
    }
    await sessions
      .get('alpha')
      ?.query(`insert into products (sku, name, price) values ('OWN', 'Not the drill’s', 1)`);
    await until(
      () => left(),
      (found) => NAMES.every((name) => JSON.stringify(found[name]).includes('OWN')),
      30_000,
    );
  });
  afterAll(async () => {
    for (const session of sessions.values()) await session.close();
    cli.end();
    await servers.down();
  });

  it('is refused where it may break something, unasked, or where its name is taken', async () => {
    expect(await refused(args('leader-killed', '--yes'))).toBe('drill-not-safe');
    expect(await refused(args('planned-switchover'))).toBe('confirmation-needed');
    const [beta] = [sessions.get('beta')];
    await beta?.simple('create schema repctl_drill');
    expect(await refused([...args('planned-switchover'), '--yes'])).toBe('drill-table-exists');
    await beta?.simple('drop schema repctl_drill');
    const own = await cli.run([...args('planned-switchover'), '--keep']);
    expect(own.code, own.stderr).toBe(2);
  });

  it('moves the leadership away and home, judges what clients saw, and leaves nothing', async () => {
    const before = await left();
    const { code, data } = await cli.json<Report>([...args('planned-switchover'), '--yes']);
    const [result] = data.results;
    expect({ code, verdicts: result?.verdicts.filter((one) => !one.met), error: result?.error }).toEqual({
      code: 0,
      verdicts: [],
      error: null,
    });
    expect(result?.steps.map(({ title, ok }) => [title, ok])).toEqual([
      ['repctl switchover', true],
      ['repctl switchover alpha', true],
      ['wait 0s', true],
    ]);
    expect(result?.measurements?.writes.ok).toBeGreaterThan(20);
    expect(Object.keys(result?.environment.postgres ?? {})).toEqual(NAMES);
    expect(result?.cluster.nodes).toBe(3);
    expect(result?.command).toBe('repctl drill run planned-switchover --seed 1 --cluster');
    expect(await leader()).toBe('alpha');
    await leftAsBefore(before);
  });

  it('Ctrl-C leaves nothing either, and a second drill at once is refused', async () => {
    const before = await left();
    const endless = scenario(
      'endless',
      'steps: [{ switchover: true }, { wait: 300s }, { switchover: former }]',
    );
    const { child, ended } = await playing(endless);
    const second = await cli.json<Report>([...args('planned-switchover'), '--yes']);
    expect([second.code, second.data.error?.code]).toEqual([6, 'drill-running']);
    expect(await leader()).not.toBe('alpha');
    child.kill('SIGINT');
    expect(await ended).toBe(130);
    expect(await leader()).toBe('alpha');
    await leftAsBefore(before);
  });

  it('one that was killed is found by the next, which removes what it left, and its own though a step fails', async () => {
    const before = await left();
    const endless = scenario(
      'killed',
      'steps: [{ switchover: true }, { wait: 300s }, { switchover: former }]',
    );
    const { child, ended } = await playing(endless);
    child.kill('SIGKILL');
    await ended;
    expect(await left()).not.toEqual(before);
    const home = await leader();
    // The next one leaves nothing either, although its step fails.
    const failing = scenario('failing', 'steps: [{ switchover: true, exit: 9 }, { switchover: former }]');
    const { code, stderr } = await cli.run([...args(failing), '--yes']);
    expect(code, stderr).toBe(4);
    expect(stderr.replaceAll(/\s+/gu, ' ')).toContain(
      'which was killed, has left on alpha, beta, gamma is removed; alpha led before it',
    );
    expect(await leader()).toBe(home);
    const back = await cli.run(['switchover', 'alpha', '--yes']);
    expect(back.code, back.stderr).toBe(0);
    await leftAsBefore(before);
  });
});
