// npm run bench            names the benchmarks
// npm run bench all        runs them one after the other
// npm run bench NAME [-- OPTIONS]
import { spawnSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));
const names = readdirSync(here)
  .filter((file) => file.endsWith('.mjs') && file !== 'run.mjs')
  .map((file) => file.slice(0, -'.mjs'.length))
  .sort();
const [wanted, ...args] = process.argv.slice(2);

if (wanted === undefined) {
  for (const name of names) {
    const header = /^(?:\/\/ .*\n)+/.exec(readFileSync(path.join(here, `${name}.mjs`), 'utf8'))?.[0] ?? '';
    process.stdout.write(`${name}\n${header.replaceAll(/^\/\/ /gm, '  ')}\n`);
  }
  process.stdout.write('npm run bench NAME runs one, npm run bench all runs all.\n');
} else if (wanted !== 'all' && !names.includes(wanted)) {
  process.stderr.write(`There is no benchmark ${wanted}. Known: ${names.join(', ')}, all\n`);
  process.exitCode = 2;
} else {
  for (const name of wanted === 'all' ? names : [wanted]) {
    process.stdout.write(`▸ ${name}\n`);
    const { status } = spawnSync(process.execPath, [path.join(here, `${name}.mjs`), ...args], {
      stdio: 'inherit',
    });
    if (status !== 0) process.exitCode = 1;
    if (status === null || status === 130) break;
  }
}
