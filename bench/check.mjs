// npm run bench check [-- --products 1000000,3000000 --rounds 5 --only bare,writes,differing,nodes,writer]
// `repctl check` of two nodes, start-up included, in turns with what it is measured against (medians):
//   bare       the bare digest statement on both nodes at once (the slower node's time), pg_comparator, pgcopydb;
//              and how each ends when one row differs
//   writes     under 300 updates a second against without
//   differing  10 and 10,000 rows that differ
//   nodes      four nodes at once against two of them
//   writer     what writers notice of it: writes a second and their p99, without it, with it, with --max-rate
// All but `bare` have the first number of products. Under 15, so that pg_comparator's functions fit, `bare` is measured
// once more with it.
import pg from 'pg';
import { clock, machine, options, quantile, say, sleep, until, withSandbox } from './lib/bench.mjs';
import { BARE_DIGEST, BARE_SETTINGS } from './lib/digest.mjs';
import { startLoad } from './lib/load.mjs';
import { comparator, comparatorServers, pgcopydb, withoutPgcopydb } from './lib/peers.mjs';

const given = options({ products: '1000000,3000000', rounds: 5, only: 'bare,writes,differing,nodes,writer' });
const { rounds } = given;
const sizes = String(given.products).split(',').map(Number);
const wanted = given.only.split(',');
const [products] = sizes;

const median = (values) => quantile(values, 0.5);
const told = (values) =>
  `${(median(values) / 1000).toFixed(2)} s (${(Math.min(...values) / 1000).toFixed(2)} to ${(Math.max(...values) / 1000).toFixed(2)})`;
const line = (name, values, base) =>
  say(
    `  ${name.padEnd(42)} ${told(values)}${base ? `   ${(median(values) / median(base)).toFixed(2)} x` : ''}`,
  );
const timed = async (work) => {
  const start = clock();
  await work();
  return clock() - start;
};

/** Nodes with as many products each, a client of each, and `check(...)`, which throws unless it ends as expected. */
async function withNodes(count, { size = products, up = [] }, work) {
  const args = ['--no-proxy', '--nodes', String(count), '--products', String(size), ...up];
  await withSandbox(args, async ({ repctl, urls }) => {
    const roots = (await urls('--superuser', '--direct')).map(({ url }) => url);
    const everyday = (await urls('--direct')).map(({ url }) => url);
    const clients = roots.map((connectionString) => new pg.Client({ connectionString }));
    try {
      for (const client of clients) {
        await client.connect();
        await client.query(BARE_SETTINGS);
        await until('the rows', async () => {
          const { rows } = await client.query('select count(*)::int as n from products');
          return rows[0].n === size;
        });
        await client.query('vacuum analyze products');
      }
      const check = async (flags = [], code = 0) => {
        const result = await repctl(['check', ...flags]);
        if (result.code !== code)
          throw new Error(`check ended with ${String(result.code)}: ${JSON.stringify(result.json)}`);
        return result;
      };
      // As psql would: a connection of its own each time, whose backend has to map the table's pages anew.
      const bare = () =>
        Promise.all(
          roots.map(async (connectionString) => {
            const client = new pg.Client({ connectionString });
            await client.connect();
            await client.query(BARE_SETTINGS);
            await client.query(BARE_DIGEST);
            await client.end();
          }),
        );
      await work({ roots, everyday, clients, check, bare });
    } finally {
      await Promise.all(clients.map((client) => client.end()));
    }
  });
}

/** Changes rows of one node alone, as nobody should. */
async function spoil(client, ids) {
  await client.query('set session_replication_role = replica');
  await client.query('update products set stock = stock + 1 where id = any($1)', [ids]);
  await client.query('reset session_replication_role');
}

async function againstBare(size, up, peers) {
  await withNodes(2, { size, up }, async ({ roots, clients, check, bare }) => {
    const { rows } = await clients[0].query('show server_version');
    say(`\n${String(size)} products, 2 nodes of ${rows[0].server_version}`);
    if (peers.comparator) for (const client of clients) await client.query('create extension pgcmp');
    const compared = {
      ...(peers.comparator ? { pg_comparator: () => comparator(roots) } : {}),
      ...(peers.pgcopydb ? { pgcopydb: () => pgcopydb(roots) } : {}),
    };
    await bare();
    const times = { bare: [], check: [], inner: [] };
    const others = Object.fromEntries(Object.keys(compared).map((name) => [name, []]));
    for (let round = 0; round < rounds; round += 1) {
      times.bare.push(await timed(bare));
      const { ms, json } = await check();
      times.check.push(ms);
      times.inner.push(json.tables[0].durationMs);
      for (const [name, run] of Object.entries(compared)) {
        const { ms, code, text } = await run();
        if (code !== 0) throw new Error(`${name} ended with ${String(code)}: ${text}`);
        others[name].push(ms);
      }
    }
    line('bare digest, slower node', times.bare);
    line('repctl check', times.check, times.bare);
    line('  of which the table', times.inner, times.bare);
    for (const [name, values] of Object.entries(others)) line(name, values, times.bare);
    await spoil(clients[1], [Math.floor(size / 2)]);
    const ends = [`repctl check ${String((await check([], 5)).code)}`];
    for (const [name, run] of Object.entries(compared)) ends.push(`${name} ${String((await run()).code)}`);
    say(`  exit code when one row differs: ${ends.join(', ')}`);
  });
}

const sections = {
  async bare() {
    const missing = withoutPgcopydb();
    for (const size of sizes) await againstBare(size, [], { pgcopydb: missing === undefined });
    if (missing) say(`\npgcopydb skipped: ${missing}`);
    if (comparatorServers)
      for (const size of sizes) await againstBare(size, comparatorServers, { comparator: true });
    else
      say(
        '\npg_comparator skipped: not installed (Debian: apt-get install postgresql-15 postgresql-comparator)',
      );
  },
  async writes() {
    await withNodes(2, {}, async ({ everyday, check }) => {
      const [quiet, busy] = [[], []];
      const rates = [];
      await check();
      for (let round = 0; round < rounds; round += 1) {
        quiet.push((await check()).ms);
        const load = await startLoad(everyday[0], { perSecond: 300, products });
        await sleep(300);
        load.mark();
        busy.push((await check()).ms);
        rates.push(load.figures().perSecond);
        await load.stop();
      }
      say(`\n${String(products)} products, 2 nodes, under ${median(rates).toFixed(0)} updates a second`);
      line('check, no writes', quiet);
      line('check, under writes', busy, quiet);
    });
  },
  async differing() {
    await withNodes(2, {}, async ({ clients, check }) => {
      say(`\n${String(products)} products, 2 nodes, rows that differ`);
      const equal = [];
      for (let round = 0; round < rounds; round += 1) equal.push((await check()).ms);
      line('check, equal', equal);
      let spoiled = 0;
      for (const count of [10, 10_000]) {
        const step = Math.floor(products / count);
        const ids = Array.from({ length: count }, (_, index) => 1 + index * step);
        await spoil(
          clients[1],
          ids.filter((id) => count === 10 || (id - 1) % Math.floor(products / 10) !== 0),
        );
        spoiled = count;
        const times = [];
        for (let round = 0; round < rounds; round += 1) {
          const { ms, json } = await check([], 5);
          const found = json.tables[0].nodes[0].proven ?? json.tables[0].nodes[0].differing;
          if (found !== spoiled)
            throw new Error(`${String(found)} found: ${JSON.stringify(json.tables[0]).slice(0, 600)}`);
          times.push(ms);
        }
        line(`check, ${String(count)} differ`, times, equal);
      }
    });
  },
  async nodes() {
    await withNodes(4, {}, async ({ clients, check, bare }) => {
      say(`\n${String(products)} products, four nodes at once`);
      const two = () => Promise.all(clients.slice(0, 2).map((client) => client.query(BARE_DIGEST)));
      await bare();
      const times = { bare2: [], bare4: [], check2: [], check4: [] };
      for (let round = 0; round < rounds; round += 1) {
        times.bare2.push(await timed(two));
        times.bare4.push(await timed(bare));
        times.check2.push((await check(['--node', 'n2'])).ms);
        times.check4.push((await check()).ms);
      }
      line('bare digest, two', times.bare2);
      line('check, two', times.check2, times.bare2);
      line('bare digest, four', times.bare4);
      line('check, four', times.check4, times.bare4);
      line('check, four, against check of two', times.check4, times.check2);
    });
  },
  async writer() {
    await withNodes(2, {}, async ({ everyday, check }) => {
      say(`\n${String(products)} products, 2 nodes: two clients that update as fast as they are answered`);
      const ways = {
        'no check': undefined,
        check: [],
        'check --max-rate 50000rows': ['--max-rate', '50000rows'],
      };
      const seen = Object.fromEntries(Object.keys(ways).map((name) => [name, []]));
      const load = await startLoad(everyday[0], { clients: 2, products });
      await sleep(1000);
      for (let round = 0; round < rounds; round += 1)
        for (const [name, flags] of Object.entries(ways)) {
          load.mark();
          const took = await timed(() => (flags ? check(flags) : sleep(3000)));
          seen[name].push({ ...load.figures(), took });
        }
      await load.stop();
      for (const [name, figures] of Object.entries(seen)) {
        const of = (key) => median(figures.map((one) => one[key]));
        say(
          `  ${name.padEnd(30)} ${of('perSecond').toFixed(0).padStart(5)} writes/s, p50 ${of('p50').toFixed(2)} ms, p99 ${of('p99').toFixed(2)} ms; it took ${(of('took') / 1000).toFixed(1)} s`,
        );
      }
    });
  },
};

const unknown = wanted.filter((name) => !(name in sections));
if (unknown.length > 0) {
  process.stderr.write(
    `There is no part ${unknown.join(', ')}. Known: ${Object.keys(sections).join(', ')}\n`,
  );
  process.exitCode = 2;
} else {
  say(`medians of ${String(rounds)} rounds (least to most); ${machine()}`);
  for (const name of wanted) await sections[name]();
}
