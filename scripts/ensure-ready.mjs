// Makes a fresh clone ready: installs and builds what is missing or older than its sources, and nothing else.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
process.chdir(root);

const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 17)) {
  console.error(`repctl needs Node 20.17 or later; this is ${process.versions.node}.`);
  process.exit(2);
}

function run(what, command, args) {
  process.stderr.write(`▸ ${what}: ${command} ${args.join(' ')}\n`);
  const { status } = spawnSync(command, args, { stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}

const time = (file) => (existsSync(file) ? statSync(file).mtimeMs : 0);
const newest = (dir) =>
  readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce(
      (latest, entry) => Math.max(latest, time(path.join(entry.parentPath ?? entry.path, entry.name))),
      0,
    );

// npm writes this file at the end of an installation.
if (time('node_modules/.package-lock.json') < time('package-lock.json'))
  run('installing', 'npm', ['ci', '--no-audit', '--no-fund']);
if (time('dist/main.js') < Math.max(newest('src'), time('package.json')))
  run('building', process.execPath, ['scripts/build.mjs']);
