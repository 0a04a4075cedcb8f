/**
 * repctl killed after each step of a switchover and in the middle of it, while clients write: the same command ends
 * in a healthy cluster, with every acknowledged row on every node once.
 */
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import type { Fleet } from '../../../src/cluster/fleet.js';
import { observe } from '../../../src/cluster/observe.js';
import type { RepctlError } from '../../../src/errors.js';
import { factsOf, isAttached } from '../../../src/operations/facts.js';
import { runOperation } from '../../../src/operations/run.js';
import { planSwitchover } from '../../../src/operations/switchover.js';
import { noJournal } from '../../../src/plan/journal.js';
import { createCluster } from '../../support/cluster.js';
import { type CrashHarness, crashHarness } from '../../support/crash.js';
import { expectEqual } from '../../support/equality.js';
import { type Servers, startServers } from '../../support/servers.js';
import { startWriter } from '../../support/writer.js';

describe('a switchover that is killed', () => {
  let servers: Servers;
  let fleet: Fleet;
  let harness: CrashHarness;
  beforeAll(async () => {
    harness = await crashHarness();
    servers = await startServers({ nodes: 3 });
    fleet = servers.fleet();
    await createCluster(fleet);
  });
  afterAll(async () => {
    await servers.down();
    await harness.remove();
  });

  // Three nodes: fence, drain, promote, two attaches, verify, tombstone, two standby.
  const kills = [
    ...[1, 2, 3, 4, 5, 6, 7, 8, 9].map((step) => ({ step, delayMs: null })),
    ...[1, 2, 3, 4, 6].flatMap((step) =>
      [1, 4].map((unit) => ({ step, delayMs: step === 1 ? unit * 20 : unit })),
    ),
  ];

  it.each(kills)('at step $step (delay $delayMs): the same command ends it', async (kill) => {
    const nodes = servers.config.nodes.map(({ name }) => name);
    const before = factsOf(await observe(fleet), servers.config);
    const old = before.epoch?.leader ?? '';
    const target = nodes[(nodes.indexOf(old) + 1) % nodes.length] ?? '';
    const writer = startWriter(servers.config, 2);
    onTestFinished(async () => {
      await writer.stop();
    });
    await writer.moreWrites(20);
    await harness.crash({ config: servers.config, operation: 'switchover', node: target, kill });
    // Never two nodes of one epoch that take writes.
    const between = factsOf(await observe(fleet), servers.config);
    const open = between.reachable.filter((node) => node.tables.some(({ fence }) => fence !== 'enabled'));
    expect(open.length).toBeLessThanOrEqual(1);

    await runOperation(
      (snapshot) =>
        planSwitchover(snapshot, servers.config, { target, without: [], terminateBlockers: false }),
      { fleet, journal: noJournal },
    ).catch((error: unknown) => {
      // It was over before the kill.
      expect((error as RepctlError).code).toBe('target-is-leader');
    });
    await writer.moreWrites(20);
    const { acknowledged } = await writer.stop();
    await expectEqual(
      fleet,
      target,
      nodes.filter((name) => name !== target),
    );
    const after = factsOf(await observe(fleet), servers.config);
    expect(after.epoch).toMatchObject({ leader: target, epoch: (before.epoch?.epoch ?? 0) + 1 });
    for (const node of after.reachable) {
      expect(node.barriers).toEqual([]);
      expect(node.slots.filter(({ own }) => own)).toHaveLength(2);
      expect(node.subscriptions).toHaveLength(node.name === target ? 0 : 1);
      if (node.name !== target) expect(isAttached(node, after.epoch?.epoch ?? 0)).toBe(true);
    }
    const session = await fleet.session(target);
    const [row] = await session.query<{ kept: string }>(
      'select count(*) as kept from products where sku = any($1)',
      [acknowledged],
    );
    expect(Number(row?.kept)).toBe(acknowledged.length);
  });
});
