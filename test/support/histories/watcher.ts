/** Looks at every node all the time, past the proxy: who believes to lead, and who takes writes. */
import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import type { Stage } from './stage.js';

export interface Watcher {
  /** The leader of the highest epoch that any node was seen to have. */
  leader(): string | undefined;
  formerLeader(): string | undefined;
  epoch(): number;
  readonly violations: string[];
  /** Whether a parallel apply worker (16 and later) was at work anywhere. */
  parallel(): boolean;
  readonly samples: { count: number };
  stop(): Promise<void>;
}

const SAMPLE_SQL = `
select (select name from repctl.node) as node,
       (select coalesce(json_agg(json_build_array(epoch, leader) order by epoch desc), '[]') from repctl.epoch) as epochs,
       (select coalesce(json_agg(tgrelid::regclass::text order by 1), '[]') from pg_trigger
         where tgname = 'repctl_fence' and tgenabled in ('D', 'R')) as open,
       exists (select from pg_stat_activity where backend_type = 'logical replication parallel worker') as parallel`;

interface Sample {
  node: string | null;
  epochs: [number, string][];
  open: string[];
  parallel: boolean;
}

/**
 * One node of an epoch takes writes, if any: a node whose fence is open names itself as the leader of the newest
 * epoch it knows, and all nodes agree who leads an epoch. Both are seen in one statement's snapshot, so no moment of
 * another node has to be compared with it.
 */
export function startWatcher(stage: Stage, nodes: readonly string[]): Watcher {
  const leaders = new Map<number, string>();
  const violations = new Set<string>();
  const samples = { count: 0, parallel: false };
  const state = { stopping: false };

  const judge = (name: string, { epochs, open, parallel }: Sample): void => {
    samples.count += 1;
    samples.parallel ||= parallel;
    for (const [epoch, leader] of epochs) {
      const known = leaders.get(epoch);
      if (known === undefined) leaders.set(epoch, leader);
      else if (known !== leader)
        violations.add(`split: epoch ${String(epoch)} is led by ${known} and, says ${name}, by ${leader}`);
    }
    const newest = epochs[0];
    if (open.length > 0 && newest !== undefined && newest[1] !== name)
      violations.add(
        `split: ${name} takes writes to ${open.join(', ')} in epoch ${String(newest[0])}, which ${newest[1]} leads`,
      );
  };

  const watch = async (name: string): Promise<void> => {
    let client: pg.Client | undefined;
    while (!state.stopping) {
      try {
        client ??= await stage.superuserClient(name);
        const { rows } = await within(client.query<Sample>({ name: 'sample', text: SAMPLE_SQL }), 3000);
        if (rows[0]) judge(name, rows[0]);
        await delay(40);
      } catch {
        // Killed, frozen, or without schema repctl for the moment.
        drop(client);
        client = undefined;
        await delay(25);
      }
    }
    drop(client);
  };
  const watching = Promise.all(nodes.map(watch));
  const epoch = (): number => Math.max(0, ...leaders.keys());
  return {
    leader: () => leaders.get(epoch()),
    formerLeader: () => leaders.get([...leaders.keys()].toSorted((a, b) => b - a)[1] ?? 0),
    epoch,
    parallel: () => samples.parallel,
    get violations() {
      return [...violations];
    },
    samples,
    async stop() {
      state.stopping = true;
      await watching;
    },
  };
}

function drop(client: pg.Client | undefined): void {
  void client?.end().catch(() => undefined);
  (
    client as unknown as { connection?: { stream?: { destroy(): void } } } | undefined
  )?.connection?.stream?.destroy();
}

/** Rejects when there is no answer in time: a frozen server gives none. */
export function within<T>(promise: Promise<T>, ms: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  promise.catch(() => undefined);
  return Promise.race([
    promise,
    new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        reject(new Error(`no answer within ${String(ms)} ms`));
      }, ms);
    }),
  ]).finally(() => {
    clearTimeout(timer);
  });
}
