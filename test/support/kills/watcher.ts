/**
 * Looks at all nodes directly, every few milliseconds for as long as a run takes: which are open to writes, and of
 * which epoch. Two samples in a row that agree are taken to hold in between.
 */
import type pg from 'pg';
import { type Sandbox } from '../../../src/sandbox/sandbox.js';
import { connectTo } from './direct.js';

/** Open when at least one published table (or partition of one) has no enabled fence; `open` in words for the report. */
const SQL = `
select coalesce((select max(epoch) from repctl.epoch), 0)::int as epoch,
       coalesce((select string_agg(c.relname, ' ' order by c.relname)
          from pg_class c join pg_namespace n on n.oid = c.relnamespace
         where c.relname like 'kills%' and c.relkind in ('r', 'p')
           and not exists (select 1 from pg_trigger t where t.tgrelid = c.oid and t.tgname = 'repctl_fence'
                                                         and t.tgenabled in ('O', 'A'))), '') as open`;

/** A stretch of time in which a node was open in one epoch at every sample. */
interface Stretch {
  readonly node: string;
  readonly epoch: number;
  readonly from: number;
  to: number;
  readonly open: string;
}

export interface Watcher {
  /** Forgets what was seen. */
  reset(): void;
  /** Every pair of nodes that were open at once, in words; `sameEpoch` only those of one epoch. */
  overlaps(sameEpoch: boolean): string[];
  samples(): number;
  stop(): Promise<void>;
}

export function startWatcher(sandbox: Sandbox, everyMs = 8): Watcher {
  let stretches: Stretch[] = [];
  let count = 0;
  const state = { stopped: false };
  const loops = sandbox.nodes.map(async (node) => {
    let client: pg.Client | undefined;
    let last: Stretch | undefined;
    while (!state.stopped) {
      const asked = performance.now();
      try {
        if (client === undefined) {
          const fresh = connectTo(node.superuserUrl, 1000);
          await fresh.connect();
          client = fresh;
        }
        const sampled = (await client.query<{ epoch: number; open: string }>({ name: 'open', text: SQL }))
          .rows[0];
        count += 1;
        if (sampled === undefined || sampled.open === '' || sampled.epoch === 0) last = undefined;
        else if (last?.epoch === sampled.epoch && last.open === sampled.open && stretches.includes(last)) {
          // Certain up to when this sample was asked for.
          last.to = asked;
        } else {
          const now = performance.now();
          last = { node: node.name, epoch: sampled.epoch, open: sampled.open, from: now, to: now };
          stretches.push(last);
        }
      } catch {
        void client?.end().catch(() => undefined);
        client = undefined;
        last = undefined;
      }
      await new Promise((resolve) => setTimeout(resolve, everyMs));
    }
    await client?.end().catch(() => undefined);
  });
  return {
    reset() {
      stretches = [];
      count = 0;
    },
    overlaps(sameEpoch) {
      const found: string[] = [];
      for (const [index, a] of stretches.entries())
        for (const b of stretches.slice(index + 1)) {
          if (a.node === b.node || (sameEpoch && a.epoch !== b.epoch)) continue;
          const from = Math.max(a.from, b.from);
          const to = Math.min(a.to, b.to);
          if (to > from)
            found.push(
              `${a.node} (epoch ${String(a.epoch)}: ${a.open}) and ${b.node} (epoch ${String(b.epoch)}: ${b.open}) open at once for ${(to - from).toFixed(1)} ms`,
            );
        }
      return found;
    },
    samples: () => count,
    async stop() {
      state.stopped = true;
      await Promise.all(loops);
    },
  };
}
