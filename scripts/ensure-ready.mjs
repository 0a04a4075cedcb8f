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
  const start = Date.now();
  process.stderr.write(`▸ ${what}: ${[path.basename(command), ...args].join(' ')}\n`);
  // Its output is talk: stdout belongs to what is run afterwards.
  const { status, signal, error } = spawnSync(command, args, { stdio: ['ignore', 2, 2] });
  if (signal !== null && error === undefined) process.exit(130);
  if (status !== 0) {
    console.error(`✗ ${what} failed${error === undefined ? '' : `: ${error.message}`}; see above.`);
    process.exit(1);
  }
  process.stderr.write(`  done in ${((Date.now() - start) / 1000).toFixed(1)} s\n`);
}

const time = (file) => (existsSync(file) ? statSync(file).mtimeMs : 0);
// Folders too: theirs changes when a file goes away.
const newest = (dir) =>
  readdirSync(dir, { recursive: true, withFileTypes: true }).reduce(
    (latest, entry) => Math.max(latest, time(path.join(entry.parentPath ?? entry.path, entry.name))),
    time(dir),
  );

// npm writes this file at the end of an installation. --include: also where NODE_ENV=production is set.
if (time('node_modules/.package-lock.json') < time('package-lock.json'))
  run('installing', 'npm', ['ci', '--include=dev', '--include=optional', '--no-audit', '--no-fund']);

// The manifest is written last.
const built = Math.min(time('dist/main.js'), time('oclif.manifest.json'));
if (built < Math.max(newest('src'), ...['package.json', 'scripts/build.mjs', 'scripts/bundle.mjs'].map(time)))
  run('building', process.execPath, ['scripts/build.mjs']);
