// Other programs that compare a table of two servers: what Debian has of them, and how they are called.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';

const DEBIAN_15 = '/usr/lib/postgresql/15';
/** Its functions are compiled for Debian's server 15, so its figures are of such servers. */
export const comparatorServers = existsSync(`${DEBIAN_15}/lib/pgcmp.so`)
  ? ['--pg', '15', '--pg-bin', `${DEBIAN_15}/bin`]
  : undefined;

/** pg_comparator on `products` of two nodes' superuser URLs; passwords go by environment. */
export function comparator([one, other]) {
  const argument = (url) =>
    `pgsql://${url.username}@${url.hostname}:${url.port}${url.pathname}/products?id:attributes,created_at,currency,description,name,price,sku,stock,updated_at,version`;
  const [a, b] = [new URL(one), new URL(other)];
  return timedRun('pg_comparator', ['--env-pass=PGC_PASS', argument(a), argument(b)], {
    PGC_PASS1: decodeURIComponent(a.password),
    PGC_PASS2: decodeURIComponent(b.password),
  });
}

/** Why `pgcopydb compare data` cannot be run here; undefined when it can. */
export function withoutPgcopydb() {
  const { stdout, error } = spawnSync('pgcopydb', ['--version'], { encoding: 'utf8' });
  if (error) return 'pgcopydb is not installed (Debian: apt-get install pgcopydb)';
  const found = /version (\S+)/.exec(stdout)?.[1] ?? '?';
  const can = spawnSync('pgcopydb', ['compare', 'data', '--help']).status === 0;
  return can ? undefined : `pgcopydb ${found} has no \`compare\` (0.15 and later have)`;
}

export const pgcopydb = ([one, other]) =>
  timedRun('pgcopydb', ['compare', 'data', '--source', one, '--target', other, '--restart'], {});

function timedRun(command, args, env) {
  return new Promise((resolve, reject) => {
    const start = performance.now();
    const child = spawn(command, args, {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let text = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (chunk) => (text += chunk));
    child
      .once('error', reject)
      .once('close', (code) => resolve({ code, ms: performance.now() - start, text }));
  });
}
