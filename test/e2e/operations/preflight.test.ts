/** `cluster create` where it would fail half way: refused with what to type, and nothing is changed on any node. */
import { chmodSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Fleet } from '../../../src/cluster/fleet.js';
import { type Cli, makeCli } from '../../support/home-cli.js';
import { type Servers, startServers } from '../../support/servers.js';

interface Failure {
  error: { code: string; message: string; hint: string };
}

describe('cluster create, refused', () => {
  let servers: Servers;
  let fleet: Fleet;
  let cli: Cli;

  beforeAll(async () => {
    servers = await startServers({ nodes: 2 });
    fleet = servers.fleet();
    cli = makeCli();
    const file = path.join(cli.home, 'repctl.yaml');
    const nodes = servers.config.nodes.map(({ name, url }) => `  ${name}: { url: ${JSON.stringify(url)} }\n`);
    writeFileSync(file, `cluster: shop\ntables: [public.t]\nnodes:\n${nodes.join('')}`);
    chmodSync(file, 0o600);
    for (const node of ['n1', 'n2'])
      await (await fleet.session(node)).simple('create table t (id int primary key, v text)');
  });
  afterAll(async () => {
    await servers.down();
    cli.end();
  });

  /** What it says; before and after it nothing of repctl is on the nodes. */
  async function refusal(): Promise<Failure['error']> {
    const { code, data } = await cli.json<Failure>(['cluster', 'create', '--yes']);
    expect(code, JSON.stringify(data)).toBe(6);
    for (const node of ['n1', 'n2']) {
      const [row] = await (
        await fleet.session(node)
      ).query(
        `select (select count(*)::int from pg_namespace where nspname = 'repctl') as schemas,
                (select count(*)::int from pg_publication) as publications,
                (select count(*)::int from pg_replication_slots where slot_name like 'repctl%') as slots`,
      );
      expect(row).toEqual({ schemas: 0, publications: 0, slots: 0 });
    }
    return data.error;
  }

  it('where the role may not create subscriptions: the GRANT is named', async () => {
    const admin = await servers.superuser('n2');
    await admin.simple('revoke pg_create_subscription from app');
    const error = await refusal();
    await admin.simple('grant pg_create_subscription to app');
    expect(error).toMatchObject({ code: 'privilege-missing' });
    expect(error.message).toMatch(/^n2: app may not create subscriptions/);
    expect(error.hint).toContain('grant pg_create_subscription to "app"');
  });

  it("where a table is another role's", async () => {
    const admin = await servers.superuser('n2');
    await admin.simple('alter table t owner to current_user');
    const error = await refusal();
    await admin.simple('alter table t owner to app');
    expect(error).toMatchObject({ code: 'privilege-missing' });
    expect(error.message).toContain('must be owner of table t');
  });

  it('where no slot is free', async () => {
    const admin = await servers.superuser('n1');
    await admin.simple(
      `select pg_create_physical_replication_slot('f' || i)
         from generate_series(1, current_setting('max_replication_slots')::int) i`,
    );
    const error = await refusal();
    await admin.simple(
      `select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_type = 'physical'`,
    );
    expect(error).toMatchObject({ code: 'slots-short' });
    expect(error.message).toMatch(/^n1: 1 more replication slot/);
  });

  it('and works once nothing is in the way', async () => {
    const { code, stderr } = await cli.run(['cluster', 'create', '--yes']);
    expect(code, stderr).toBe(0);
    expect((await cli.json<{ status: string }>(['cluster', 'create'])).data.status).toBe('nothing-to-do');
  });
});
