/**
 * A leader that crashes right after a replica was attached to it, before that one has received anything: the slot it
 * goes on from must be where it was moved to, or transactions come a second time.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Fleet } from '../../../src/cluster/fleet.js';
import { planFailover } from '../../../src/operations/failover.js';
import { type Planner, runOperation } from '../../../src/operations/run.js';
import { planSwitchover } from '../../../src/operations/switchover.js';
import { noJournal } from '../../../src/plan/journal.js';
import { flushNow } from '../../../src/replication/positions.js';
import { advanceSlot } from '../../../src/replication/slots.js';
import { killNode, startNode } from '../../../src/sandbox/sandbox.js';
import { createCluster } from '../../support/cluster.js';
import { type Servers, startServers } from '../../support/servers.js';
import { signalAll, stopAtRest } from '../../support/signal.js';
import { until } from '../../support/wait.js';

describe('a new leader that crashes before its replica has received anything', () => {
  let servers: Servers;
  let fleet: Fleet;
  beforeEach(async () => {
    servers = await startServers({ nodes: 3 });
    fleet = servers.fleet();
    await createCluster(fleet);
  });
  afterEach(() => servers.down());

  const planners: Record<string, Planner> = {
    switchover: (snapshot) =>
      planSwitchover(snapshot, fleet.config, { target: 'n2', without: [], terminateBlockers: false }),
    failover: (snapshot) =>
      planFailover(snapshot, fleet.config, { target: 'n2', leaderIsDead: true, acceptMinority: false }),
  };

  it.each(Object.entries(planners))('%s', async (operation, planner) => {
    const [leader, target, replica] = await Promise.all(
      ['n1', 'n2', 'n3'].map((name) => servers.superuser(name)),
    );
    const insert = async (from: number): Promise<void> => {
      await leader!.query(
        `insert into products (sku, name, price) select 'A' || i, 'x', 1 from generate_series($1::int, $1::int + 2) i`,
        [from],
      );
      for (const node of [target!, replica!])
        await until(
          () => node.query('select from products'),
          (rows) => rows.length === from + 2,
        );
    };
    await insert(1);
    // The server writes a slot by itself when its restart_lsn moves: it is brought to where it cannot move on.
    await target!.simple('checkpoint');
    await advanceSlot(target!, 'repctl_n3', await flushNow(target!));
    await insert(4);
    if (operation === 'failover') await killNode(servers.sandbox, 'n1');
    // Nobody starts the worker of the new subscription.
    const launcher = await stopAtRest(replica!, `backend_type = 'logical replication launcher'`);
    const killed: Promise<unknown>[] = [];
    const run = runOperation(planner, {
      fleet,
      journal: noJournal,
      onEvent(event) {
        if (event.type === 'done' && event.step.id === 'attach:n3')
          killed.push(killNode(servers.sandbox, 'n2'));
      },
    });
    await expect(run).rejects.toMatchObject({ exit: 7 });
    expect(killed).toHaveLength(1);
    await Promise.all(killed);
    await startNode(servers.sandbox, 'n2');
    signalAll([launcher], 'SIGCONT');

    const seen = () =>
      replica!.query<{ rows: string; epochs: number; errors: string }>(
        `select (select count(*) from products) as rows, (select max(epoch) from repctl.epoch) as epochs,
                (select sum(apply_error_count) from pg_stat_subscription_stats) as errors`,
      );
    const [after] = await until(seen, ([row]) => row?.epochs === 2 || row?.errors !== '0');
    expect(after).toEqual({ rows: '6', epochs: 2, errors: '0' });
  });

  it('where no slot is free to write it to disk by, the leader changes all the same', async () => {
    const target = await servers.superuser('n2');
    const fill = async (): Promise<void> => {
      for (let i = 0; ; i += 1)
        await target.query(`select pg_create_logical_replication_slot($1, 'pgoutput', true)`, [
          `full_${String(i)}`,
        ]);
    };
    await expect(fill()).rejects.toMatchObject({ details: { sqlstate: '53400' } });
    await runOperation(planners['switchover']!, { fleet, journal: noJournal });
    expect(await target.query('select max(epoch) as epoch from repctl.epoch')).toEqual([{ epoch: 2 }]);
  });
});
