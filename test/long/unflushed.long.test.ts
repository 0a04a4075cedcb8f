/**
 * What PostgreSQL itself loses, shown on servers without any operation of repctl: an apply worker that starts anew
 * confirms what its predecessor applied (send_feedback() in worker.c: nothing pending, so what is received counts as
 * flushed), though with synchronous_commit=off that is not on disk yet. A crash right then takes it back, and the
 * leader, to whom it was confirmed, does not send it again. `repctl check` finds it. When this test fails, PostgreSQL
 * has mended it: then README.md has a paragraph too much.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { killNode, startNode } from '../../src/sandbox/sandbox.js';
import { createCluster } from '../support/cluster.js';
import { type Servers, startServers } from '../support/servers.js';
import { stopAtRest } from '../support/signal.js';
import { until } from '../support/wait.js';

describe('a replica that crashes within 3 × wal_writer_delay after its apply worker started anew', () => {
  let servers: Servers;
  beforeAll(async () => {
    servers = await startServers({ nodes: 2, settings: { wal_receiver_status_interval: '1s' } });
    await createCluster(servers.fleet());
  });
  afterAll(() => servers.down());

  it('lacks what the worker before it had applied, for good', async () => {
    const leader = await servers.superuser('n1');
    const replica = await servers.superuser('n2');
    await replica.simple('checkpoint');
    await stopAtRest(replica, `backend_type = 'walwriter'`);
    await leader.query(`insert into products (sku, name, price) values ('lost', 'x', 1)`);
    const [sent] = await leader.query<{ lsn: string }>('select pg_current_wal_insert_lsn()::text as lsn');
    const applied = () => replica.query(`select from products where sku = 'lost'`);
    expect(await until(applied, (rows) => rows.length === 1)).toHaveLength(1);

    await replica.query('select pg_terminate_backend(pid) from pg_stat_subscription where pid is not null');
    await until(
      () => leader.query(`select from pg_replication_slots where confirmed_flush_lsn >= $1`, [sent?.lsn]),
      (rows) => rows.length === 1,
    );
    await killNode(servers.sandbox, 'n2');
    await startNode(servers.sandbox, 'n2');
    await leader.query(`insert into products (sku, name, price) values ('later', 'x', 1)`);
    const back = await servers.superuser('n2');
    const rows = await until(
      () => back.query('select sku from products'),
      (found) => found.length > 0,
    );
    expect(rows).toEqual([{ sku: 'later' }]);
  });
});
