/** Every state and finding that a running cluster can be brought into, provoked on real servers. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { analyse, type Analysis } from '../../../src/cluster/analyse.js';
import type { Fleet } from '../../../src/cluster/fleet.js';
import { DEFAULT_LIMITS, type Limits } from '../../../src/cluster/limits.js';
import { observe } from '../../../src/cluster/observe.js';
import { ident } from '../../../src/postgres/quote.js';
import { killNode, pauseNode, resumeNode, startNode } from '../../../src/sandbox/sandbox.js';
import { createCluster } from '../../support/cluster.js';
import { invalidateSlot } from '../../support/invalidate.js';
import { type Servers, startServers } from '../../support/servers.js';
import { until } from '../../support/wait.js';

let servers: Servers;
let fleet: Fleet;

const look = async (limits: Partial<Limits> = {}): Promise<Analysis> =>
  analyse(await observe(fleet, { pending: true }), fleet.config, { ...DEFAULT_LIMITS, ...limits });
const stateOf = (analysis: Analysis, name: string) =>
  analysis.nodes.find((node) => node.name === name)?.state;
const has = (analysis: Analysis, code: string, node?: string): boolean =>
  analysis.findings.some((it) => it.code === code && (node === undefined || it.node === node));
const find = async (code: string, node?: string, limits: Partial<Limits> = {}): Promise<Analysis> =>
  until(
    () => look(limits),
    (analysis) => has(analysis, code, node),
  );
const healthy = (): Promise<Analysis> =>
  until(
    () => look(),
    (analysis) => analysis.state === 'healthy' && analysis.findings.every((it) => it.severity === 'info'),
    60_000,
  );
const on = async (node: string, sql: string): Promise<unknown[]> => (await fleet.session(node)).simple(sql);
const asSuperuser = async (node: string, ...statements: string[]): Promise<void> => {
  const session = await servers.superuser(node);
  for (const sql of statements) await session.simple(sql);
  await session.close();
};
const addProduct = (sku: string): Promise<unknown[]> =>
  on('n1', `insert into products (sku, name, price) values ('${sku}', 'x', 1)`);

beforeAll(async () => {
  servers = await startServers({ nodes: 4, settings: { max_prepared_transactions: '5' } });
  fleet = servers.fleet();
  await createCluster(fleet);
});
afterAll(() => servers.down());

describe('a running cluster', () => {
  it('is healthy after create, and silent', async () => {
    const analysis = await healthy();
    expect(analysis.findings).toEqual([]);
    expect(analysis.nodes.map((node) => node.state)).toEqual([
      'leading',
      'streaming',
      'streaming',
      'streaming',
    ]);
    expect(analysis).toMatchObject({ leader: 'n1', epoch: 1 });
    expect(analysis.nodes[1]).toMatchObject({ upstream: 'n1', behindBytes: 0, fenced: true });
  });

  it('knows the applied position of each replica as the server has it', async () => {
    await addProduct('P1');
    // Otherwise it may arrive between the two looks that are compared.
    const n2 = await servers.superuser('n2');
    await until(
      () => n2.query(`select from products where sku = 'P1'`),
      (rows) => rows.length === 1,
    );
    const snapshot = await until(
      () => observe(fleet),
      (it) => it.nodes.slice(1).every((node) => node.reachable && node.subscriptions[0]?.appliedLsn !== null),
    );
    const [row] = await n2.query<{ lsn: string }>(
      `select remote_lsn::text as lsn from pg_show_replication_origin_status()`,
    );
    const seen = snapshot.nodes[1];
    expect(seen?.reachable && seen.subscriptions[0]?.appliedLsn).toBe(row?.lsn);
  });

  it('finds the applied position in a slot where the grant is missing', async () => {
    const [me] = await (await fleet.session('n2')).query<{ name: string }>('select current_user as name');
    const role = ident(me?.name ?? '');
    const grant = 'function pg_show_replication_origin_status()';
    await asSuperuser('n2', `revoke execute on ${grant} from ${role}`);
    await addProduct('P2');
    const position = async () => {
      const [node] = (await observe(fleet, { nodes: ['n2'] })).nodes;
      return node?.reachable ? (node.subscriptions[0]?.appliedLsn ?? null) : null;
    };
    const session = await servers.superuser('n2');
    await until(
      async () => {
        const [row] = await session.query<{ lsn: string }>(
          'select remote_lsn::text as lsn from pg_show_replication_origin_status()',
        );
        return { server: row?.lsn ?? '', peeked: await position() };
      },
      ({ server, peeked }) => server === peeked,
    );
    await asSuperuser('n2', `grant execute on ${grant} to ${role}`);
  });

  it('a disabled subscription', async () => {
    await on('n2', 'alter subscription repctl_n2_e1 disable');
    const analysis = await find('subscription-disabled', 'n2');
    expect(stateOf(analysis, 'n2')).toBe('detached');
    expect(analysis.state).toBe('degraded');
    await addProduct('D1');
    const late = await until(
      () => look(),
      (it) => (it.nodes[1]?.behindBytes ?? 0) > 0 && (it.nodes[1]?.behindMs ?? 0) > 0,
    );
    expect(late.nodes[1]?.behindMs).toBeLessThan(30_000);
    await on('n2', 'alter subscription repctl_n2_e1 enable');
    await healthy();
  });

  it('two writable nodes', async () => {
    await on('n3', 'alter table products disable trigger repctl_fence');
    const analysis = await find('two-writable-nodes');
    expect(has(analysis, 'fence-down', 'n3')).toBe(true);
    expect(analysis.state).toBe('critical');
    await on('n3', 'alter table products enable trigger repctl_fence');
    await healthy();
  });

  it('a leader that refuses writes', async () => {
    await on('n1', 'alter table products enable trigger repctl_fence');
    expect((await find('leader-fenced', 'n1')).state).toBe('critical');
    await on('n1', 'alter table products disable trigger repctl_fence');
    await healthy();
  });

  it('a table missing from the subscriptions', async () => {
    for (const node of ['n1', 'n2', 'n3', 'n4']) await on(node, 'create table orders (id int primary key)');
    await on('n1', 'alter publication repctl add table orders');
    const analysis = await find('table-not-subscribed', 'n2');
    expect(has(analysis, 'publication-drift', 'n2')).toBe(true);
    expect(has(analysis, 'fence-missing', 'n1')).toBe(true);
    await on('n1', 'alter publication repctl drop table orders');
    for (const node of ['n1', 'n2', 'n3', 'n4']) await on(node, 'drop table orders');
    await healthy();
  });

  it('schema drift', async () => {
    await on('n4', 'alter table products add column colour text');
    const analysis = await find('schema-drift', 'n4');
    expect(analysis.findings.find((it) => it.code === 'schema-drift')?.message).toContain('colour');
    await on('n4', 'alter table products drop column colour');
    await healthy();
  });

  it('a long transaction and a prepared one', async () => {
    const other = await servers.superuser('n1');
    await other.simple('begin; select pg_current_xact_id()');
    const analysis = await find('long-transaction', 'n1', { transactionMs: 500 });
    expect(analysis.state).toBe('healthy');
    await other.simple(`prepare transaction 'left behind'`);
    const next = await find('prepared-transaction', 'n1');
    expect(next.findings.find((it) => it.code === 'prepared-transaction')?.message).toContain('left behind');
    await other.simple(`rollback prepared 'left behind'`);
    await healthy();
  });

  it('an apply conflict', async () => {
    await asSuperuser(
      'n4',
      `set session_replication_role = replica`,
      `insert into products (id, sku, name, price) overriding system value values (999999, 'TAKEN', 'mine', 1)`,
    );
    await addProduct('TAKEN');
    const analysis = await find('apply-error', 'n4');
    expect(stateOf(analysis, 'n4')).toBe('stalled');
    expect(analysis.state).toBe('degraded');
    const late = await until(
      () => look(),
      (it) => (it.nodes[3]?.behindMs ?? 0) > 0,
    );
    expect(late.nodes[3]?.behindBytes).toBeGreaterThan(0);
    await asSuperuser(
      'n4',
      `set session_replication_role = replica`,
      `delete from products where id = 999999`,
    );
    await healthy();
  });

  it('changes that are not sent', async () => {
    await asSuperuser('n1', `alter publication repctl set (publish = 'insert, update')`);
    const analysis = await find('publication-withholds', 'n1');
    expect(analysis.findings.find(({ code }) => code === 'publication-withholds')).toMatchObject({
      severity: 'error',
      message: expect.stringContaining('does not send delete, truncate') as string,
    });
    await asSuperuser('n1', `alter publication repctl set (publish = 'insert, update, delete, truncate')`);
    await healthy();
  });

  it('somebody else’s objects', async () => {
    await asSuperuser(
      'n2',
      'create publication theirs for all tables',
      `select pg_create_physical_replication_slot('backup')`,
      `create subscription theirs connection 'dbname=nowhere' publication p with (connect = false, slot_name = none)`,
    );
    const analysis = await find('foreign-slot', 'n2');
    expect(has(analysis, 'foreign-publication', 'n2') && has(analysis, 'foreign-subscription', 'n2')).toBe(
      true,
    );
    expect(analysis.state).toBe('healthy');
    await asSuperuser(
      'n2',
      'drop publication theirs',
      `select pg_drop_replication_slot('backup')`,
      'drop subscription theirs',
    );
  });

  it('all slots taken', async () => {
    await asSuperuser(
      'n3',
      `select pg_create_physical_replication_slot('x' || i) from generate_series(1,
         current_setting('max_replication_slots')::int - (select count(*)::int from pg_replication_slots)) i`,
    );
    await find('slots-exhausted', 'n3');
    await asSuperuser(
      'n3',
      `select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name ~ '^x'`,
    );
    await healthy();
  });

  it('two names for one database, and swapped URLs', async () => {
    const url = (name: string) => fleet.config.nodes.find((node) => node.name === name)?.url ?? '';
    const { openFleet } = await import('../../../src/cluster/fleet.js');
    const wrong = openFleet({
      ...fleet.config,
      nodes: fleet.config.nodes.map((node) =>
        node.name === 'n2'
          ? { ...node, url: url('n1') }
          : node.name === 'n3'
            ? { ...node, url: url('n4') }
            : node.name === 'n4'
              ? { ...node, url: url('n3') }
              : node,
      ),
    });
    const analysis = analyse(await observe(wrong), wrong.config);
    await wrong.close();
    expect(has(analysis, 'same-database-twice', 'n2')).toBe(true);
    expect(has(analysis, 'identity-mismatch', 'n3') && has(analysis, 'identity-mismatch', 'n4')).toBe(true);
  });
});

describe('servers that go away', () => {
  it('a paused replica costs its connect timeout once and hides nobody', async () => {
    const quick = { ...fleet.config, connectTimeoutMs: 3000 };
    const { openFleet } = await import('../../../src/cluster/fleet.js');
    const own = openFleet(quick);
    await observe(own);
    await pauseNode(servers.sandbox, 'n3');
    try {
      const times: number[] = [];
      // With a session that was open before, and with a new one.
      for (let i = 0; i < 2; i += 1) {
        const start = performance.now();
        const analysis = analyse(await observe(own), quick);
        times.push(performance.now() - start);
        expect(stateOf(analysis, 'n3')).toBe('unreachable');
        expect(has(analysis, 'node-unreachable', 'n3')).toBe(true);
        expect(stateOf(analysis, 'n2')).toBe('streaming');
      }
      // Once, and everything else on a slow machine: less than twice.
      expect(Math.max(...times)).toBeLessThan(2 * quick.connectTimeoutMs);
      const start = performance.now();
      await own.close();
      expect(performance.now() - start).toBeLessThan(quick.connectTimeoutMs);
    } finally {
      await resumeNode(servers.sandbox, 'n3');
    }
    await healthy();
  });

  it('a slot that nobody reads holds WAL', async () => {
    await killNode(servers.sandbox, 'n4');
    const analysis = await find('slot-inactive', 'n1', { slotBytes: 0 });
    expect(stateOf(analysis, 'n4')).toBe('unreachable');
    await addProduct('W1');
    await find('slot-retains-wal', 'n1', { slotBytes: 0 });
  });

  it('a slot that the server invalidated', async () => {
    const admin = await servers.superuser('n1');
    await invalidateSlot(admin, 'repctl_n4', (round) => addProduct(`I${String(round)}`));
    await startNode(servers.sandbox, 'n4');
    const analysis = await find('slot-invalidated', 'n1');
    expect(stateOf(analysis, 'n4')).toBe('stalled');
  });

  it('a slot that was dropped', async () => {
    await on('n1', `select pg_drop_replication_slot('repctl_n4')`);
    const analysis = await find('slot-missing', 'n1');
    expect(stateOf(analysis, 'n4')).toBe('stalled');
    expect(has(analysis, 'slot-invalidated')).toBe(false);
  });

  it('a killed leader', async () => {
    await killNode(servers.sandbox, 'n1');
    const analysis = await until(
      () => look(),
      // Each worker notices on its own; one that tries again is there for a moment.
      (it) =>
        has(it, 'leader-unreachable', 'n1') &&
        has(it, 'worker-down', 'n2') &&
        ['n2', 'n3', 'n4'].every((node) => stateOf(it, node) === 'stalled'),
    );
    expect(analysis.state).toBe('critical');
    expect(stateOf(analysis, 'n1')).toBe('unreachable');
    await startNode(servers.sandbox, 'n1');
  });
});
