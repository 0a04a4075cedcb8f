/** A password with every awkward character, on real servers: accepted everywhere, shown nowhere. */
import { spawn } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { conninfoPair, ident, literal } from '../../../src/postgres/quote.js';
import { PROGRAM, cleanEnv, runCli } from '../../support/cli.js';
import { type Servers, startServers } from '../../support/servers.js';
import { until } from '../../support/wait.js';

const PASSWORD = `Zq7@:/%#? '"\\&=Kx9`;
/** Any of these in an output means that a piece of the password got through. */
const PIECES = ['Zq7', 'Kx9'];

let servers: Servers;
let home: string;
let hosts: { name: string; host: string; port: string; user: string; database: string }[];

beforeAll(async () => {
  servers = await startServers({ nodes: 2 });
  home = mkdtempSync(path.join(tmpdir(), 'repctl-secrets-'));
  hosts = servers.config.nodes.map(({ name, url }) => {
    const { hostname, port, username, pathname } = new URL(url);
    return { name, host: hostname, port, user: username, database: pathname.slice(1) };
  });
  for (const { name, user } of hosts) {
    const session = await servers.superuser(name);
    await session.simple(`alter role ${ident(user)} password ${literal(PASSWORD)}`);
  }
});
afterAll(async () => {
  await servers.down();
  rmSync(home, { recursive: true, force: true });
});

const config = (url: (host: (typeof hosts)[number]) => string): string =>
  `cluster: shop\nnodes:\n${hosts.map((host) => `  ${host.name}:\n    url: ${JSON.stringify(url(host))}\n`).join('')}`;

function write(name: string, text: string): string {
  const file = path.join(home, name);
  writeFileSync(file, text, { mode: 0o600 });
  return file;
}

const bare = ({ user, host, port, database }: (typeof hosts)[number]) =>
  `postgres://${user}@${host}:${port}/${database}`;
const run = (args: readonly string[], env: Record<string, string> = {}) =>
  runCli(args, { env: { HOME: home, ...env }, cwd: home });

describe('each way to give it', () => {
  it.each<[string, () => { file: string; env: Record<string, string> }]>([
    [
      'percent-encoded in the URL',
      () => ({
        file: write(
          'a.yaml',
          config((host) => bare(host).replace('@', `:${encodeURIComponent(PASSWORD)}@`)),
        ),
        env: {},
      }),
    ],
    [
      '${VAR} in the URL, as it is',
      () => ({
        file: write(
          'b.yaml',
          config((host) => bare(host).replace('@', ':${SECRET}@')),
        ),
        env: { SECRET: PASSWORD },
      }),
    ],
    [
      'key=value',
      () => ({
        file: write(
          'c.yaml',
          config(
            ({ host, port, user, database }) =>
              `host=${host} port=${port} user=${user} dbname=${database} ${conninfoPair('password', PASSWORD)}`,
          ),
        ),
        env: {},
      }),
    ],
    ['PGPASSWORD', () => ({ file: write('d.yaml', config(bare)), env: { PGPASSWORD: PASSWORD } })],
    [
      '.pgpass',
      () => ({
        file: write('e.yaml', config(bare)),
        env: { PGPASSFILE: write('pgpass', `*:*:*:*:${PASSWORD.replaceAll(/[\\:]/gu, '\\$&')}\n`) },
      }),
    ],
    [
      'a service file',
      () => ({
        file: write(
          'f.yaml',
          config((host) => `service=${host.name}`),
        ),
        env: {
          PGSERVICEFILE: write(
            'services.conf',
            hosts
              .map(
                ({ name, host, port, user, database }) =>
                  `[${name}]\nhost=${host}\nport=${port}\nuser=${user}\ndbname=${database}\npassword=${PASSWORD}\n`,
              )
              .join('\n'),
          ),
        },
      }),
    ],
  ])('%s', async (_name, prepare) => {
    const { file, env } = prepare();
    const { stdout, stderr } = await run(['status', '--json', '-c', file], env);
    const { nodes } = JSON.parse(stdout) as { nodes: { name: string; version: string | null }[] };
    expect(
      nodes.map(({ version }) => version !== null),
      stdout + stderr,
    ).toEqual([true, true]);
  });

  it('ignores a .pgpass that others can read, says so, and then what is missing', async () => {
    const file = write('g.yaml', config(bare));
    const pass = write('open.pgpass', `*:*:*:*:${PASSWORD}\n`);
    chmodSync(pass, 0o644);
    const { code, stdout, stderr } = await run(['status', '-c', file], { PGPASSFILE: pass });
    expect(code).toBe(4);
    expect(stderr).toMatch(/can be read by others and is ignored/);
    expect(stdout).toMatch(/asks for the password/);
  });
});

describe('wrong credentials and targets', () => {
  it.each<[string, (url: string) => string, RegExp]>([
    ['a wrong password', (url) => url.replace('@', ':wrong@'), /password authentication failed/],
    [
      'no such database',
      (url) => url.replace(/\/[^/]*$/u, '/nope').replace('@', ':${SECRET}@'),
      /database "nope" does not exist/,
    ],
    ['nobody there', (url) => url.replace(/:\d*(\d)\//u, ':1$1/'), /cannot be reached/],
    ['TLS where there is none', (url) => `${url.replace('@', ':${SECRET}@')}?sslmode=require`, /SSL/],
  ])('%s', async (_name, change, message) => {
    const file = write(
      'w.yaml',
      config((host) => change(bare(host))),
    );
    const { code, stdout, stderr } = await run(['history', '-c', file], { SECRET: PASSWORD });
    expect(code).toBe(3);
    expect(stdout + stderr).toMatch(/No node|cannot be reached|password authentication|does not exist|SSL/);
    const status = await run(['status', '-c', file], { SECRET: PASSWORD });
    expect(status.stdout.replaceAll(/\s+/gu, ' ')).toMatch(message);
  });
});

describe('TLS', () => {
  const fixture = (name: string) => fileURLToPath(new URL(`../../support/tls/${name}`, import.meta.url));

  beforeAll(async () => {
    const node = servers.sandbox.nodes[0]!;
    // The server refuses a key that is not its own or that others can read.
    const owner = statSync(node.dataDirectory);
    for (const name of ['server.pem', 'server.key']) {
      const copy = path.join(node.dataDirectory, name);
      copyFileSync(fixture(name), copy);
      chmodSync(copy, 0o600);
      chownSync(copy, owner.uid, owner.gid);
    }
    const session = await servers.superuser('n1');
    for (const setting of [`ssl_cert_file = 'server.pem'`, `ssl_key_file = 'server.key'`, 'ssl = on'])
      await session.simple(`alter system set ${setting}`);
    await session.simple('select pg_reload_conf()');
    // The server itself has read them before it tells its sessions.
    await until(
      () => session.query<{ ssl: string }>('show ssl'),
      ([row]) => row?.ssl === 'on',
    );
  });

  // The certificate is for "localhost", from an authority of its own.
  it.each<[string, string, Record<string, string>, RegExp | null]>([
    ['require: encrypted, unverified', 'sslmode=require', {}, null],
    ['verify-full with the authority', 'sslmode=verify-full', { PGSSLROOTCERT: fixture('ca.pem') }, null],
    ['verify-full without it', 'sslmode=verify-full', {}, /no secure connection/],
    ['verify-ca with the authority', `sslmode=verify-ca&sslrootcert=${fixture('ca.pem')}`, {}, null],
    [
      'another authority',
      `sslmode=verify-ca&sslrootcert=${fixture('server.pem')}`,
      {},
      /no secure connection/,
    ],
  ])('%s', async (_name, query, env, problem) => {
    const [host] = hosts;
    const url = `postgres://${host!.user}@localhost:${host!.port}/${host!.database}?${query}`;
    const status = await run(['status', '--json'], { REPCTL_URL_N1: url, PGPASSWORD: PASSWORD, ...env });
    if (problem) expect(status.stdout).toMatch(problem);
    else expect(status.stdout).toMatch(/"version": "18/);
  });
});

describe('shown nowhere', () => {
  it('through a whole life of a cluster, with -v, --json, --dry-run and REPCTL_DEBUG', async () => {
    const file = write(
      'life.yaml',
      config((host) => bare(host).replace('@', `:${encodeURIComponent(PASSWORD)}@`)),
    );
    const lines: (readonly string[])[] = [
      ['cluster', 'create', '--with-products', '--dry-run'],
      ['cluster', 'create', '--with-products', '--yes', '-v'],
      ['status', '-v'],
      ['doctor', '-v'],
      ['doctor', '--json'],
      ['lag', '--probe', '--samples', '1', '-v'],
      ['subscription', 'show', 'n2', '-v'],
      ['subscription', 'list', '--json'],
      ['slot', 'list', '-v'],
      ['check', '-v'],
      ['history', '-v'],
      ['rewire', 'n2', '--dry-run', '-v'],
      ['rewire', 'n2', '--dry-run', '--json', '-v'],
      ['failover', '--yes', '-v'],
      ['cluster', 'destroy', '--dry-run', '-v'],
      ['cluster', 'destroy', '--yes', '-v'],
    ];
    for (const line of lines) {
      const { stdout, stderr } = await run([...line, '-c', file], { REPCTL_DEBUG: '1' });
      for (const piece of PIECES) {
        expect(stdout, line.join(' ')).not.toContain(piece);
        expect(stderr, line.join(' ')).not.toContain(piece);
      }
      if (line.includes('create') && line.includes('-v')) expect(stderr).toMatch(/create subscription/);
    }
  });

  it('in no file that repctl keeps, and those are private', () => {
    const state = path.join(home, 'state');
    const files = readdirSync(state, { recursive: true, withFileTypes: true }).filter((entry) =>
      entry.isFile(),
    );
    expect(files.map(({ name }) => name)).toContain('shop.jsonl');
    for (const entry of files) {
      const file = path.join(entry.parentPath, entry.name);
      for (const piece of PIECES) expect(readFileSync(file, 'utf8'), file).not.toContain(piece);
      expect(statSync(file).mode & 0o077, file).toBe(0);
    }
  });
});

describe('init', () => {
  it('tries each connection, writes a private file, and repctl works from it', async () => {
    const nodes = hosts.flatMap((host) => [
      '--node',
      `${host.name}=${bare(host).replace('@', ':${SECRET}@')}`,
    ]);
    const args = ['init', '--cluster', 'shop', ...nodes, '--output', 'made.yaml'];
    const { code, stderr, stdout } = await run(args, { SECRET: PASSWORD });
    expect(code, stderr).toBe(0);
    expect(stderr).toMatch(/✓ n1: PostgreSQL 18/);
    expect(stdout).toMatch(/Next: repctl doctor/);
    const file = path.join(home, 'made.yaml');
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(readFileSync(file, 'utf8')).toContain('${SECRET}');
    expect((await run(['doctor', '-c', file, '--json'], { SECRET: PASSWORD })).stdout).toMatch(
      /"reachable": true/,
    );
  });

  it('writes nothing when a node does not answer', async () => {
    const { code, stderr } = await run([
      'init',
      '--cluster',
      'c',
      '--node',
      'n1=postgres://u@127.0.0.1:1/d',
      '-o',
      'no.yaml',
    ]);
    expect(code).toBe(3);
    expect(stderr).toMatch(/n1 at 127\.0\.0\.1:1 cannot be reached/);
    expect(existsSync(path.join(home, 'no.yaml'))).toBe(false);
  });

  it('asks on a terminal, takes the password unseen, and never shows it', async () => {
    const [host] = hosts;
    const command = `"${process.execPath}" "${PROGRAM}" init --table products -o asked.yaml`;
    // script(1) of the base system gives it a terminal.
    const child = spawn('script', ['-qec', command, '/dev/null'], {
      env: cleanEnv({ HOME: home, TERM: 'xterm' }),
      cwd: home,
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    const answers: [RegExp, string][] = [
      [/Name of the cluster/u, 'shop\r'],
      [/Name of the first node/u, '\r'],
      [/URL of n1/u, `${bare(host!)}\r`],
      [/Password of n1/u, `${PASSWORD}\r`],
      [/✓ n1: PostgreSQL[^]*Name of the next node/u, '\r'],
    ];
    let screen = '';
    let since = 0;
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      screen += chunk;
      const [next] = answers;
      if (next?.[0].test(screen.slice(since)) !== true) return;
      since = screen.length;
      answers.shift();
      child.stdin.write(next[1]);
    });
    const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
    expect(screen).toMatch(/Next:/);
    expect(code).toBe(0);
    for (const piece of PIECES) expect(screen).not.toContain(piece);
    const file = path.join(home, 'asked.yaml');
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect((await run(['status', '-c', file, '--json'])).stdout).toMatch(/"version": "18/);
  });
});
