// node bench/lib/writers.mjs RECORD WRITERS PAUSE_MS, with REPCTL_URL_* as the nodes: clients that go on writing.
// A line a write in RECORD (kept in memory, written twenty times a second): [n, node, acknowledged 1 | unknown 0,
// ended]. Ends when its stdin closes, as soon as everything is written down.
import { openSync, writeSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';

const [file, count, pause] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];
const nodes = Object.entries(process.env)
  .filter(([key]) => key.startsWith('REPCTL_URL_'))
  .map(([key, url]) => ({ name: key.slice('REPCTL_URL_'.length).toLowerCase(), url }))
  .sort((a, b) => a.name.localeCompare(b.name, 'en', { numeric: true }));
const clock = () => performance.timeOrigin + performance.now();
const record = openSync(file, 'a', 0o600);
let lines = [];
const flush = () => {
  if (lines.length > 0) writeSync(record, lines.splice(0).join(''));
};
setInterval(flush, 50);
let stopped = false;
process.stdin.on('end', () => (stopped = true)).resume();

async function connect(url) {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 1000, query_timeout: 2000 });
  client.on('error', () => undefined);
  try {
    await client.connect();
    return client;
  } catch {
    void client.end().catch(() => undefined);
    return undefined;
  }
}

let next = 0;
async function writer() {
  const clients = new Map();
  let turn = 0;
  let n = (next += 1);
  while (!stopped) {
    const { name, url } = nodes[turn % nodes.length];
    const client = clients.get(name) ?? (await connect(url));
    if (client === undefined) {
      turn += 1;
      await delay(2);
      continue;
    }
    if (!clients.has(name)) {
      clients.set(name, client);
      client.once('end', () => clients.delete(name));
    }
    try {
      await client.query({
        name: 'insert',
        text: `insert into public.products (sku, name, price, stock) values ($1, 'Written live', 1, 1)`,
        values: [`LIVE-${String(n).padStart(6, '0')}`],
      });
      lines.push(`${JSON.stringify([n, name, 1, clock()])}\n`);
      n = next += 1;
      if (pause > 0) await delay(pause);
    } catch (error) {
      turn += 1;
      if (error instanceof pg.DatabaseError && error.severity === 'ERROR') await delay(2);
      else {
        lines.push(`${JSON.stringify([n, name, 0, clock()])}\n`);
        n = next += 1;
        clients.delete(name);
        void client.end().catch(() => undefined);
      }
    }
  }
  await Promise.allSettled([...clients.values()].map((client) => client.end()));
}

await Promise.all(Array.from({ length: count }, writer));
flush();
process.exit();
