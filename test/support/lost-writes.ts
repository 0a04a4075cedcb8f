/** Writers with a ledger of what was acknowledged; the leader killed under them; what is lost against what is saved. */
import { observe } from '../../src/cluster/observe.js';
import type { Fleet } from '../../src/cluster/fleet.js';
import { factsOf, subscriptionOf } from '../../src/operations/facts.js';
import { planFailover } from '../../src/operations/failover.js';
import { planRejoin } from '../../src/operations/rejoin.js';
import { runOperation } from '../../src/operations/run.js';
import { noJournal } from '../../src/plan/journal.js';
import { compareLsn } from '../../src/postgres/lsn.js';
import { readStranded } from '../../src/replication/stranded/file.js';
import { killNode, startNode } from '../../src/sandbox/sandbox.js';
import type { Servers } from './servers.js';

export interface LostWrites {
  readonly acknowledged: number;
  /** Acknowledged, and not on the new leader. */
  readonly lost: readonly string[];
  /** Inserted according to the stranded file. */
  readonly saved: readonly string[];
  /** Changes in the file that lie before the fork point which the failover announced. */
  readonly beforeFork: number;
}

/**
 * One round on a healthy cluster: `writers` insert products named by `tag`, replicas are paused one after the other,
 * the leader is killed while they write, somebody takes over, the old leader is brought back. The cluster is healthy
 * at the end.
 */
export async function loseWrites(
  servers: Servers,
  fleet: Fleet,
  {
    tag,
    directory,
    writers = 3,
    rows = 60,
  }: { tag: string; directory: string; writers?: number; rows?: number },
): Promise<LostWrites> {
  const facts = factsOf(await observe(fleet), fleet.config);
  const old = facts.leader?.name ?? '';
  const epoch = facts.epoch?.epoch ?? 0;
  const ledger = new Set<string>();
  const write = async (writer: number): Promise<void> => {
    const session = await fleet.fresh(old);
    try {
      for (let n = 0; ; n += 1) {
        const sku = `${tag}-${String(writer)}-${String(n)}`;
        await session.query(`insert into products (sku, name, price) values ($1, 'ledger', 1)`, [sku]);
        ledger.add(sku);
      }
    } catch {
      // Killed: what was not answered is not in the ledger.
    } finally {
      await session.close();
    }
  };
  const writing = Promise.all(Array.from({ length: writers }, (_, i) => write(i)));
  const reach = async (count: number) => {
    while (ledger.size < count) await new Promise((resolve) => setTimeout(resolve, 5));
  };
  await reach(rows / 3);
  for (const node of facts.reachable) {
    const own = subscriptionOf(node, epoch);
    if (own !== undefined && node.name !== old)
      await (await fleet.session(node.name)).simple(`alter subscription ${own.name} disable`);
  }
  await reach(ledger.size + rows);
  await killNode(servers.sandbox, old);
  await writing;
  await runOperation(
    (snapshot) =>
      planFailover(snapshot, fleet.config, {
        leaderIsDead: true,
        acceptMinority: true,
        acceptDataLoss: true,
      }),
    { fleet, journal: noJournal },
  );
  const after = factsOf(await observe(fleet), fleet.config);
  const leader = await fleet.session(after.leader?.name ?? '');
  const there = await leader.query<{ sku: string }>(`select sku from products where sku like $1`, [
    `${tag}-%`,
  ]);
  const kept = new Set(there.map(({ sku }) => sku));
  await startNode(servers.sandbox, old);
  const steps = await runOperation(
    (snapshot) =>
      planRejoin(snapshot, fleet.config, {
        node: old,
        directory,
        replay: false,
        fenceTimeoutMs: 5000,
        terminateBlockers: false,
      }),
    { fleet, journal: noJournal, stateDir: directory },
  );
  const file = steps.find(({ id }) => id.startsWith('save-stranded:'))?.result?.['file'];
  const saved: string[] = [];
  let beforeFork = 0;
  if (typeof file === 'string')
    await readStranded(file, (line) => {
      if (line.table === 'products') saved.push(line.row?.['sku'] ?? '');
      if (compareLsn(line.lsn, after.epoch?.forkPoint ?? '0/0') < 0) beforeFork += 1;
    });
  return {
    acknowledged: ledger.size,
    lost: [...ledger].filter((sku) => !kept.has(sku)).toSorted(),
    // A write that was committed and not answered before the kill is saved too, but nobody was promised it.
    saved: saved.filter((sku) => ledger.has(sku)).toSorted(),
    beforeFork,
  };
}
