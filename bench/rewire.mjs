// npm run bench rewire [-- --runs 3 --small 10000 --large 1000000 --gap 1000]
// Time of `repctl rewire n4 --yes` (method mapped) with few and with many rows, and the same gap: n4 is stopped,
// --gap transactions follow, n1 is killed, failover, n4 comes back. No row is copied, so the size must not count.
import pg from 'pg';
import { machine, options, say, spread, until, withSandbox } from './lib/bench.mjs';

const { runs, small, large, gap } = options({ runs: 3, small: 10_000, large: 1_000_000, gap: 1000 });

async function one(products) {
  return withSandbox(['--no-proxy', '--products', String(products)], async ({ repctl, urls }) => {
    const nodes = Object.fromEntries(
      (await urls('--superuser', '--direct')).map(({ name, url }) => [name, url]),
    );
    const must = async (args) => {
      const result = await repctl(args);
      if (result.code !== 0) throw new Error(`repctl ${args.join(' ')}: ${JSON.stringify(result.json)}`);
      return result;
    };
    await must(['sandbox', 'stop', 'n4']);
    await withClient(nodes.n1, async (client) => {
      for (let i = 0; i < gap; i += 1)
        await client.query("insert into products (sku, name, price) values ($1, 'gap', 1)", [
          `GAP-${String(i)}`,
        ]);
    });
    for (const name of ['n2', 'n3'])
      await withClient(nodes[name], (client) =>
        until(
          `the gap on ${name}`,
          async () => {
            const { rows } = await client.query(
              "select count(*)::int as count from products where sku like 'GAP-%'",
            );
            return rows[0].count === gap;
          },
          50,
        ),
      );
    await must(['sandbox', 'kill', 'n1']);
    // Two of four nodes answer: no majority.
    await must(['failover', '--yes', '--accept-minority']);
    await must(['sandbox', 'start', 'n4']);
    const { ms, json } = await must(['rewire', 'n4', '--yes']);
    const { rows, copied } = await withClient(nodes.n4, async (client) => {
      const count = 'select count(*)::int as count from products';
      await until(
        'equality',
        async () => (await client.query(`${count} where sku like 'GAP-%'`)).rows[0].count === gap,
      );
      const tables = await client.query(
        'select count(*)::int as count from pg_subscription_rel where srsublsn is not null',
      );
      return { rows: (await client.query(count)).rows[0].count, copied: tables.rows[0].count };
    });
    if (rows !== products + gap)
      throw new Error(`n4 has ${String(rows)} rows, not ${String(products + gap)}`);
    return { wallMs: ms, planMs: json.totalMs, copied };
  });
}

async function withClient(url, work) {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

const results = new Map([
  [small, []],
  [large, []],
]);
for (let i = 1; i <= runs; i += 1)
  for (const [products, list] of results) {
    const result = await one(products);
    list.push(result);
    say(
      `${String(i).padStart(3)}  ${products.toLocaleString('en-US')} rows: ${result.wallMs.toFixed(0)} ms, tables copied ${String(result.copied)}`,
    );
  }
say(`\n${machine()}; gap of ${gap.toLocaleString('en-US')} transactions`);
for (const [products, list] of results) {
  const wall = list.map((result) => result.wallMs);
  say(`rewire at ${products.toLocaleString('en-US')} rows`.padEnd(28) + spread(wall));
}
