/**
 * The leader is killed under writers again and again while commits wait for one replica. Judged from what the
 * clients were told alone: whatever was acknowledged is on the new leader, and that nothing would be lost was said
 * before anybody was promoted.
 */
import pg from 'pg';
import { connectionOf } from '../../src/config/connection.js';
import { analyse } from '../../src/cluster/analyse.js';
import type { Snapshot } from '../../src/cluster/model.js';
import type { Fleet } from '../../src/cluster/fleet.js';
import { observe } from '../../src/cluster/observe.js';
import { lossGuarantee } from '../../src/cluster/sync.js';
import { factsOf, isAttached } from '../../src/operations/facts.js';
import { planFailover } from '../../src/operations/failover.js';
import { planRewire } from '../../src/operations/rewire.js';
import { runOperation } from '../../src/operations/run.js';
import { noJournal } from '../../src/plan/journal.js';
import { killNode, startNode } from '../../src/sandbox/sandbox.js';
import type { Servers } from './servers.js';

const WRITERS = 6;

export interface Writers {
  /** Numbers of the rows whose commit was acknowledged. */
  readonly acknowledged: ReadonlySet<number>;
  stop(): Promise<void>;
}

/** Plain clients, as an application has them: their commits wait as the server says. */
export function startWriters(servers: Servers, from: number, count = WRITERS): Writers {
  const acknowledged = new Set<number>();
  const state = { stopped: false, next: from };
  const stopped = (): boolean => state.stopped;
  const nodes = servers.config.nodes;
  const loops = Array.from({ length: count }, async (_, index) => {
    let at = index;
    while (!stopped()) {
      const client = new pg.Client({
        ...connectionOf(nodes[at % nodes.length]?.url ?? ''),
        connectionTimeoutMillis: 1000,
        application_name: 'writer',
      });
      client.on('error', () => undefined);
      try {
        await client.connect();
        for (;;) {
          if (stopped()) break;
          const id = (state.next += 1);
          await client.query('insert into products (id, sku, name, price) values ($1, $2, $3, 1)', [
            id,
            `W${String(id)}`,
            'x'.repeat(1 + (id % 300)),
          ]);
          acknowledged.add(id);
        }
      } catch {
        // Refused by the fence, gone, or unknown: a number is never used again after an unknown outcome.
        at += 1;
        await new Promise((resolve) => setTimeout(resolve, 5));
      } finally {
        await client.end().catch(() => undefined);
      }
    }
  });
  return {
    acknowledged,
    async stop() {
      state.stopped = true;
      await Promise.all(loops);
    },
  };
}

export interface KillOutcome {
  readonly killed: string;
  readonly leader: string;
  readonly acknowledged: number;
  /** Acknowledged rows that the new leader does not have. */
  readonly lost: readonly number[];
  /** What was said before the promotion. */
  readonly impossible: boolean;
  /** The notes of the failover's plan. */
  readonly notes: readonly string[];
  /** Nodes that did not follow the new leader right after the failover, the dead one aside; with what is found of them. */
  readonly detached: readonly string[];
  /** What is found once the killed node is back. */
  readonly findings: readonly string[];
}

/** One round: writers, kill -9, failover, the old leader copied anew. */
export async function killUnderLoad(
  servers: Servers,
  fleet: Fleet,
  round: number,
  afterMs: number,
): Promise<KillOutcome> {
  const before = factsOf(await observe(fleet), servers.config);
  const killed = before.epoch?.leader ?? '';
  const writers = startWriters(servers, round * 10_000_000);
  try {
    await until(() => writers.acknowledged.size > 100);
    await new Promise((resolve) => setTimeout(resolve, afterMs));
    await killNode(servers.sandbox, killed);
    // Those that were acknowledged up to here are what the dead leader promised.
    const promised = [...writers.acknowledged];
    const seen = await observe(fleet);
    const present = seen.nodes.filter((node) => node.reachable).map((node) => node.name);
    const { impossible } = lossGuarantee(seen, present);
    const request = { leaderIsDead: true, acceptMinority: false };
    const notes: string[] = [];
    await runOperation(
      (snapshot) => {
        const plan = planFailover(snapshot, servers.config, request);
        if (plan.kind === 'plan') notes.push(...plan.plan.notes);
        return plan;
      },
      { fleet, journal: noJournal },
    );
    const detached = await detachedFrom(servers, fleet, killed);
    const size = writers.acknowledged.size;
    await until(() => writers.acknowledged.size > size + 50);
    await writers.stop();
    const all = new Set([...promised, ...writers.acknowledged]);
    const leader = factsOf(await observe(fleet), servers.config).epoch?.leader ?? '';
    const session = await fleet.session(leader);
    const kept = new Set(
      (await session.query<{ id: string }>('select id from products')).map((row) => Number(row.id)),
    );
    await startNode(servers.sandbox, killed);
    await until(async () => (await observe(fleet, { nodes: [killed] })).nodes[0]?.reachable === true);
    await runOperation(
      (snapshot) =>
        planRewire(snapshot, servers.config, { node: killed, recopy: true, acceptDataLoss: true }),
      { fleet, journal: noJournal },
    );
    return {
      killed,
      leader,
      acknowledged: all.size,
      lost: [...all].filter((id) => !kept.has(id)),
      impossible,
      notes,
      detached,
      findings: findingsOf(servers, await observe(fleet)),
    };
  } finally {
    await writers.stop();
  }
}

export const findingsOf = (servers: Servers, snapshot: Snapshot): string[] =>
  analyse(snapshot, servers.config).findings.map(
    ({ severity, code, node, message }) => `${severity} ${code} ${node ?? ''}: ${message}`,
  );

/** A plain kill gives no reason to leave a replica behind. */
async function detachedFrom(servers: Servers, fleet: Fleet, killed: string): Promise<string[]> {
  const snapshot = await observe(fleet);
  const { epoch, reachable } = factsOf(snapshot, servers.config);
  const left = reachable
    .filter(({ name }) => name !== killed && name !== epoch?.leader)
    .filter((node) => !isAttached(node, epoch?.epoch ?? 0));
  return left.length === 0 ? [] : [...left.map(({ name }) => name), ...findingsOf(servers, snapshot)];
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 30_000;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error('the writers, or the old leader, do not get on');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
