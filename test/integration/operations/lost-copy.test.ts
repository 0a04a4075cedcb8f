/**
 * A replica that crashes right after its initial copy: PostgreSQL may take back that a table was finished, while the
 * sync slot on the leader is gone. Nothing of its own would ever end that.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { analyse } from '../../../src/cluster/analyse.js';
import { type Fleet, openFleet } from '../../../src/cluster/fleet.js';
import { DEFAULT_LIMITS } from '../../../src/cluster/limits.js';
import { observe } from '../../../src/cluster/observe.js';
import { planRewire } from '../../../src/operations/rewire.js';
import { makePlan, runOperation } from '../../../src/operations/run.js';
import { noJournal } from '../../../src/plan/journal.js';
import { killNode, startNode } from '../../../src/sandbox/sandbox.js';
import { createCluster } from '../../support/cluster.js';
import { expectEqual } from '../../support/equality.js';
import { type Servers, startServers } from '../../support/servers.js';
import { stopAtRest } from '../../support/signal.js';

describe('an initial copy that lost its slot', () => {
  let servers: Servers;
  let fleet: Fleet;
  beforeAll(async () => {
    servers = await startServers({ nodes: 2 });
    fleet = servers.fleet();
    await createCluster(fleet);
    const leader = await fleet.session('n1');
    await leader.query(
      `insert into products (sku, name, price) select 'A' || i, 'x', 1 from generate_series(1, 100) i`,
    );
  });
  afterAll(() => servers.down());

  const planner =
    (recopy: boolean) =>
    (snapshot: Parameters<typeof planRewire>[0]): ReturnType<typeof planRewire> =>
      planRewire(snapshot, servers.config, { node: 'n2', recopy, acceptDataLoss: false });

  /** What a crash leaves: copied, not yet caught up, and the slot for catching up dropped. */
  const loseCopy = async (): Promise<void> => {
    const replica = await servers.superuser('n2');
    await replica.simple('alter subscription repctl_n2_e1 disable');
    await expect
      .poll(() => replica.query('select 1 from pg_stat_subscription where pid is not null'))
      .toEqual([]);
    await replica.simple(
      `update pg_subscription_rel set srsubstate = 'f', srsublsn = null where srrelid = 'products'::regclass`,
    );
    await replica.simple('alter subscription repctl_n2_e1 enable');
    const leader = await fleet.session('n1');
    await leader.query(`insert into products (sku, name, price) values (clock_timestamp()::text, 'y', 1)`);
  };

  it.each([false, true])('rewire begins again (recopy: %s)', async (recopy) => {
    await loseCopy();
    const { notes } = await makePlan(fleet, planner(recopy));
    expect(notes[0]).toMatch(recopy ? /^method: recopy/ : /^method: reconcile; .* lost its slot/);
    await runOperation(planner(recopy), { fleet, journal: noJournal });
    await expectEqual(fleet, 'n1', ['n2']);
    expect((await makePlan(fleet, planner(false))).steps).toEqual([]);
  });

  it('the end of a copy survives a crash, and the default is back afterwards', async () => {
    const subscription = async () =>
      (await fleet.session('n2')).query<{ mode: string }>(
        `select subsynccommit as mode from pg_subscription where subname = 'repctl_n2_e1'`,
      );
    expect(await subscription()).toEqual([{ mode: 'off' }]);
  });

  it('what a repctl left that was killed at the end of a copy is set back', async () => {
    const node = await fleet.session('n2');
    await node.simple('alter subscription repctl_n2_e1 set (synchronous_commit = local)');
    const left = await observe(fleet);
    expect(analyse(left, fleet.config, DEFAULT_LIMITS).findings).toMatchObject([
      { code: 'commits-locally', severity: 'info', node: 'n2', fix: 'repctl rewire n2' },
    ]);
    const steps = await runOperation(planner(false), { fleet, journal: noJournal });
    expect(steps.map(({ id }) => id)).toEqual(['sync-commit:n2']);
    expect(analyse(await observe(fleet), fleet.config, DEFAULT_LIMITS).findings).toEqual([]);
  });

  it('a crash at its very end does not take a copy back', async () => {
    const replica = await servers.superuser('n2');
    const leader = await servers.superuser('n1');
    await replica.simple(
      `create function held() returns trigger language plpgsql as 'begin perform pg_advisory_xact_lock(1); return new; end';
       create trigger held before insert on products for each row execute function held();
       alter table products enable always trigger held;
       select pg_advisory_lock(1)`,
    );
    const copying = runOperation(planner(true), { fleet, journal: noJournal }).catch(() => undefined);
    // The sync worker waits at its first row; without the apply worker it does not get beyond the copy itself.
    await expect
      .poll(() => replica.query(`select from pg_locks where locktype = 'advisory' and not granted`))
      .toHaveLength(1);
    const apply = await stopAtRest(
      replica,
      `pid = (select pid from pg_stat_subscription where relid is null)`,
    );
    await replica.simple('select pg_advisory_unlock(1)');
    await expect
      .poll(() =>
        replica.query(`select srsubstate from pg_subscription_rel where srrelid = 'products'::regclass`),
      )
      .toEqual([{ srsubstate: 'f' }]);
    // The copy is on disk; what comes after it is not, until it is flushed by whoever commits it.
    await replica.simple('drop function held cascade');
    await stopAtRest(replica, `backend_type = 'walwriter'`);
    process.kill(apply, 'SIGCONT');
    await expect
      .poll(() => leader.query(`select from pg_replication_slots where slot_name like 'pg\\_%\\_sync\\_%'`))
      .toEqual([]);
    await killNode(servers.sandbox, 'n2');
    await copying;
    await startNode(servers.sandbox, 'n2');
    const { notes } = await makePlan(fleet, planner(false));
    expect(notes.join(' ')).not.toMatch(/lost its slot/);
    await runOperation(planner(false), { fleet, journal: noJournal });
    await expectEqual(fleet, 'n1', ['n2']);
  });

  it('who waits for a copy that stands still is told, and goes on later', async () => {
    const replica = await servers.superuser('n2');
    await replica.simple('alter subscription repctl_n2_e1 disable');
    await expect
      .poll(() => replica.query('select 1 from pg_stat_subscription where pid is not null'))
      .toEqual([]);
    await replica.simple(`set session_replication_role = replica`);
    await replica.simple(`truncate products cascade`);
    await replica.simple(
      `update pg_subscription_rel set srsubstate = 'i', srsublsn = null where srrelid = 'products'::regclass`,
    );
    await replica.simple('begin; lock table products in share mode');
    await (await fleet.session('n2')).simple('alter subscription repctl_n2_e1 enable');
    const hasty = openFleet({ ...servers.config, statementTimeoutMs: 1500 });
    await expect(runOperation(planner(false), { fleet: hasty, journal: noJournal })).rejects.toMatchObject({
      code: 'copy-stalled',
      exit: 7,
    });
    await hasty.close();
    await replica.simple('commit');
    const steps = await runOperation(planner(false), { fleet, journal: noJournal });
    expect(steps[0]?.id).toBe('await-copy:n2');
    await expectEqual(fleet, 'n1', ['n2']);
  });

  it('who waits for a copy is told when the leader is gone', async () => {
    const again = runOperation(planner(true), {
      fleet,
      journal: noJournal,
      onEvent(event) {
        if (event.type === 'start' && event.step.action.kind === 'await-copy')
          void killNode(servers.sandbox, 'n1');
      },
    });
    await expect(again).rejects.toMatchObject({ exit: 7 });
  });
});
