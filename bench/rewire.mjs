// npm run bench rewire [-- --runs 3 --sizes 10000,100000,1000000 --gaps 1000,10000,100000]
// Time of `repctl rewire n4 --yes` (method mapped): n4 is stopped, a gap of transactions follows, n1 is killed,
// failover, n4 comes back. With the first gap at every size: no row is copied, so the size must not count. With
// every gap at the first size: it grows with the gap alone.
import pg from 'pg';
import { machine, options, quantile, say, spread, until, withSandbox } from './lib/bench.mjs';

const given = options({ runs: 3, sizes: '10000,100000,1000000', gaps: '1000,10000,100000' });
const { runs } = given;
const [sizes, gaps] = [given.sizes, given.gaps].map((list) => list.split(',').map(Number));
const count = (number) => number.toLocaleString('en-US');

async function one(products, gap) {
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
      // One transaction a row, without waiting for the disk each time.
      await client.query('set synchronous_commit = off');
      await client.query(
        `do $$ begin for i in 1..${String(gap)} loop insert into products (sku, name, price) values ('GAP-' || i, 'gap', 1); commit; end loop; end $$`,
      );
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

const cases = [
  ...sizes.map((size) => ({ size, gap: gaps[0] })),
  ...gaps.slice(1).map((gap) => ({ size: sizes[0], gap })),
].map((one) => ({ ...one, wall: [], plan: [] }));
for (let i = 1; i <= runs; i += 1)
  for (const { size, gap, wall, plan } of cases) {
    const result = await one(size, gap);
    wall.push(result.wallMs);
    plan.push(result.planMs);
    say(
      `${String(i).padStart(3)}  ${count(size)} rows, gap ${count(gap)}: ${result.wallMs.toFixed(0)} ms, tables copied ${String(result.copied)}`,
    );
  }
say(`\n${machine()}`);
for (const { size, gap, wall, plan } of cases) {
  const each = (quantile(plan, 0.5) / gap) * 10_000;
  say(
    `${count(size)} rows, gap ${count(gap)}`.padEnd(32) +
      `${spread(wall)}; operation alone ${quantile(plan, 0.5).toFixed(0)} ms, ${each.toFixed(0)} per 10,000 transactions`,
  );
}
const bySize = cases.filter(({ gap }) => gap === gaps[0]).map(({ wall }) => quantile(wall, 0.5));
say(`the slowest size ÷ the fastest: ${(Math.max(...bySize) / Math.min(...bySize)).toFixed(2)}`);
