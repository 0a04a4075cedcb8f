// npm run bench reconcile [-- --runs 5 --products 1000000]
// `repctl rewire n2 --reconcile --yes` with 0, 100 and 10,000 rows that differ, against the bare digest statement of
// the same table on both nodes at once (its time is the slower node's), in turns in one run. The step is what the
// operation's own clock says, comparing and writing apart; the process is Node's start-up, the proof of the stream
// and the standby slots too. Against it the bare writing of as many rows: deleted by key and inserted on n2, without
// reading them from the leader, keeping them or proving them; rolled back.
import pg from 'pg';
import { machine, options, quantile, say, spread, until, withSandbox } from './lib/bench.mjs';
import { BARE_DIGEST, BARE_SETTINGS } from './lib/digest.mjs';

const { runs, products } = options({ runs: 5, products: 1_000_000 });

const timed = async (work) => {
  const start = performance.now();
  await work();
  return performance.now() - start;
};

await withSandbox(
  ['--no-proxy', '--nodes', '2', '--products', String(products)],
  async ({ repctl, urls }) => {
    const clients = [];
    for (const { url } of await urls('--superuser', '--direct')) {
      const client = new pg.Client({ connectionString: url });
      await client.connect();
      await client.query(BARE_SETTINGS);
      clients.push(client);
    }
    try {
      const [, n2] = clients;
      const bare = () => Promise.all(clients.map((client) => client.query(BARE_DIGEST)));
      const digests = async () => (await bare()).map((result) => result.rows[0]);
      const equal = async () => {
        const [a, b] = await digests();
        return a.digest === b.digest && a.rows === b.rows;
      };
      const writing = async (differing) => {
        const step = Math.max(1, Math.floor(products / Math.max(1, differing)));
        await n2.query('begin; set local session_replication_role = replica');
        await n2.query(
          `create temp table again on commit drop as select * from products where id % ${String(step)} = 0 and id <= ${String(step * differing)}`,
        );
        await n2.query('analyze again');
        const ms = await timed(async () => {
          await n2.query('delete from products t using again a where t.id = a.id');
          await n2.query('insert into products overriding system value select * from again');
        });
        await n2.query('rollback');
        return ms;
      };
      await until('equality', equal, 100);
      const rows = [];
      for (const differing of [0, 100, 10_000]) {
        const times = { bare: [], rows: [], step: [], compared: [], written: [], process: [] };
        for (let run = 0; run < runs; run += 1) {
          await n2.query('set session_replication_role = replica');
          const spoiled = await n2.query(
            'update products set price = price + 1 where id % $1 = 0 and id <= $1 * $2',
            [Math.max(1, Math.floor(products / Math.max(1, differing))), differing],
          );
          await n2.query('set session_replication_role = origin');
          if (spoiled.rowCount !== differing) throw new Error(`${String(spoiled.rowCount)} rows spoiled`);
          times.bare.push(await timed(bare));
          times.rows.push(await writing(differing));
          const result = await repctl(['rewire', 'n2', '--reconcile', '--yes']);
          if (result.code !== 0) throw new Error(JSON.stringify(result.json));
          const step = result.json.steps.find(({ id }) => id === 'reconcile:n2');
          if (step.result.updated !== differing) throw new Error(JSON.stringify(step.result));
          times.step.push(step.ms);
          times.compared.push(step.result.comparedMs);
          times.written.push(step.result.writtenMs);
          times.process.push(result.ms);
          if (!(await equal())) throw new Error('not equal after reconcile');
        }
        const middle = (list) => quantile(list, 0.5);
        const times1 = (middle(times.step) / middle(times.bare)).toFixed(2);
        const without = ((middle(times.step) - middle(times.rows)) / middle(times.bare)).toFixed(2);
        rows.push(
          `${differing.toLocaleString('en-US').padStart(6)} rows differ`,
          `  bare digest       ${spread(times.bare)}`,
          `  bare writing      ${spread(times.rows)}`,
          `  step reconcile    ${spread(times.step)}   ${times1} x; ${without} x without the bare writing`,
          `    comparing       ${spread(times.compared)}`,
          `    writing         ${spread(times.written)}`,
          `  process           ${spread(times.process)}`,
        );
        say(`${String(differing)}: ${times1} x`);
      }
      say(`\n${machine()}; ${products.toLocaleString('en-US')} products on 2 nodes`);
      for (const line of rows) say(line);
    } finally {
      await Promise.all(clients.map((client) => client.end().catch(() => undefined)));
    }
  },
);
