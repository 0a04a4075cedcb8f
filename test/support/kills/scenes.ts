/** The operations that are struck, each with how the cluster is brought to where it begins. */
import { killNode, startNode } from '../../../src/sandbox/sandbox.js';
import { until } from '../wait.js';
import type { Ledger } from './ledger.js';
import type { Outcome } from './operator.js';
import type { Rig } from './rig.js';

export const OPERATIONS = ['switchover', 'failover', 'mapped', 'reconcile', 'recopy', 'rejoin'] as const;
export type Operation = (typeof OPERATIONS)[number];

export interface Scene {
  readonly argv: readonly string[];
  /** Leads when the operation begins: dead in a failover, the new one in a rejoin. */
  readonly leader: string;
  /** The node that the operation is about: the next leader, or who is attached. */
  readonly target: string;
  /** A bystander. */
  readonly sibling: string;
  /** Down when the operation begins. */
  readonly down: readonly string[];
}

/** `pick` chooses one of a list, the same for the same cell. */
export type Pick = <T>(of: readonly T[]) => T;

async function must(outcome: Outcome): Promise<Outcome> {
  if (outcome.code === 0) return Promise.resolve(outcome);
  throw new Error(
    `while preparing, repctl ${outcome.argv.join(' ')} ended with ${String(outcome.code)}: ${outcome.stdout} ${outcome.stderr}`,
  );
}

/** Rows that only the leader has, acknowledged to clients; then it is killed. */
async function killWithStranded(rig: Rig, ledger: Ledger, leader: string): Promise<void> {
  const others = rig.names.filter((name) => name !== leader);
  for (const other of others) await rig.link(leader, other, 'reset');
  const before = ledger.acknowledged.length;
  await until(
    () => Promise.resolve(ledger.acknowledged.length),
    (count) => count >= before + 8,
    5000,
  );
  await killNode(rig.servers.sandbox, leader);
  for (const other of others) await rig.link(leader, other, 'open');
}

export async function prepare(operation: Operation, rig: Rig, ledger: Ledger, pick: Pick): Promise<Scene> {
  const { sandbox } = rig.servers;
  const leader = await rig.leader();
  const others = rig.names.filter((name) => name !== leader);
  const target = pick(others);
  const rest = others.filter((name) => name !== target);
  const sibling = pick(rest);
  switch (operation) {
    case 'switchover':
      return { argv: ['switchover', target, '--yes'], leader, target, sibling, down: [] };
    case 'failover':
      if (pick([true, false])) await killWithStranded(rig, ledger, leader);
      else await killNode(sandbox, leader);
      return { argv: ['failover', '--yes'], leader, target, sibling, down: [leader] };
    case 'mapped': {
      // Down while the leader changes: what it missed is mapped when it is back.
      await killNode(sandbox, target);
      await killNode(sandbox, leader);
      await must(await rig.repctl('failover', '--yes', '--accept-minority'));
      await startNode(sandbox, target);
      const now = await rig.leader();
      const bystander = rest.find((name) => name !== now) ?? '';
      return { argv: ['rewire', target, '--yes'], leader: now, target, sibling: bystander, down: [leader] };
    }
    case 'reconcile': {
      // Its subscription and its slot are gone, and some of its rows are not what they should be.
      await rig.direct.need(
        target,
        `do $$ declare s text; begin
           for s in select subname from pg_subscription where subname like 'repctl%' loop
             execute format('alter subscription %I disable', s);
             execute format('alter subscription %I set (slot_name = none)', s);
           end loop; end $$`,
      );
      const [subscription] = await rig.direct.need<{ subname: string }>(
        target,
        `select subname from pg_subscription where subname like 'repctl%'`,
      );
      await rig.direct.need(target, `drop subscription ${subscription?.subname ?? ''}`);
      await until(
        async () =>
          rig.direct.rows<{ active: boolean }>(
            leader,
            `select active from pg_replication_slots where slot_name = 'repctl_${target}'`,
          ),
        (rows) => rows?.[0]?.active === false,
        10_000,
      );
      await rig.direct.need(leader, `select pg_drop_replication_slot('repctl_${target}')`);
      await rig.direct.need(
        target,
        `begin; set local session_replication_role = replica;
         delete from kills_row where id in (select id from kills_row order by id desc limit 20);
         update kills_row set node = 'wrong' where id in (select id from kills_row order by id desc limit 20); commit`,
      );
      return { argv: ['rewire', target, '--yes'], leader, target, sibling, down: [] };
    }
    case 'recopy':
      return {
        argv: ['rewire', target, '--recopy', '--yes'],
        leader,
        target,
        sibling,
        down: [],
      };
    case 'rejoin': {
      await killWithStranded(rig, ledger, leader);
      await must(await rig.repctl('failover', '--yes'));
      await startNode(sandbox, leader);
      const now = await rig.leader();
      const bystander = others.find((name) => name !== now) ?? '';
      return { argv: ['rejoin', leader, '--yes'], leader: now, target: leader, sibling: bystander, down: [] };
    }
  }
}
