// npm run bench rejoin [-- --runs 5 --rows 1000000 --stranded 1000 --nodes 3]
// Time of `repctl rejoin n1 --yes`: --stranded rows that only n1 has, one transaction each, in a table of --rows;
// n1 was killed, n2 or another took over and changed as many rows of its own. And of the same with nothing stranded.
import pg from 'pg';
import { machine, options, say, spread, until, withSandbox } from './lib/bench.mjs';

const { runs, rows, stranded, nodes } = options({ runs: 5, rows: 1_000_000, stranded: 1000, nodes: 3 });

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

const walls = [];
const steps = new Map();
await withSandbox(
  ['--no-proxy', '--nodes', String(nodes), '--products', String(rows)],
  async ({ repctl, urls }) => {
    const url = Object.fromEntries(
      (await urls('--superuser', '--direct')).map(({ name, url }) => [name, url]),
    );
    const must = async (args) => {
      const result = await repctl(args);
      if (result.code !== 0) throw new Error(`repctl ${args.join(' ')}: ${JSON.stringify(result.json)}`);
      return result;
    };
    const count = (name, like) =>
      withClient(
        url[name],
        async (client) =>
          (await client.query('select count(*)::int as n from products where sku like $1', [like])).rows[0].n,
      );
    for (let run = 1; run <= runs; run += 1) {
      const old = (await repctl(['status'])).json.leader;
      const others = Object.keys(url).filter((name) => name !== old);
      for (const name of others) await must(['subscription', 'disable', name, '--yes']);
      await withClient(url[old], async (client) => {
        for (let i = 0; i < stranded; i += 1)
          await client.query("insert into products (sku, name, price) values ($1, 'stranded', 1)", [
            `S-${String(run)}-${String(i)}`,
          ]);
      });
      await must(['sandbox', 'kill', old]);
      await must(['failover', '--yes', '--accept-minority', '--accept-data-loss']);
      const leader = (await repctl(['status'])).json.leader;
      await withClient(url[leader], (client) =>
        client.query('update products set stock = stock + 1 where id <= $1', [stranded]),
      );
      await must(['sandbox', 'start', old]);
      const { ms, json } = await must(['rejoin', old, '--yes']);
      const saved = json.steps.find(({ id }) => id.startsWith('save-stranded:')).result;
      if (saved.rows !== stranded)
        throw new Error(`${String(saved.rows)} changes saved, not ${String(stranded)}`);
      if ((await count(old, `S-${String(run)}-%`)) !== 0) throw new Error('stranded rows are still there');
      await until('a healthy cluster', async () => (await repctl(['status'])).json.state === 'healthy');
      walls.push(ms);
      for (const step of json.steps) {
        const kind = step.id.split(':')[0];
        steps.set(kind, [...(steps.get(kind) ?? []), step.ms]);
      }
      say(
        `${String(run).padStart(3)}  ${ms.toFixed(0)} ms  ${json.steps.map(({ id, ms }) => `${id.split(':')[0]} ${String(ms)}`).join(', ')}`,
      );
    }
  },
);
say(
  `\n${machine()}; ${rows.toLocaleString('en-US')} rows, ${stranded.toLocaleString('en-US')} stranded, as many changed since`,
);
say('rejoin, Node included'.padEnd(28) + spread(walls));
for (const [kind, list] of steps) say(`  ${kind}`.padEnd(28) + spread(list));
