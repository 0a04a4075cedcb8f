/** What a dead leader had sent lies in the sockets of apply workers that do not get their turn. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Fleet } from '../../../src/cluster/fleet.js';
import { observe } from '../../../src/cluster/observe.js';
import { factsOf } from '../../../src/operations/facts.js';
import { planFailover } from '../../../src/operations/failover.js';
import { planRejoin } from '../../../src/operations/rejoin.js';
import { type Planner, runOperation } from '../../../src/operations/run.js';
import type { FinishedStep } from '../../../src/plan/execute.js';
import { noJournal } from '../../../src/plan/journal.js';
import { compareLsn } from '../../../src/postgres/lsn.js';
import type { Session } from '../../../src/postgres/session.js';
import { readStranded } from '../../../src/replication/stranded/file.js';
import { killNode, startNode } from '../../../src/sandbox/sandbox.js';
import { createCluster } from '../../support/cluster.js';
import { type Servers, startServers } from '../../support/servers.js';
import { signalAll, stopAtRest } from '../../support/signal.js';
import { until } from '../../support/wait.js';

describe('a worker with unread data', () => {
  let servers: Servers;
  let fleet: Fleet;
  let directory: string;
  beforeAll(async () => {
    directory = await mkdtemp(path.join(tmpdir(), 'repctl-unread-'));
    servers = await startServers({ nodes: 3 });
    fleet = servers.fleet();
    await createCluster(fleet);
  });
  afterAll(async () => {
    await servers.down();
    await rm(directory, { recursive: true, force: true });
  });

  const run = (planner: Planner): Promise<FinishedStep[]> =>
    runOperation(planner, { fleet, journal: noJournal, stateDir: directory });
  const failover = () =>
    run((snapshot) => planFailover(snapshot, fleet.config, { leaderIsDead: true, acceptMinority: true }));
  /** Stops the workers of these replicas, writes a row on the leader, and kills it once the row is in their sockets. */
  const unread = async (leader: string, replicas: readonly string[], sku: string) => {
    const pids = await Promise.all(
      replicas.map(async (name) =>
        stopAtRest(await fleet.session(name), `backend_type = 'logical replication apply worker'`),
      ),
    );
    const there = await fleet.session(leader);
    const [row] = await there.query<{ lsn: string }>(
      `insert into products (sku, name, price) values ($1, 'x', 1) returning pg_current_wal_insert_lsn()::text as lsn`,
      [sku],
    );
    await until(
      () =>
        there.query('select 1 from pg_stat_replication where application_name = any($1) and sent_lsn > $2', [
          replicas,
          row?.lsn,
        ]),
      (rows) => rows.length === replicas.length,
    );
    await killNode(servers.sandbox, leader);
    return { lsn: row?.lsn ?? '', goOn: signalAll.bind(undefined, pids, 'SIGCONT') };
  };
  const has = async (node: string, sku: string): Promise<boolean> =>
    (await (await fleet.session(node)).query('select 1 from products where sku = $1', [sku])).length > 0;
  /** A failover watches the worker of that session's node: it has looked at it again and again. */
  const watched = async (session: Session): Promise<void> => {
    const looks = new Set<string>();
    await expect
      .poll(
        async () => {
          for (const { at } of await session.query<{ at: string }>(
            `select query_start::text as at from pg_stat_activity
              where query like '%libpqwalreceiverconnect%' and pid <> pg_backend_pid()`,
          ))
            looks.add(at);
          return looks.size;
        },
        { interval: 1 },
      )
      .toBeGreaterThan(3);
  };

  it('is waited for: what it had received is kept', async () => {
    const session = await servers.superuser('n2');
    const { goOn } = await unread('n1', ['n2', 'n3'], 'late turn');
    const running = failover();
    await watched(session);
    goOn();
    const steps = await running;
    const leader = steps.find(({ id }) => id.startsWith('promote:'))?.node ?? '';
    expect(await has(leader, 'late turn')).toBe(true);
  });

  it('that never gets its turn keeps the failover from its end; what is lost then is announced, and saved by rejoin', async () => {
    await startNode(servers.sandbox, 'n1');
    const before = factsOf(await observe(fleet), fleet.config).leader?.name ?? '';
    await run((snapshot) =>
      planRejoin(snapshot, fleet.config, {
        ...{ node: 'n1', directory, replay: false, fenceTimeoutMs: 5000, terminateBlockers: false },
      }),
    );
    const others = ['n1', 'n2', 'n3'].filter((name) => name !== before);
    const { lsn, goOn } = await unread(before, others, 'never read');
    const failure = await failover().catch((error: unknown) => error);
    expect(failure).toMatchObject({
      code: 'worker-stuck',
      details: { node: expect.stringMatching(/^n\d$/) as string },
    });
    expect(factsOf(await observe(fleet), fleet.config).epoch?.epoch).toBe(2);
    goOn();
    const steps = await failover();
    const leader = steps.find(({ id }) => id.startsWith('promote:'))?.node ?? '';
    const { epoch } = factsOf(await observe(fleet), fleet.config);
    expect(epoch?.epoch).toBe(3);
    if (await has(leader, 'never read')) return;
    expect(compareLsn(epoch?.forkPoint ?? '0/0', lsn)).toBeLessThan(0);
    await startNode(servers.sandbox, before);
    const rejoined = await run((snapshot) =>
      planRejoin(snapshot, fleet.config, {
        ...{ node: before, directory, replay: false, fenceTimeoutMs: 5000, terminateBlockers: false },
      }),
    );
    const file = rejoined.find(({ id }) => id.startsWith('save-stranded:'))?.result?.['file'];
    const rows: (string | null | undefined)[] = [];
    await readStranded(String(file), ({ row }) => rows.push(row?.['sku']));
    expect(rows).toContain('never read');
  });
});
