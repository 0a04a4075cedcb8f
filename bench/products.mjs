// product get and create beside bare pg doing the same, in one run: node bench/products.mjs [RUNS]
// Each run is a process of its own, as a shell script would start it; needs a cluster (repctl sandbox up --products 100)
// whose URLs are in the environment: eval "$(repctl sandbox env)".
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const runs = Number(process.argv[2] ?? 20);
const program = fileURLToPath(new URL('../bin/run.js', import.meta.url));
const [leader, replica] = [process.env.REPCTL_URL_N1, process.env.REPCTL_URL_N2];
if (!leader || !replica) {
  console.error('REPCTL_URL_N1 and _N2 are missing: eval "$(repctl sandbox env)"');
  process.exit(2);
}
const env = { ...process.env };
// Costs Node 20 about 50 ms a start where it is set.
delete env.NODE_EXTRA_CA_CERTS;
const bare = (url, sql) => [
  '--input-type=module',
  '-e',
  `import pg from 'pg'; const c = new pg.Client(${JSON.stringify(url)}); await c.connect(); await c.query(${JSON.stringify(sql)}); await c.end();`,
];
const tag = `B${process.pid}`;
const cases = {
  'node -e 0': () => ['-e', '0'],
  'bare pg: select': () => bare(replica, `select * from products where sku = '${tag}-p0'`),
  'product get': () => [program, 'product', 'get', `${tag}-0`],
  'bare pg: insert': (n) =>
    bare(leader, `insert into products (sku, name, price) values ('${tag}-p${n}', 'x', 1)`),
  'product create': (n) => [program, 'product', 'create', `${tag}-${n + 1}`, '--name', 'x', '--price', '1'],
};
spawnSync(process.execPath, [program, 'product', 'create', `${tag}-0`, '--name', 'x', '--price', '1'], {
  env,
});
const times = Object.fromEntries(Object.keys(cases).map((name) => [name, []]));
// In turn, so that whatever else this machine does falls on all alike.
for (let n = 0; n < runs; n += 1) {
  for (const [name, args] of Object.entries(cases)) {
    const start = performance.now();
    const { status, stderr } = spawnSync(process.execPath, args(n), {
      env,
      cwd: fileURLToPath(new URL('..', import.meta.url)),
    });
    if (status !== 0) throw new Error(`${name}: exit ${status}: ${stderr}`);
    times[name].push(performance.now() - start);
  }
}
for (const [name, all] of Object.entries(times)) {
  const sorted = all.toSorted((a, b) => a - b);
  const at = (part) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))];
  const ms = (value) => value.toFixed(0).padStart(5);
  console.log(
    `${name.padEnd(16)} median ${ms(at(0.5))} ms   min ${ms(at(0))}   p90 ${ms(at(0.9))}   max ${ms(at(1))}   ${(1000 / at(0.5)).toFixed(1)} per second`,
  );
}
