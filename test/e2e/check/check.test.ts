import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { CheckResult } from '../../../src/consistency/result.js';
import { killNode, startNode } from '../../../src/sandbox/sandbox.js';
import { type CliResult, runCli } from '../../support/cli.js';
import { createCluster } from '../../support/cluster.js';
import { type Servers, startServers } from '../../support/servers.js';
import { until } from '../../support/wait.js';
import { urlEnv } from '../../support/home-cli.js';

let servers: Servers;
let env: Record<string, string>;
beforeAll(async () => {
  servers = await startServers({ nodes: 3 });
  const fleet = servers.fleet();
  await createCluster(fleet);
  const leader = await fleet.session('n1');
  await leader.simple(
    `insert into products (sku, name, price) select 'SKU-' || g, 'Thing ' || g, g from generate_series(1, 500) g`,
  );
  env = urlEnv(servers.config);
});
afterAll(() => servers.down());

const check = (...args: string[]): Promise<CliResult> => runCli(['check', ...args], { env });
const json = (result: CliResult): CheckResult => JSON.parse(result.stdout) as CheckResult;

/** Writes on a replica as no client could: behind the fence. */
async function behindTheFence(node: string, sql: string): Promise<void> {
  const session = await servers.superuser(node);
  await session.simple(`set session_replication_role = replica; ${sql}`);
  await session.close();
}

describe('repctl check', () => {
  test('equal: exit 0, a table and a verdict on stdout, no colour in a pipe', async () => {
    const result = await check();
    expect(result).toMatchObject({ code: 0 });
    expect(result.stdout).toMatch(/^public\.products {2}n2 {4}✓ equal +500 /m);
    expect(result.stdout).toMatch(/^✓ 2 replicas equal n1: 500 rows in 1 table\.$/m);
    expect(result.stdout).toMatch(/sequence public\.products_id_seq: n1 500; .*\(set on promotion\)/);
    expect(result.stdout).not.toContain('\u001B');
  });

  test('diverged: exit 5, the rows, and what to type next', async () => {
    await behindTheFence(
      'n2',
      `update products set price = 7.01 where id = 7; delete from products where id = 9;
       insert into products (id, sku, name, price) overriding system value values (501, 'X', 'x', 1)`,
    );
    try {
      const text = await check('--node', 'n2', 'products');
      expect(text.code).toBe(5);
      expect(text.stdout).toContain('✗ public.products on n2: 1 missing, 1 extra, 1 differing');
      expect(text.stdout).toContain('  differing: id="7": price is "7.01", leader has "7.00"');
      expect(text.stdout).toContain('  missing on n2: id="9"');
      expect(text.stdout).toContain('  only on n2: id="501"');
      expect(text.stdout).toContain('  repctl repair --node n2');
      expect(text.stdout).not.toContain('n3');

      const one = await check('--rows', '1');
      expect(one.stdout).toContain('… and 2 more: --rows 3 shows them');

      const result = await check('--json');
      expect(result.code).toBe(5);
      // The shape is frozen: docs/json.md describes it.
      const nodeShape = {
        node: 'n2',
        verdict: 'diverged',
        rows: '500',
        bytes: expect.any(Number) as number,
        blocks: 1,
        blocksDiffering: 1,
        blocksNotListed: 0,
        rechecked: 3,
        inFlight: 0,
        missing: 1,
        extra: 1,
        differing: 1,
        unverified: 0,
        problem: null,
      };
      expect(json(result)).toEqual({
        cluster: expect.any(String) as string,
        leader: 'n1',
        epoch: 1,
        startedAt: expect.stringMatching(/^\d{4}-.*Z$/) as string,
        durationMs: expect.any(Number) as number,
        verdict: 'diverged',
        scope: { data: true, where: null, since: null, sinceColumn: null },
        digest: 'hash',
        hashesOtherwise: [],
        exact: null,
        restarts: 0,
        resumed: null,
        resume: null,
        report: null,
        skipped: [],
        tables: [
          {
            schema: 'public',
            name: 'products',
            method: 'ranges',
            key: ['id'],
            rows: '500',
            bytes: expect.any(Number) as number,
            durationMs: expect.any(Number) as number,
            nodes: [
              { ...nodeShape, samples: expect.any(Array) as unknown[] },
              expect.objectContaining({ node: 'n3', verdict: 'equal', samples: [] }),
            ],
          },
        ],
        schema: [],
        publication: [],
        sequences: [
          {
            schema: 'public',
            name: 'products_id_seq',
            leaderLastValue: '500',
            highestInUse: '500',
            behind: false,
            nodes: [
              { node: 'n2', lastValue: expect.any(String) as string },
              { node: 'n3', lastValue: expect.any(String) as string },
            ],
          },
        ],
        unreachable: [],
      });
      expect(json(result).tables[0]?.nodes[0]?.samples.find((row) => row.kind === 'differing')).toEqual({
        kind: 'differing',
        proven: true,
        key: { id: '7' },
        columns: [{ name: 'price', leader: '7.00', node: '7.01' }],
        copies: null,
      });
    } finally {
      await behindTheFence(
        'n2',
        `update products set price = 7 where id = 7; delete from products where id = 501;
         insert into products (id, sku, name, price) overriding system value values (9, 'SKU-9', 'Thing 9', 9)`,
      );
      // created_at of the row that was put back differs: the leader's row is written again for both.
      const leader = await servers.fleet().session('n1');
      await leader.simple('update products set created_at = now() where id = 9');
      await until(
        () => check(),
        (result) => result.code === 0,
      );
    }
  });

  test.each([
    [['nowhere'], 2, 'unknown-table'],
    [['--node', 'n9'], 2, 'unknown-node'],
    [['--node', 'n1'], 2, 'usage'],
    [['--rows', '-1'], 2, 'usage'],
    [['--block-rows', 'abc'], 2, 'usage'],
  ])('%j: exit %d, %s', async (args, code, name) => {
    const result = await check(...args, '--json');
    expect(result.code).toBe(code);
    expect(JSON.parse(result.stdout)).toMatchObject({ error: { code: name } });
  });

  test('a replica that is down: the others are compared, exit 4; named, exit 3', async () => {
    await killNode(servers.sandbox, 'n3');
    try {
      const all = await check('--json');
      expect(all.code).toBe(4);
      expect(json(all)).toMatchObject({ verdict: 'unverified', unreachable: [{ node: 'n3' }] });
      expect(json(all).tables[0]?.nodes).toMatchObject([{ node: 'n2', verdict: 'equal' }]);
      const named = await check('--node', 'n3');
      expect(named.code).toBe(3);
      expect(named.stderr).toMatch(/n3.*cannot be reached.*\(node-unreachable\)/);
    } finally {
      await startNode(servers.sandbox, 'n3');
    }
  });
});
