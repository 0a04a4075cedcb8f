/** Clients as an application has them: they write to whichever node takes it, and note what was acknowledged. */
import pg from 'pg';
import type { ClusterConfig } from '../../src/config/schema.js';

export interface WriterReport {
  readonly acknowledged: readonly string[];
  /** Between two acknowledged writes, whoever made them. */
  readonly longestGapMs: number;
}

export interface Writer {
  /** Waits until that many more writes were acknowledged. */
  moreWrites(count: number): Promise<void>;
  /** What was acknowledged so far; begins to measure gaps anew. */
  report(): WriterReport;
  stop(): Promise<WriterReport>;
}

/** Writers that go round the nodes until one takes their write. Every row has a key of its own. */
export function startWriter(config: ClusterConfig, count: number, pauseMs = 2): Writer {
  const acknowledged: string[] = [];
  const state = { stopped: false, last: performance.now(), gap: 0 };
  const run = `${String(process.pid)}-${String(Math.floor(Math.random() * 1e9))}`;
  const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
  let next = 0;
  const writers = Array.from({ length: count }, async () => {
    const clients = new Map<string, pg.Client>();
    const clientOf = async ({ name, url }: { name: string; url: string }): Promise<pg.Client> => {
      const open = clients.get(name);
      if (open !== undefined) return open;
      const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 2000 });
      client.on('error', () => clients.delete(name));
      await client.connect();
      clients.set(name, client);
      return client;
    };
    let at = 0;
    let sku = `W-${run}-${String((next += 1))}`;
    while (!state.stopped) {
      const node = config.nodes[at % config.nodes.length];
      if (node === undefined) break;
      try {
        const client = await clientOf(node);
        await client.query(`insert into products (sku, name, price) values ($1, 'w', 1)`, [sku]);
        const now = performance.now();
        state.gap = Math.max(state.gap, now - state.last);
        state.last = now;
        acknowledged.push(sku);
        sku = `W-${run}-${String((next += 1))}`;
        await sleep(pauseMs);
      } catch (error) {
        // Acknowledged on a connection that broke before the answer came: the key is there already.
        if ((error as { code?: string }).code === '23505') sku = `W-${run}-${String((next += 1))}`;
        if ((error as { code?: string }).code === undefined) clients.delete(node.name);
        at += 1;
        await sleep(2);
      }
    }
    await Promise.allSettled([...clients.values()].map((client) => client.end()));
  });
  const report = (): WriterReport => {
    const told = { acknowledged: [...acknowledged], longestGapMs: state.gap };
    state.gap = 0;
    state.last = performance.now();
    return told;
  };
  return {
    report,
    async moreWrites(more) {
      const wanted = acknowledged.length + more;
      while (acknowledged.length < wanted) await sleep(5);
    },
    async stop() {
      state.stopped = true;
      await Promise.all(writers);
      return report();
    },
  };
}
