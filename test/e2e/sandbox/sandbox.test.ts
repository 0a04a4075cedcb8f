import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { type Session, openSession } from '../../../src/postgres/session.js';
import { connectionOf } from '../../../src/config/connection.js';
import { makeCli } from '../../support/home-cli.js';

const cli = makeCli();
/** Where sandboxes of this file live; open to the servers' account when root runs the tests. */
const place = mkdtempSync(path.join(tmpdir(), 'repctl-e2e-'));
chmodSync(place, 0o711);
const directory = path.join(place, 'box');
const ports = ['--base-port', String(20_000 + Math.floor(Math.random() * 11_000))];

interface UpJson {
  directory: string;
  created: boolean;
  leader: string | null;
  products: number;
  nodes: { name: string; version: string; url: string }[];
  phases: { phase: string; ms: number }[];
  totalMs: number;
}
interface StatusJson {
  up: boolean;
  nodes: { name: string; state: string; port: number; clientPort: number; pid: number | null }[];
  proxy: { running: boolean; pid: number; cut: { from: string; to: string; passage: string }[] } | null;
}
interface ErrorJson {
  error: { code: string; message: string; hint: string | null; details: Record<string, unknown> };
}

/** Processes with this file's directory on their command line. */
function leftovers(): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .flatMap((pid) => {
      try {
        const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
        const zombie = readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ');
        return command.includes(place) && !zombie ? [command] : [];
      } catch {
        return [];
      }
    });
}

async function session(name: string, flags: string[] = []): Promise<Session> {
  const { data } = await cli.json<Record<string, string>>(['sandbox', 'env', ...flags]);
  return openSession({
    node: name,
    connection: connectionOf(data[`REPCTL_URL_${name.toUpperCase()}`] ?? ''),
    connectTimeoutMs: 3000,
    statementTimeoutMs: 10_000,
  });
}

/** What npm needs of the caller's settings; and the cache stays between runs, since a copy has 60 MB. */
function npmSettings(): Record<string, string> {
  const home = process.env['HOME'] ?? place;
  const keep = Object.entries(process.env).filter(([name]) =>
    /^(HOME|XDG_CACHE_HOME|NODE_EXTRA_CA_CERTS|npm_config_.*|https?_proxy|no_proxy)$/i.test(name),
  );
  return {
    XDG_CACHE_HOME: path.join(home, '.cache'),
    XDG_STATE_HOME: path.join(cli.home, 'state'),
    XDG_CONFIG_HOME: path.join(cli.home, 'config'),
    ...Object.fromEntries(keep.map(([name, value]) => [name, value ?? ''])),
  };
}

afterAll(async () => {
  await cli.run(['sandbox', 'down']);
  rmSync(place, { recursive: true, force: true });
  cli.end();
});

describe('a sandbox with a cluster', () => {
  let up: UpJson;

  beforeAll(async () => {
    const result = await cli.json<UpJson>([
      'sandbox',
      'up',
      '--nodes',
      '3',
      '--products',
      '500',
      '--dir',
      directory,
      ...ports,
    ]);
    expect(result.code).toBe(0);
    up = result.data;
  });

  test('up tells what it made and how long each phase took', () => {
    expect(up).toMatchObject({ directory, created: true, leader: 'n1', products: 500 });
    expect(up.nodes.map((node) => [node.name, node.version])).toEqual([
      ['n1', '18.4'],
      ['n2', '18.4'],
      ['n3', '18.4'],
    ]);
    expect(up.phases.map((one) => one.phase)).toEqual([
      'binaries',
      'initdb',
      'start',
      'roles',
      'proxy',
      'products',
      'cluster',
    ]);
    expect(JSON.stringify(up)).not.toMatch(/postgres:\/\/app:(?!\*\*\*@)/);
  });

  test('a command without a configuration talks to it, and it is healthy', async () => {
    await vi.waitUntil(async () => (await cli.run(['status'])).code === 0, {
      timeout: 20_000,
      interval: 100,
    });
    const { data } = await cli.json<{ nodes: { name: string; state: string }[] }>(['status']);
    expect(data.nodes.map((node) => node.state)).toEqual(['leading', 'streaming', 'streaming']);
  });

  test('the products are on every node', async () => {
    for (const name of ['n1', 'n2', 'n3']) {
      const one = await session(name);
      expect(await one.query('select count(*)::text as n from products')).toEqual([{ n: '500' }]);
      await one.close();
    }
  });

  test('files with passwords are 0600', () => {
    const files = [path.join(directory, 'sandbox.json'), path.join(cli.home, 'state/repctl/sandbox.yaml')];
    for (const file of files) expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(existsSync(path.join(directory, 'initdb.password'))).toBe(false);
  });

  test('it listens on the loopback only, and leaves no unix socket', async () => {
    const one = await session('n1', ['--superuser']);
    const [row] = await one.query(
      `select current_setting('listen_addresses') as listen, current_setting('unix_socket_directories') as sockets,
              current_setting('wal_level') as wal, current_setting('fsync') as fsync, current_user as who`,
    );
    expect(row).toEqual({ listen: '127.0.0.1', sockets: '', wal: 'logical', fsync: 'on', who: 'postgres' });
    await one.close();
  });

  test('env is shell: a line a node, passwords shown; --direct goes past the proxy', async () => {
    const { stdout } = await cli.run(['sandbox', 'env']);
    const lines = stdout.trim().split('\n');
    expect(lines).toHaveLength(3);
    for (const [index, line] of lines.entries())
      expect(line).toMatch(
        new RegExp(
          `^export REPCTL_URL_N${String(index + 1)}='postgres://app:[\\w-]{24}@127\\.0\\.0\\.1:\\d+/shop'$`,
        ),
      );
    // The URLs alone are a configuration; the cluster's own name is then no mistake.
    const urls = (await cli.json<Record<string, string>>(['sandbox', 'env'])).data;
    expect((await cli.run(['status'], { env: urls })).code).toBe(0);
    const direct = await cli.run(['sandbox', 'env', '--direct']);
    const status = await cli.json<StatusJson>(['sandbox', 'status']);
    for (const node of status.data.nodes) {
      expect(stdout).toContain(`:${String(node.clientPort)}/shop`);
      expect(direct.stdout).toContain(`:${String(node.port)}/shop`);
    }
  });

  test('a second up says what is up, and changes nothing', async () => {
    for (const where of [directory, path.join(place, 'other')]) {
      const { code, data } = await cli.json<ErrorJson>(['sandbox', 'up', '--dir', where]);
      expect(code).toBe(6);
      expect(data.error.code).toBe('sandbox-up');
      expect(data.error.message).toContain(directory);
      expect(data.error.message).toContain('n1 running');
    }
    expect(existsSync(path.join(place, 'other'))).toBe(false);
    expect((await cli.run(['status'])).code).toBe(0);
  });

  test('pause and resume, kill and start, stop: each with its state', async () => {
    const act = (...args: string[]) =>
      cli.json<{ nodes: { name: string; before: string; state: string }[] }>(['sandbox', ...args]);
    expect((await act('pause', 'n3')).data.nodes).toMatchObject([
      { name: 'n3', before: 'running', state: 'paused' },
    ]);
    expect((await act('resume', 'n3')).data.nodes).toMatchObject([{ before: 'paused', state: 'running' }]);
    expect((await act('kill', 'n2', 'n3')).data.nodes).toMatchObject([
      { name: 'n2', before: 'running', state: 'crashed' },
      { name: 'n3', before: 'running', state: 'crashed' },
    ]);
    expect((await act('start', 'n2')).data.nodes).toMatchObject([{ before: 'crashed', state: 'running' }]);
    expect((await act('stop', 'n2')).data.nodes).toMatchObject([{ before: 'running', state: 'stopped' }]);
    expect((await act('start')).data.nodes.map((node) => node.state)).toEqual([
      'running',
      'running',
      'running',
    ]);
    expect((await act('kill', 'n9')).code).toBe(2);
  });

  test('isolate and heal', async () => {
    const cut = await cli.json<{ cut: { from: string; to: string }[] }>([
      'sandbox',
      'isolate',
      'n1',
      '--from',
      'n2',
    ]);
    expect(cut.data.cut.map((one) => `${one.from}>${one.to}`).sort()).toEqual(['n1>n2', 'n2>n1']);
    const { stdout } = await cli.run(['sandbox', 'status']);
    expect(stdout).toContain('Cut: n1 ↔ n2 (silent)');
    const clients = await cli.json<{ cut: unknown[] }>([
      'sandbox',
      'isolate',
      'n3',
      '--only-clients',
      '--reset',
    ]);
    expect(clients.data.cut).toHaveLength(3);
    expect((await cli.json<{ cut: unknown[] }>(['sandbox', 'heal'])).data.cut).toEqual([]);
    expect((await cli.run(['sandbox', 'isolate', 'n1', '--from', 'n9'])).code).toBe(2);
    expect((await cli.run(['sandbox', 'isolate', 'n1', '--only-clients', '--clients'])).code).toBe(2);
  });

  test('logs show the end of a log and follow it', async () => {
    const { data } = await cli.json<{ lines: string[] }>(['sandbox', 'logs', 'n1', '--lines', '2']);
    expect(data.lines).toHaveLength(2);
    const follower = cli.spawn(['sandbox', 'logs', 'n1', '--follow', '--lines', '1']);
    let text = '';
    follower.stdout?.on('data', (chunk: Buffer) => (text += chunk.toString()));
    await vi.waitUntil(() => text !== '', { timeout: 10_000, interval: 20 });
    const one = await session('n1', ['--superuser']);
    await one.simple(`do $$ begin raise log 'the follower shall see this'; end $$`);
    await one.close();
    await vi.waitUntil(() => text.includes('the follower shall see this'), { timeout: 10_000, interval: 20 });
    follower.kill('SIGINT');
    const code = await new Promise((resolve) => follower.once('close', resolve));
    expect(code).toBe(130);
    expect((await cli.run(['sandbox', 'logs', 'n1', '--follow', '--json'])).code).toBe(2);
    expect((await cli.run(['sandbox', 'logs', 'n1', '--lines', '-1'])).code).toBe(2);
  });

  test('a crashed sandbox is found and removed by the next up; a port in use is passed over', async () => {
    await cli.run(['sandbox', 'kill', 'n1', 'n2', 'n3']);
    const { data: before } = await cli.json<StatusJson>(['sandbox', 'status']);
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen({ host: '127.0.0.1', port: 0 }, resolve));
    const port = (taken.address() as AddressInfo).port;
    const bare = ['--nodes', '2', '--no-cluster', '--no-proxy', '--dir', directory];
    const result = await cli.run(['sandbox', 'up', ...bare, '--base-port', String(port)]);
    expect(result.code).toBe(0);
    expect(result.stderr).toContain('had crashed; it is removed');
    const { data } = await cli.json<StatusJson>(['sandbox', 'status']);
    expect(data.nodes.map((node) => node.port)).not.toContain(port);
    expect(data.nodes).toHaveLength(2);
    expect(data.proxy).toBeNull();
    const proxyPid = before.proxy?.pid ?? 0;
    // A killed process answers to signal 0 until its parent has taken note of its end: a zombie is not running.
    const answers = (): boolean => {
      try {
        return process.kill(proxyPid, 0);
      } catch {
        return false;
      }
    };
    await expect.poll(answers, { timeout: 15_000 }).toBe(false);
    await new Promise((resolve) => taken.close(resolve));
    const cut = await cli.json<ErrorJson>(['sandbox', 'isolate', 'n1']);
    expect([cut.code, cut.data.error.code]).toEqual([6, 'proxy-off']);
  });

  test('nodes that were all stopped properly are not thrown away unasked', async () => {
    await cli.run(['sandbox', 'stop']);
    const again = await cli.json<ErrorJson>(['sandbox', 'up', '--dir', directory]);
    expect([again.code, again.data.error.code]).toEqual([6, 'sandbox-up']);
  });

  test('down leaves no process, file or configuration; again, it has nothing to do', async () => {
    const { code, data } = await cli.json<{ removed: string | null }>(['sandbox', 'down']);
    expect([code, data.removed]).toEqual([0, directory]);
    expect(leftovers()).toEqual([]);
    expect(readdirSync(place)).toEqual([]);
    expect(existsSync(path.join(cli.home, 'state/repctl/sandbox.yaml'))).toBe(false);
    expect((await cli.json<{ removed: null }>(['sandbox', 'down'])).data.removed).toBeNull();
    const status = await cli.json<{ up: boolean }>(['sandbox', 'status']);
    expect([status.code, status.data]).toEqual([0, { up: false }]);
    const env = await cli.json<ErrorJson>(['sandbox', 'env']);
    expect([env.code, env.data.error.code]).toEqual([2, 'no-sandbox']);
  });
});

describe('what up refuses, leaving nothing behind', () => {
  const refuse = async (args: string[], code: number, errorCode: string): Promise<ErrorJson['error']> => {
    const before = readdirSync(place);
    const result = await cli.json<ErrorJson>(['sandbox', 'up', ...args]);
    expect(result.data.error).toMatchObject({ code: errorCode });
    expect(result.data.error.hint).not.toBeNull();
    expect(result.code).toBe(code);
    expect(readdirSync(place)).toEqual(before);
    expect(leftovers()).toEqual([]);
    expect((await cli.json<{ up: boolean }>(['sandbox', 'status'])).data.up).toBe(false);
    return result.data.error;
  };

  test('a directory that holds other things, a file, one below a file', async () => {
    const full = path.join(place, 'full');
    mkdirSync(full);
    writeFileSync(path.join(full, 'keep'), 'this');
    await refuse(['--dir', full], 6, 'directory-not-empty');
    expect(readFileSync(path.join(full, 'keep'), 'utf8')).toBe('this');
    await refuse(['--dir', path.join(full, 'keep')], 6, 'directory-unwritable');
    await refuse(['--dir', path.join(full, 'keep', 'deeper')], 6, 'directory-unwritable');
    rmSync(full, { recursive: true });
  });

  test('a directory that the servers cannot reach', async () => {
    const closed = path.join(place, 'closed');
    mkdirSync(closed, { mode: process.getuid?.() === 0 ? 0o700 : 0o500 });
    await refuse(['--dir', path.join(closed, 'box')], 6, 'directory-unwritable');
    rmSync(closed, { recursive: true });
  });

  test('programs that are missing, that do not start, a major that npm does not ship', async () => {
    const bin = path.join(place, 'bin');
    mkdirSync(bin);
    await refuse(['--pg-bin', bin], 2, 'binary-missing');
    for (const name of ['postgres', 'initdb', 'pg_ctl'])
      writeFileSync(path.join(bin, name), '#!/bin/sh\necho broken >&2; exit 1\n', { mode: 0o755 });
    const error = await refuse(['--pg-bin', bin], 2, 'binary-broken');
    expect(error.message).toContain('broken');
    rmSync(bin, { recursive: true });
    await refuse(['--pg', '9'], 2, 'unknown-major');
    await refuse(['--pg', ''], 2, 'unknown-major');
  });

  test('too many or no nodes', async () => {
    for (const nodes of ['0', '27', 'abc'])
      expect((await cli.run(['sandbox', 'up', '--nodes', nodes])).code).toBe(2);
  });

  /** Begins `up`, and signals it as soon as it is `there`, which is told what it has said; its exit status. */
  async function struck(
    flags: readonly string[],
    there: (stderr: string) => boolean,
    signal: NodeJS.Signals,
  ): Promise<number | null> {
    const child = cli.spawn(['sandbox', 'up', '--nodes', '2', ...flags, '--dir', directory, ...ports]);
    const closed = new Promise<number | null>((resolve) => child.once('close', resolve));
    let stderr = '';
    child.stderr?.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    // However long that takes on a busy machine: what hangs is ended by the limit of the test.
    onTestFinished(() => void child.kill('SIGINT'));
    const look = setInterval(() => {
      if (!there(stderr)) return;
      clearInterval(look);
      child.kill(signal);
    }, 1);
    try {
      return await closed;
    } finally {
      clearInterval(look);
    }
  }

  test('Ctrl-C at any time leaves nothing', async () => {
    for (const phase of [/^$/, /binaries/, /initdb/, /start/, /roles/]) {
      const there = (stderr: string) => (phase.source === '^$' ? existsSync(directory) : phase.test(stderr));
      expect([phase.source, await struck([], there, 'SIGINT')]).toEqual([phase.source, 130]);
      expect(leftovers()).toEqual([]);
      expect(existsSync(directory)).toBe(false);
    }
    expect((await cli.json<{ up: boolean }>(['sandbox', 'status'])).data.up).toBe(false);
  }, 300_000);

  test('a start that was killed is cleaned up by the next one', async () => {
    await struck(['--no-cluster'], (stderr) => stderr.includes('initdb'), 'SIGKILL');
    expect(existsSync(directory)).toBe(true);
    const { code, stderr: said } = await cli.run([
      'sandbox',
      'up',
      '--nodes',
      '2',
      '--no-cluster',
      '--dir',
      directory,
      ...ports,
    ]);
    expect(code).toBe(0);
    expect(said).toContain('had never finished starting; it is removed');
    expect((await cli.run(['sandbox', 'down'])).code).toBe(0);
    expect(leftovers()).toEqual([]);
  });
});

describe('other servers', () => {
  test('mixed majors form one cluster; 15 to 17 are fetched with npm', async () => {
    const { code, data } = await cli.json<UpJson>(
      ['sandbox', 'up', '--pg', '15,16,17,18', '--products', '20', '--dir', directory, ...ports],
      { env: npmSettings() },
    );
    expect(data).toMatchObject({ created: true });
    expect(code).toBe(0);
    expect(data.nodes.map((node) => node.version.split('.')[0])).toEqual(['15', '16', '17', '18']);
    await vi.waitUntil(async () => (await cli.run(['status'])).code === 0, {
      timeout: 30_000,
      interval: 100,
    });
    const four = await session('n4');
    expect(await four.query('select count(*)::text as n from products')).toEqual([{ n: '20' }]);
    await four.close();
    await cli.run(['sandbox', 'down']);
  });

  test('twins share the system identifier, and still form a cluster', async () => {
    const { code } = await cli.json<UpJson>([
      'sandbox',
      'up',
      '--twins',
      '--nodes',
      '3',
      '--products',
      '20',
      '--dir',
      directory,
      ...ports,
    ]);
    expect(code).toBe(0);
    const ids = new Set<unknown>();
    for (const name of ['n1', 'n2', 'n3']) {
      const one = await session(name, ['--superuser']);
      ids.add(
        (await one.query<{ id: string }>('select system_identifier::text as id from pg_control_system()'))[0]
          ?.id,
      );
      expect(await one.query('select count(*)::text as n from products')).toEqual([{ n: '20' }]);
      await one.close();
    }
    expect(ids.size).toBe(1);
    await cli.run(['sandbox', 'down']);
    expect(leftovers()).toEqual([]);
  });
});
