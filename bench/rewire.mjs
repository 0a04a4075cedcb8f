// npm run bench rewire [-- --runs 3 --sizes 10000,100000,1000000 --gaps 1000,10000,100000]
// Time of `repctl rewire NODE --yes` (method mapped): a replica is stopped, a gap of transactions follows, the leader
// is killed, failover, the replica comes back; then the old leader rejoins, for the next run on the same servers. With the first gap at every size: no row is copied, so the size must not count. With
// every gap at the first size: it grows with the gap alone.
import pg from 'pg';
import { machine, options, quantile, say, sleep, spread, withSandbox } from './lib/bench.mjs';

const given = options({ runs: 3, sizes: '10000,100000,1000000', gaps: '1000,10000,100000' });
const { runs } = given;
const [sizes, gaps] = [given.sizes, given.gaps].map((list) => list.split(',').map(Number));
const count = (number) => number.toLocaleString('en-US');

const ALL = ['n1', 'n2', 'n3', 'n4'];

/** One sandbox for all runs of a size: after each, everybody follows the new leader again, and the next gap comes. */
async function ofSize(products, wanted) {
  await withSandbox(['--no-proxy', '--products', String(products)], async ({ repctl, urls }) => {
    const nodes = Object.fromEntries(
      (await urls('--superuser', '--direct')).map(({ name, url }) => [name, url]),
    );
    const must = async (args) => {
      const result = await repctl(args);
      if (result.code !== 0) throw new Error(`repctl ${args.join(' ')}: ${JSON.stringify(result.json)}`);
      return result;
    };
    let leader = 'n1';
    let turn = 0;
    for (const { gap, wall, plan } of wanted) {
      for (let run = 1; run <= runs; run += 1) {
        turn += 1;
        const mark = `GAP-${String(turn)}-`;
        const arrived = (client) =>
          client.query('select count(*)::int as count from products where sku like $1', [`${mark}%`]);
        const all = (name, patience) =>
          withClient(nodes[name], async (client) => {
            const deadline = Date.now() + patience;
            for (;;) {
              const { rows } = await arrived(client);
              if (rows[0].count === gap) return;
              if (Date.now() > deadline) throw new Error(`the gap has not arrived on ${name}`);
              await sleep(50);
            }
          });
        const late = ALL.filter((name) => name !== leader).at(-1);
        const others = ALL.filter((name) => name !== leader && name !== late);
        await must(['sandbox', 'stop', late]);
        await withClient(nodes[leader], async (client) => {
          // One transaction a row, without waiting for the disk each time.
          await client.query('set synchronous_commit = off');
          await client.query(
            `do $$ begin for i in 1..${String(gap)} loop insert into products (sku, name, price) values ('${mark}' || i, 'gap', 1); commit; end loop; end $$`,
          );
        });
        for (const name of others) await all(name, 120_000);
        await must(['sandbox', 'kill', leader]);
        // Two of four nodes answer: no majority.
        await must(['failover', '--yes', '--accept-minority', '--accept-data-loss']);
        const former = leader;
        // Three nodes are down or behind, so status does not end with 0.
        const { json: seen } = await repctl(['status']);
        if (seen.leader === null || seen.leader === former) throw new Error('no new leader');
        leader = seen.leader;
        await must(['sandbox', 'start', late]);
        const { ms, json } = await must(['rewire', late, '--yes']);
        if (!json.notes[0]?.startsWith('method: mapped')) throw new Error(json.notes.join(' '));
        await all(late, 120_000);
        wall.push(ms);
        plan.push(json.totalMs);
        say(
          `${String(run).padStart(3)}  ${count(products)} rows, gap ${count(gap)}: ${ms.toFixed(0)} ms (${late} to ${leader})`,
        );
        await must(['sandbox', 'start', former]);
        await must(['rejoin', former, '--yes']);
      }
    }
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
for (const size of sizes) {
  const wanted = cases.filter((one) => one.size === size);
  if (wanted.length > 0) await ofSize(size, wanted);
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
