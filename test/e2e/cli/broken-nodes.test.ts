/** Nodes that misbehave at the socket or refuse the login, beside one that is well: bounded, clear, hiding nobody. */
import { type Server, type Socket, createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Cli, makeCli } from '../../support/home-cli.js';

/** A message of PostgreSQL's protocol. */
function message(type: string, body: string): Buffer {
  const content = Buffer.from(body, 'latin1');
  const head = Buffer.alloc(5);
  head.write(type);
  head.writeInt32BE(content.length + 4, 1);
  return Buffer.concat([head, content]);
}
const welcome = Buffer.concat([message('R', '\0\0\0\0'), message('Z', 'I')]);
/** After the startup message. */
const answer = (body: (socket: Socket) => void) => (socket: Socket) => {
  socket.once('data', () => {
    body(socket);
  });
};

const SILENT = /no answer within 1 s|does not answer \(waited/;
/** Which of them it is depends on what the kernel hears first. */
const CLOSED = /terminated unexpectedly|ECONNRESET|EPIPE/;

/** A server that behaves so → what the error says of it. */
const KINDS: Readonly<Record<string, [(socket: Socket) => void, RegExp]>> = {
  'says nothing': [() => undefined, SILENT],
  'closes at once': [answer((it) => it.end()), CLOSED],
  'resets the connection': [answer((it) => it.resetAndDestroy()), CLOSED],
  'closes in the middle of a message': [answer((it) => it.end(welcome.subarray(0, 5))), CLOSED],
  'speaks HTTP': [answer((it) => it.write('HTTP/1.1 400 Bad Request\r\n\r\n')), SILENT],
  'sends what the parser chokes on': [
    answer((it) => it.write(message('R', '\0\0\0\x07'))),
    /does not speak PostgreSQL's protocol/,
  ],
  'lets in and then answers no statement': [answer((it) => it.write(welcome)), SILENT],
  'lets in and then closes': [
    answer((it) => {
      it.write(welcome);
      it.once('data', () => it.destroy());
    }),
    CLOSED,
  ],
  'answers a byte at a time': [
    answer((it) => {
      let sent = 0;
      const timer = setInterval(() => it.write(welcome.subarray(sent, ++sent)), 300);
      it.once('close', () => {
        clearInterval(timer);
      });
    }),
    SILENT,
  ],
  'has no room': [
    answer((it) => it.end(message('E', 'SFATAL\0VFATAL\0C53300\0Msorry, too many clients already\0\0'))),
    /too many clients already/,
  ],
};

let cli: Cli;
let good: string;
const servers = new Map<string, { server: Server; sockets: Set<Socket>; url: string }>();

beforeAll(async () => {
  cli = makeCli();
  for (const [kind, [behave]] of Object.entries(KINDS)) {
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket.on('error', () => undefined));
      behave(socket);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    servers.set(kind, { server, sockets, url: `postgres://u:S3cr3t@127.0.0.1:${String(port)}/d` });
  }
  const port = String(28_000 + (process.pid % 400) * 10);
  const up = await cli.run(['sandbox', 'up', '--no-cluster', '--nodes', '1', '--base-port', port]);
  expect(up.stderr + up.stdout).toMatch(/ready/);
  const { data } = await cli.json<Record<string, string>>(['sandbox', 'env']);
  good = data['REPCTL_URL_N1'] ?? '';
});
afterAll(async () => {
  await cli.run(['sandbox', 'down']);
  for (const { server, sockets } of servers.values()) {
    for (const socket of sockets) socket.destroy();
    server.close();
  }
  cli.end();
});

const beside = (bad: string) => ({ env: { REPCTL_URL_N1: good, REPCTL_URL_N2: bad } });
interface Report {
  nodes: { name: string; version: string | null }[];
  findings: { node?: string; code: string; message: string; fix?: string }[];
}
const about = (report: Report, node: string) => report.findings.filter((finding) => finding.node === node);

describe.each(Object.keys(KINDS))('a server that %s', (kind) => {
  it('costs its time limit once and hides nobody', async () => {
    const { url } = servers.get(kind) ?? { url: '' };
    const said = KINDS[kind]?.[1] ?? /never/;
    const options = beside(url);
    const started = Date.now();
    const [status, one, doctor] = await Promise.all([
      cli.json<Report>(['status', '--timeout', '1s'], options),
      cli.run(['sql', 'select 1', '--node', 'n2', '--timeout', '1s'], options),
      cli.json<Report>(['doctor', '--timeout', '1s'], options),
    ]);
    expect(Date.now() - started).toBeLessThan(8000);
    for (const { code, data } of [status, doctor]) {
      expect(code).toBe(4);
      expect(data.nodes.find((node) => node.name === 'n1')?.version).toMatch(/^\d/);
      expect(about(data, 'n2').map((finding) => finding.message)).toEqual(
        expect.arrayContaining([expect.stringMatching(said)]),
      );
    }
    expect(one.stderr).toMatch(said);
    expect(one.code).toBe(3);
    expect(one.stderr).not.toMatch(/S3cr3t|\n {4}at |\(bug\)/);
  });
});

describe('a server that refuses', () => {
  it.each<[string, (url: URL) => void, string, RegExp]>([
    ['the password', (url) => (url.password = 'S3cr3t'), 'auth-failed', /user and password/],
    ['the database', (url) => (url.pathname = '/nowhere'), 'database-missing', /database name/],
    ['the connection', (url) => (url.port = '1'), 'node-unreachable', /Start the server/],
  ])('%s', async (_, change, code, fix) => {
    // Another name of the host: two nodes with one address are a mistake of their own.
    const url = new URL(good.replace('127.0.0.1', 'localhost'));
    change(url);
    const options = beside(url.href);
    const status = await cli.json<Report>(['status'], options);
    expect(status.code).toBe(4);
    expect(about(status.data, 'n2')[0]?.fix).toMatch(fix);
    const sql = await cli.json<{ error: { code: string } }>(['sql', 'select 1', '--node', 'n2'], options);
    expect([sql.code, sql.data.error.code]).toEqual([3, code]);
    expect(JSON.stringify([status, sql])).not.toContain('S3cr3t');
  });
});

describe('the exit status of sql --all-nodes', () => {
  const dead = () => servers.get('closes at once')?.url ?? '';
  it.each<[string, string[], () => string, number]>([
    ['a mistake in the statement', ['selec 1'], () => good.replace('127.0.0.1', 'localhost'), 2],
    ['a read that one node cannot answer', ['select 1'], dead, 3],
    ['a write that one node cannot take', ['--write', 'select 1'], dead, 7],
  ])('%s', async (_, args, second, code) => {
    const { data, ...sql } = await cli.json<object>(['sql', '--all-nodes', ...args], beside(second()));
    expect(data).toHaveProperty('nodes');
    expect(sql.code).toBe(code);
  });
});
