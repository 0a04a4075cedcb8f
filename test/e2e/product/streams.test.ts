/** Input and output that do not end well: endless lines, signals, full disks. */
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import type { Writable } from 'node:stream';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Cli, makeCli } from '../../support/home-cli.js';
import { until } from '../../support/wait.js';

let cli: Cli;
const PORT = String(49_000 + Math.floor(Math.random() * 500));
const MB = 1024 * 1024;
/** Node fails to start a process on less than about 40 MB; whoever collects input dies of this. */
const SMALL = { NODE_OPTIONS: '--max-old-space-size=100' };

beforeAll(async () => {
  cli = makeCli();
  const up = await cli.run(['sandbox', 'up', '--nodes', '2', '--products', '50', '--base-port', PORT]);
  expect(up.code, up.stderr).toBe(0);
});
afterAll(async () => {
  await cli.run(['sandbox', 'down']);
  cli.end();
});

const sql = async (text: string): Promise<unknown> => {
  const { data } = await cli.json<{ nodes: { results: { rows: unknown[][] }[] }[] }>([
    'sql',
    '--node',
    'n1',
    text,
  ]);
  return data.nodes[0]?.results[0]?.rows;
};
const products = (): Promise<unknown> => sql('select count(*), sum(version), sum(stock) from products');

/** Writes until `megabytes` are gone or nobody reads any more; how many were. */
async function pour(input: Writable, megabytes: number): Promise<number> {
  const chunk = Buffer.alloc(MB, 'x');
  const closed = once(input, 'close').catch(() => undefined);
  for (let sent = 0; sent < megabytes; sent += 1) {
    if (input.destroyed) return sent;
    if (!input.write(chunk)) await Promise.race([once(input, 'drain').catch(() => undefined), closed]);
  }
  return megabytes;
}

interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
  peakKb: number;
}

/** Starts an import from stdin and hands its stdin to `feed`. */
async function feeding(
  args: string[],
  feed: (input: Writable, pid: number) => Promise<void>,
): Promise<Ended> {
  const child = cli.spawn(['product', 'import', '-', ...args], { env: SMALL });
  const ended: Ended = { code: null, stdout: '', stderr: '', peakKb: 0 };
  child.stdout?.on('data', (data: Buffer) => (ended.stdout += data.toString()));
  child.stderr?.on('data', (data: Buffer) => (ended.stderr += data.toString()));
  const watch = setInterval(() => {
    try {
      const status = readFileSync(`/proc/${String(child.pid)}/status`, 'utf8');
      ended.peakKb = Math.max(ended.peakKb, Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0));
    } catch {
      // it is over
    }
  }, 20);
  const closed = once(child, 'close');
  // a reader that is gone, refused or killed, leaves EPIPE to what was still on its way to it
  child.stdin?.on('error', () => undefined);
  if (child.stdin) await feed(child.stdin, child.pid ?? 0);
  [ended.code] = (await closed) as [number | null];
  clearInterval(watch);
  return ended;
}

describe('a line of 2 GB', () => {
  it.each([
    ['as the header', '', 'csv', 'Line 1'],
    ['as a row', 'sku,name,price\nX-1,x,1\nX-2,', 'csv', 'Line 3'],
    ['in quotes', 'sku,name,price\nX-1,x,1\nX-2,"', 'csv', 'Line 3'],
    ['of JSON', '{"sku":"X-1","name":"x","price":1}\n{"sku":"', 'ndjson', 'Line 2'],
  ])(
    '%s: refused after a few megabytes, in bounded memory, nothing imported',
    async (_, start, format, line) => {
      const before = await products();
      let sent = 0;
      const ended = await feeding(['--format', format], async (input) => {
        input.write(start);
        sent = await pour(input, 2048);
        input.end();
      });
      expect(ended.stderr).toContain(line);
      expect(ended.stderr).toContain('record is longer');
      expect(ended.code).toBe(2);
      expect(sent).toBeLessThan(64);
      expect(ended.peakKb).toBeLessThan(300_000);
      expect(await products()).toEqual(before);
    },
  );

  it('with --continue: 300 MB of it are read past in bounded memory, and the rest is imported', async () => {
    const ended = await feeding(['--continue', '--reject-file', 'long.ndjson', '--json'], async (input) => {
      input.write('sku,name,price\nC-1,x,1\nC-2,');
      await pour(input, 300);
      input.end('\nC-3,x,1\n');
    });
    expect(JSON.parse(ended.stdout)).toMatchObject({ read: 3, created: 2, rejected: 1 });
    expect(readFileSync(path.join(cli.home, 'long.ndjson'), 'utf8')).toContain('"line":3');
    expect(ended.code).toBe(0);
    expect(ended.peakKb).toBeLessThan(300_000);
  });
});

describe('a signal', () => {
  it.each([
    ['SIGINT', 130],
    ['SIGTERM', null],
  ] as const)('%s during an import leaves nothing behind', async (signal, code) => {
    const before = await products();
    const ended = await feeding([], async (input, pid) => {
      input.write('sku,name,price\n');
      for (let n = 0; n < 20_000; n += 1) input.write(`S-${String(n)},x,1\n`);
      await until(
        () =>
          sql(
            `select count(*) from pg_stat_activity where query like 'copy%' and application_name = 'repctl'`,
          ),
        (rows) => JSON.stringify(rows) === '[["1"]]',
      );
      process.kill(pid, signal);
    });
    expect(ended.code).toBe(code);
    expect(ended.stderr).not.toMatch(/\n\s+at /);
    expect(await products()).toEqual(before);
    await until(
      () => sql(`select count(*) from pg_stat_activity where query like 'copy%' and pid <> pg_backend_pid()`),
      (rows) => JSON.stringify(rows) === '[["0"]]',
    );
  });
});

describe('a disk that is full', () => {
  it('export: says so, exit 7, and a device stays a device', async () => {
    const full = await cli.run(['product', 'export', '--output', '/dev/full']);
    expect(full).toMatchObject({ code: 7, stderr: expect.stringContaining('ENOSPC') as unknown });
    expect(full.stderr).not.toMatch(/\n\s+at /);
    expect(statSync('/dev/full').isCharacterDevice()).toBe(true);
    expect((await cli.run(['product', 'export', '--output', '/dev/null'])).code).toBe(0);
    expect(statSync('/dev/null').isCharacterDevice()).toBe(true);
    expect(readdirSync('/dev').filter((name) => name.endsWith('.part'))).toEqual([]);
  });

  it('a directory that is not there: exit 2, no file', async () => {
    const missing = await cli.run(['product', 'export', '--output', 'no/where.csv']);
    expect(missing.stderr).toContain('no/where.csv');
    expect(missing.code).toBe(2);
    expect(existsSync(path.join(cli.home, 'no'))).toBe(false);
    const args = ['product', 'import', '--continue', '--reject-file', 'no/rejects.ndjson'];
    const rejects = await cli.run(args, { input: 'sku,name,price\nN-1,x,1\n' });
    expect(rejects).toMatchObject({ code: 2, stderr: expect.stringContaining('no/rejects') as unknown });
  });

  it('reject file: says so, exit 7, and nothing is imported without its report', async () => {
    const before = await products();
    const input = 'sku,name,price\nR-1,x,1\nR-2,x,-1\n';
    const full = await cli.run(['product', 'import', '--continue', '--reject-file', '/dev/full'], { input });
    expect(full).toMatchObject({ code: 7, stderr: expect.stringContaining('/dev/full') as unknown });
    expect(full.stderr).toContain('Nothing was imported');
    expect(await products()).toEqual(before);
  });

  it('session file: the write is done and its result told, exit 7; reads go on', async () => {
    const state = path.join(cli.home, 'blocked');
    mkdirSync(path.join(state, 'repctl'), { recursive: true });
    writeFileSync(path.join(state, 'repctl', 'sessions'), 'in the way');
    const config = path.join(cli.home, 'blocked.yaml');
    const urls = await cli.json<Record<string, string>>(['sandbox', 'env']);
    const status = await cli.json<{ cluster: string }>(['status']);
    const nodes = Object.entries(urls.data).map(([name, url]) => [
      name.replace('REPCTL_URL_', '').toLowerCase(),
      { url },
    ]);
    writeFileSync(
      config,
      JSON.stringify({ cluster: status.data.cluster, nodes: Object.fromEntries(nodes) as unknown }),
      { mode: 0o600 },
    );
    const env = { XDG_STATE_HOME: state };
    const done = await cli.run(['product', 'create', 'DONE', '--name', 'x', '--price', '1', '-c', config], {
      env,
    });
    expect(done.stderr).toContain('The write is done on n1');
    expect(done.code).toBe(7);
    const read = await cli.run(['product', 'get', 'DONE', '--level', 'strong', '-c', config], { env });
    expect(read.code, read.stderr).toBe(0);
    expect(read.stderr).toContain('could not be remembered');
  });
});

describe('files as other programs write them', () => {
  const good: [string, string | Buffer, object][] = [
    ['a BOM and CRLF', '\uFEFFsku,name,price\r\nF-1,x,1\r\n', { created: 1 }],
    ['no newline at the end', 'sku,name,price\nF-2,x,1', { created: 1 }],
    ['quotes, commas and newlines in quotes', 'sku,name,price\nF-3,"a ""b"",\r\nc",1\n', { created: 1 }],
    ['blank lines', '\n\nsku,name,price\n\nF-4,x,1\n\n', { created: 1 }],
    ['a header alone', 'sku,name,price\n', { read: 0, created: 0 }],
    ['columns in another order', 'price,sku,name\n1,F-5,x\n', { created: 1 }],
  ];
  it.each(good)('%s', async (_, input, result) => {
    expect((await cli.json<object>(['product', 'import'], { input: input.toString() })).data).toMatchObject(
      result,
    );
  });
  const bad: [string, Buffer | string, string][] = [
    ['0 bytes', '', 'empty'],
    ['a BOM alone', '\uFEFF', 'empty'],
    ['UTF-16', Buffer.from('\uFEFFsku,name,price\nG,x,1\n', 'utf16le'), 'not UTF-8'],
    ['Latin-1', Buffer.from('sku,name,price\nG,ü,1\n', 'latin1'), 'not UTF-8'],
    ['a character cut off at the end', Buffer.from('sku,name,price\nG,x,1\nH,\xc3', 'latin1'), 'not UTF-8'],
    ['semicolons', 'sku;name;price\nG;x;1\n', 'separated by commas'],
    ['a column twice', 'sku,name,name\nG,x,1\n', 'twice'],
    ['too few fields', 'sku,name,price\nG,x\n', 'Line 2'],
    ['too many fields', 'sku,name,price\nG,x,1,2\n', 'Line 2'],
    ['a quote that is not closed', 'sku,name,price\nG,"x,1\n', 'Line 2'],
    ['text after a quote', 'sku,name,price\nG,"x"y,1\n', 'Line 2'],
  ];
  it.each(bad)('%s is refused', async (_, input, text) => {
    const name = path.join(cli.home, 'bad.csv');
    writeFileSync(name, input);
    const result = await cli.run(['product', 'import', name]);
    expect(result.stderr).toContain(text);
    expect(result.code).toBe(2);
  });
});
