// repctl check against the bare digest statement, in one run: node bench/check.mjs [products] [rounds]
// Two nodes of a sandbox of its own. The bare statement runs on both nodes at once, as check does; its time is
// the slower node's. Both take turns, so that what else the machine does falls on both.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';

const [products = 1_000_000, rounds = 5] = process.argv.slice(2).map(Number);
const program = fileURLToPath(new URL('../bin/run.js', import.meta.url));
const home = mkdtempSync(path.join(tmpdir(), 'repctl-bench-'));
execFileSync('chmod', ['711', home]);
const env = { ...process.env, XDG_STATE_HOME: path.join(home, 'state'), NO_COLOR: '1' };
const repctl = (...args) => spawnSync(process.execPath, [program, ...args], { env, encoding: 'utf8' });
const must = (...args) => {
  const result = repctl(...args);
  if (result.status !== 0) throw new Error(`repctl ${args.join(' ')}: ${result.stderr}`);
  return result.stdout;
};

const text = (column) => `(t.${column}::text) collate "C"`;
const row = [
  text('attributes'),
  'timestamptz_send(t.created_at)',
  text('currency'),
  text('description'),
  'int8send(t.id)',
  text('name'),
  'numeric_send(t.price)',
  text('sku'),
  'int8send(t.stock::int8)',
  'timestamptz_send(t.updated_at)',
  'int8send(t.version::int8)',
];
// One backend a node, as psql would do it.
const bareSql = `select count(*)::int as rows, bit_xor(hashtextextended(hash_record_extended(row(${row.join(', ')}), 0)::text, 1))::text as digest from only products t`;

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
const timed = async (work) => {
  const start = performance.now();
  await work();
  return performance.now() - start;
};
const spread = (values) =>
  `${(median(values) / 1000).toFixed(2)} s (${(Math.min(...values) / 1000).toFixed(2)} to ${(Math.max(...values) / 1000).toFixed(2)})`;

const clients = [];
try {
  must('sandbox', 'up', '--nodes', '2', '--products', String(products), '--dir', path.join(home, 'box'));
  const urls = [...must('sandbox', 'env').matchAll(/='(postgres:[^']+)'/g)].map((match) => match[1]);
  for (const url of urls) {
    const client = new pg.Client(url);
    await client.connect();
    await client.query('set jit = off; set max_parallel_workers_per_gather = 0');
    clients.push(client);
  }
  const bare = () => Promise.all(clients.map((client) => client.query(bareSql)));
  let rows = -1;
  while (rows !== products) {
    const counts = await Promise.all(
      clients.map((client) => client.query('select count(*)::int as n from products')),
    );
    rows = Math.min(...counts.map((count) => count.rows[0].n));
  }
  const checkOnce = () => must('check', '--json');
  await bare();
  const times = { bare: [], check: [], inner: [] };
  for (let round = 0; round < rounds; round += 1) {
    times.bare.push(await timed(bare));
    let result;
    times.check.push(
      await timed(() => {
        result = JSON.parse(checkOnce());
      }),
    );
    times.inner.push(result.tables[0].durationMs);
  }
  console.log(
    `${String(products)} products, 2 nodes at once, ${String(rounds)} rounds, ${String(cpus().length)} cores, Node ${process.version}`,
  );
  console.log(`bare digest, slower node   ${spread(times.bare)}`);
  console.log(
    `repctl check, process      ${spread(times.check)}   ${(median(times.check) / median(times.bare)).toFixed(2)} x`,
  );
  console.log(
    `repctl check, table alone  ${spread(times.inner)}   ${(median(times.inner) / median(times.bare)).toFixed(2)} x`,
  );
} finally {
  await Promise.all(clients.map((client) => client.end().catch(() => undefined)));
  repctl('sandbox', 'down');
  rmSync(home, { recursive: true, force: true });
}
