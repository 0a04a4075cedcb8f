/**
 * A client that goes on writing, a process of its own: numbered rows through bare pg to whichever node takes
 * writes. Every answer is written down before the next row is sent.
 *
 *   node dist/demo/writer.js RECORD [PAUSE_MS]
 *
 * The nodes are those of the REPCTL_URL_* variables. It ends when its stdin closes: also when the process that
 * started it is gone. Ctrl-C is left to that one.
 */
import { openSync, writeSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { type Write, clock, skuOf } from './ledger.js';

const INSERT = 'insert into public.products (sku, name, price, stock) values ($1, $2, $3, 1)';
/** Between two tries when no node takes the write. */
const RETRY_MS = 2;
/** A node that says nothing for so long is given up; whether it took the row is then unknown. */
const ANSWER_MS = 2000;

async function main(): Promise<void> {
  const [file = '', pauseText = '5'] = process.argv.slice(2);
  const record = openSync(file, 'a', 0o600);
  const nodes = Object.entries(process.env)
    .filter((entry): entry is [string, string] => entry[0].startsWith('REPCTL_URL_'))
    .map(([key, url]) => ({ name: key.slice('REPCTL_URL_'.length).toLowerCase(), url }))
    .sort((a, b) => a.name.localeCompare(b.name, 'en', { numeric: true }));
  const clients = new Map<string, pg.Client>();
  const stop = new AbortController();
  process.on('SIGINT', () => undefined);
  process.stdin
    .on('end', () => {
      stop.abort();
    })
    .resume();

  let turn = 0;
  let n = 1;
  while (!stop.signal.aborted && nodes.length > 0) {
    const node = nodes[turn % nodes.length];
    if (node === undefined) break;
    const client = clients.get(node.name) ?? (await connect(node.url));
    if (client === undefined) {
      turn += 1;
      await delay(RETRY_MS);
      continue;
    }
    if (!clients.has(node.name)) {
      clients.set(node.name, client);
      // A connection that breaks between two rows takes none with it.
      client.once('end', () => clients.delete(node.name));
    }
    const sentAt = clock();
    const result = await insert(client, n);
    if (result === 'refused') {
      turn += 1;
      await delay(RETRY_MS);
      continue;
    }
    const write: Write = { n, node: node.name, sentAt, endedAt: clock(), result };
    writeSync(record, `${JSON.stringify(write)}\n`);
    n += 1; // never the same row again: one whose answer was lost may be there
    if (result === 'unknown') {
      clients.delete(node.name);
      void client.end().catch(() => undefined);
      turn += 1;
    } else await delay(Number(pauseText));
  }
  await Promise.allSettled([...clients.values()].map((client) => client.end()));
}

async function connect(url: string): Promise<pg.Client | undefined> {
  const client = new pg.Client({
    connectionString: url,
    application_name: 'writer',
    connectionTimeoutMillis: 1000,
    query_timeout: ANSWER_MS,
  });
  client.on('error', () => undefined);
  try {
    await client.connect();
    return client;
  } catch {
    void client.end().catch(() => undefined);
    return undefined;
  }
}

/** `refused`: the server said no (the fence: this node does not take writes), so the row is not there. */
async function insert(client: pg.Client, n: number): Promise<Write['result'] | 'refused'> {
  try {
    await client.query(INSERT, [skuOf(n), `Written live, row ${String(n)}`, (n % 9000) / 100]);
    return 'acknowledged';
  } catch (error) {
    // FATAL (57P01: shutting down) may come after the commit; ERROR is the statement's own.
    return error instanceof pg.DatabaseError && error.severity === 'ERROR' ? 'refused' : 'unknown';
  }
}

await main();
process.exit();
