/** Products from the command line, on real servers: CRUD, every bad input, sessions through a failover. */
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { maxLsn } from '../../../src/postgres/lsn.js';
import { type Cli, makeCli } from '../../support/home-cli.js';

let cli: Cli;
const PORT = String(31_500 + Math.floor(Math.random() * 500));

beforeAll(async () => {
  cli = makeCli();
  const up = await cli.run(['sandbox', 'up', '--nodes', '3', '--products', '200', '--base-port', PORT]);
  expect(up.stderr + up.stdout, up.stderr).toContain('ready');
  expect(up.code).toBe(0);
});
afterAll(async () => {
  await cli.run(['sandbox', 'down']);
  cli.end();
});

interface Outcome {
  product: { stock: number; version: number; sku: string };
  node: string;
  replayed: boolean;
  error?: { code: string };
}

const file = (name: string, content: string | Uint8Array): string => {
  const full = path.join(cli.home, name);
  writeFileSync(full, content);
  return full;
};
const count = async (): Promise<string> =>
  (
    await cli.run([
      'sql',
      '--node',
      'n1',
      '--json',
      'select count(*), sum(version), sum(stock) from products',
    ])
  ).stdout;

describe('CRUD', () => {
  it('creates on the leader, reads from replicas in turn, updates, adjusts and deletes', async () => {
    const created = await cli.json<Outcome>([
      'product',
      'create',
      'T-1',
      '--name',
      `it's "1" ü`,
      '--price',
      '9.99',
    ]);
    expect(created).toMatchObject({ code: 0, data: { node: 'n1', product: { sku: 'T-1', version: 1 } } });
    const nodes = [];
    for (let turn = 0; turn < 4; turn += 1)
      nodes.push((await cli.json<Outcome>(['product', 'get', 'T-1'])).data.node);
    expect(new Set(nodes)).toEqual(new Set(['n2', 'n3']));
    expect((await cli.json<Outcome>(['product', 'get', 'T-1', '--level', 'strong'])).data.node).toBe('n1');
    expect((await cli.json<Outcome>(['product', 'adjust', 'T-1', '+5'])).data.product.stock).toBe(5);
    expect((await cli.json<Outcome>(['product', 'adjust', 'T-1', '-2'])).data.product.stock).toBe(3);
    expect((await cli.run(['product', 'update', 'T-1', '--price', '1', '--if-version', '3'])).code).toBe(0);
    expect((await cli.run(['product', 'update', 'T-1', '--price', '1', '--if-version', '3'])).code).toBe(6);
    const low = await cli.run(['product', 'adjust', 'T-1', '-4']);
    expect(low).toMatchObject({ code: 6, stderr: expect.stringContaining('has 3 in stock') as unknown });
    expect((await cli.run(['product', 'delete', 'T-1'])).code).toBe(0);
    expect((await cli.run(['product', 'get', 'T-1'])).code).toBe(2);
  });

  it('does a request once, however often it is sent', async () => {
    const id = '7d444840-9dc0-11d1-b245-5ffdce74fad2';
    const send = () => cli.json<Outcome>(['product', 'adjust', 'BAG-0000002', '+1', '--request-id', id]);
    const first = await send();
    const second = await send();
    expect(first.data.replayed).toBe(false);
    expect(second.data.replayed).toBe(true);
    expect(second.data.product.stock).toBe(first.data.product.stock);
    const other = await cli.run(['product', 'delete', 'BAG-0000002', '--request-id', id]);
    expect(other.code).toBe(6);
  });

  it('processes at once share a session: nothing is lost, and the last write is remembered', async () => {
    interface Written extends Outcome {
      token: { after: string };
    }
    const before = (await cli.json<Outcome>(['product', 'get', 'BAG-0000002', '--level', 'strong'])).data;
    const session = ['--session', 'crowd'];
    const writes = Array.from({ length: 8 }, () =>
      cli.json<Written>(['product', 'adjust', 'BAG-0000002', '+1', ...session]),
    );
    const reads = Array.from({ length: 8 }, () =>
      cli.json<Outcome>(['product', 'get', 'BAG-0000002', ...session]),
    );
    const done = await Promise.all(writes);
    expect(done.map(({ code }) => code)).toEqual(Array.from({ length: 8 }, () => 0));
    for (const { code } of await Promise.all(reads)) expect(code).toBe(0);
    const last = await cli.json<Outcome>(['product', 'get', 'BAG-0000002', ...session]);
    expect(last.data.product.stock).toBe(before.product.stock + 8);
    expect(['n2', 'n3']).toContain(last.data.node);
    const [cluster = ''] = readdirSync(path.join(cli.home, 'state/repctl/sessions'));
    const directory = path.join(cli.home, 'state/repctl/sessions', cluster);
    const { written } = JSON.parse(readFileSync(path.join(directory, 'session-crowd.json'), 'utf8')) as {
      written: { after: string };
    };
    expect(written.after).toBe(done.map(({ data }) => data.token.after).reduce(maxLsn));
    expect(readdirSync(directory).filter((name) => !/^(?:session-\w+|pointer)\.json$/.test(name))).toEqual(
      [],
    );
  });

  it('pages through a list without a gap or a repeat', async () => {
    const seen: string[] = [];
    let after: string[] = [];
    for (;;) {
      const { data } = await cli.json<{ products: { sku: string }[]; next: string | null }>([
        'product',
        'list',
        '--sort=-currency',
        '--limit',
        '60',
        '--columns',
        'sku',
        ...after,
      ]);
      seen.push(...data.products.map((product) => product.sku));
      if (data.next === null) break;
      after = ['--after', data.next];
    }
    expect(new Set(seen).size).toBe(200);
    expect(seen).toHaveLength(200);
  });
});

describe('bad input changes nothing', () => {
  const create = (...flags: string[]): string[] => ['product', 'create', ...flags];
  const cases: [string, () => string[], number, string][] = [
    ['negative price', () => create('X', '--name', 'x', '--price=-1'), 2, 'negative'],
    ['NaN', () => create('X', '--name', 'x', '--price', 'NaN'), 2, 'decimal number'],
    ['1e400', () => create('X', '--name', 'x', '--price', '1e400'), 2, 'decimal number'],
    ['empty sku', () => create('', '--name', 'x', '--price', '1'), 2, 'sku is empty'],
    ['duplicate sku', () => create('BAG-0000002', '--name', 'x', '--price', '1'), 6, 'exists already'],
    [
      'invalid JSON',
      () => create('X', '--name', 'x', '--price', '1', '--attributes', '{'),
      2,
      'no valid JSON',
    ],
    ['no price', () => create('X', '--name', 'x'), 6, 'price'],
    ['unknown column', () => create('X', '--set', 'nope=1'), 2, 'no column "nope"'],
    ['limit -1', () => ['product', 'list', '--limit', '-1'], 2, '--limit'],
    ['limit abc', () => ['product', 'list', '--limit', 'abc'], 2, '--limit'],
    ['unknown node', () => ['product', 'list', '--node', 'n9'], 2, 'no node n9'],
    ['write without --write', () => ['sql', 'delete from products'], 6, 'writes'],
    ['write behind commit', () => ['sql', 'commit; delete from products'], 6, 'writes'],
    [
      'write to a replica',
      () => ['sql', '--write', '--node', 'n2', 'delete from products'],
      6,
      'leader is n1',
    ],
    ['a missing file', () => ['product', 'import', 'nowhere.csv'], 2, 'nowhere.csv'],
    ['an empty file', () => ['product', 'import', file('empty.csv', '')], 2, 'empty'],
    ['no header', () => ['product', 'import', file('h.csv', 'X-1,x,1\nX-2,x,1\n')], 2, 'name its columns'],
    [
      'ragged',
      () => ['product', 'import', file('r.csv', 'sku,name,price\nX,x\n')],
      2,
      'Line 2: it has 2 fields',
    ],
    [
      'latin1',
      () => ['product', 'import', file('l.csv', Buffer.from('sku,name\nX,\xfc\n', 'latin1'))],
      2,
      'not UTF-8',
    ],
    [
      'a duplicate',
      () => ['product', 'import', file('d.csv', 'sku,name,price\nX,x,1\nX,y,2\n')],
      2,
      'line 2 already',
    ],
    [
      'a lone surrogate',
      () => ['product', 'import', file('s.ndjson', '{"sku":"X","name":"\\ud800","price":1}\n')],
      2,
      'surrogate',
    ],
    [
      'NUL',
      () => ['product', 'import', file('n.ndjson', '{"sku":"X","name":"a\\u0000","price":1}\n')],
      2,
      'NUL',
    ],
    [
      '1 MB text',
      () => ['product', 'import', file('m.csv', `sku,name,price\nX,${'x'.repeat(1 << 20)},1\n`)],
      2,
      'longer than',
    ],
    [
      'a line without end',
      () => ['product', 'import', file('e.csv', `sku,name,price\nX,"${'x'.repeat(6 << 20)}`)],
      2,
      'record is longer',
    ],
  ];
  let before: string;
  beforeAll(async () => {
    before = await count();
  });
  it.each(cases)('%s', async (_, args, code, text) => {
    const result = await cli.run(args());
    expect(result.stderr).toContain(text);
    expect(result.stderr).not.toMatch(/\n\s+at /);
    expect(result.code).toBe(code);
  });
  it('nothing was changed', async () => {
    expect(await count()).toBe(before);
  });
  it('what is piped in is never taken for an argument that was left out', async () => {
    const missing = await cli.run(['product', 'get'], { input: 'BAG-0000002\n' });
    expect(missing).toMatchObject({ code: 2, stderr: expect.stringContaining('Missing: SKU') as unknown });
    const refused = await cli.run(['failover', '--yes'], { input: 'n9\n' });
    expect(refused.code).toBe(6);
  });
  it('stdin closed or empty is an empty input', async () => {
    expect(await cli.run(['product', 'import'], { input: '' })).toMatchObject({ code: 2 });
  });
});

describe('import and export', () => {
  it('round trips, in both formats, without changing a row', async () => {
    for (const format of ['csv', 'ndjson']) {
      const target = path.join(cli.home, `all.${format}`);
      expect((await cli.run(['product', 'export', '-o', target])).code).toBe(0);
      const { data } = await cli.json<object>(['product', 'import', target]);
      expect(data).toMatchObject({ read: 200, created: 0, updated: 0, unchanged: 200 });
    }
  });

  it('takes BOM, CRLF and quotes across lines; --continue names line and reason of the rest', async () => {
    const input = '\uFEFFsku,name,price\r\nI-1,"two\nlines",1\r\nI-2,x,-1\r\nI-3,x,3\r\nI-3,y,4\r\n';
    const rejects = path.join(cli.home, 'rejects.ndjson');
    const args = ['product', 'import', '-', '--continue', '--reject-file', rejects];
    const dry = await cli.json<object>([...args, '--dry-run'], { input });
    const real = await cli.json<object>(args, { input });
    for (const { data } of [dry, real]) expect(data).toMatchObject({ read: 4, created: 2, rejected: 2 });
    const lines = readFileSync(rejects, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as object);
    expect(lines).toEqual([
      { line: 4, reason: 'price must not be negative: "-1"' },
      { line: 6, reason: 'sku "I-3" is on line 5 already' },
    ]);
    const { data } = await cli.json<{ product: { name: string } }>(['product', 'get', 'I-1']);
    expect(data.product.name).toBe('two\nlines');
  });
});

describe('a failover', () => {
  it('tells a session that its write was lost, and writes go on at the new leader', async () => {
    for (const node of ['n2', 'n3']) {
      const sql = `alter subscription repctl_${node}_e1 disable`;
      expect((await cli.run(['sql', '--write', '--node', node, sql])).stderr).not.toContain('✗');
    }
    expect((await cli.run(['product', 'create', 'LOST', '--name', 'x', '--price', '1'])).code).toBe(0);
    expect((await cli.run(['sandbox', 'kill', 'n1'])).code).toBe(0);
    const gone = await cli.run(['product', 'create', 'G', '--name', 'x', '--price', '1']);
    expect(gone).toMatchObject({ code: 3, stderr: expect.stringContaining('leader n1') as unknown });
    const failover = await cli.run(['failover', '--yes', '--leader-is-dead']);
    expect(failover.code, failover.stderr + failover.stdout).toBe(0);
    const read = await cli.run(['product', 'get', 'LOST']);
    expect(read.stderr).toMatch(/was lost when epoch 2 began/);
    expect(read.code).toBe(2);
    const written = await cli.json<Outcome>(['product', 'create', 'G', '--name', 'x', '--price', '1']);
    expect(written.data.node).not.toBe('n1');
    expect((await cli.json<Outcome>(['product', 'get', 'G'])).data.product.sku).toBe('G');
  });
});
