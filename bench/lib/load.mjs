// Clients that change products one row at a time: at a given rate, whatever the answers take (latency counts from when
// a write was due), or each as fast as it is answered.
import pg from 'pg';
import { clock, quantile, sleep } from './bench.mjs';

/** `perSecond` 0: as fast as answered. Ends with stop(), which gives { perSecond, p50, p99 } of the time since `mark()`. */
export async function startLoad(url, { perSecond = 0, clients = 4, products }) {
  const pool = new pg.Pool({ connectionString: url, max: clients });
  await Promise.all(Array.from({ length: clients }, () => pool.query('select 1')));
  let took = [];
  let since = clock();
  let stopped = false;
  const write = async (due) => {
    const id = 1 + Math.floor(Math.random() * products);
    await pool.query({
      name: 'load',
      text: 'update products set stock = stock + 1 where id = $1',
      values: [id],
    });
    took.push(clock() - due);
  };
  const lanes = perSecond > 0 ? [paced()] : Array.from({ length: clients }, busy);
  async function busy() {
    while (!stopped) await write(clock());
  }
  async function paced() {
    const begin = clock();
    const open = new Set();
    for (let n = 0; !stopped; n += 1) {
      const due = begin + (n * 1000) / perSecond;
      if (due > clock()) await sleep(due - clock());
      const one = write(due).finally(() => open.delete(one));
      open.add(one);
    }
    await Promise.all(open);
  }
  return {
    mark() {
      took = [];
      since = clock();
    },
    figures: () => ({
      perSecond: (took.length * 1000) / (clock() - since),
      p50: quantile(took, 0.5),
      p99: quantile(took, 0.99),
    }),
    async stop() {
      stopped = true;
      await Promise.all(lanes);
      await pool.end();
    },
  };
}
