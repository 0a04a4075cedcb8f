// npm test: types, lint, format, then unit, integration and end-to-end tests; ends with "N passed, N failed".
// npm test -- unit (or integration, e2e, part of a file's path) runs that part alone.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';

const wanted = process.argv.slice(2);
const kinds = ['unit', 'integration', 'e2e'];
const projects = kinds.filter((kind) => wanted.includes(kind));
const filters = wanted.filter((word) => !kinds.includes(word));
const scratch = path.resolve('.tmp', `test-${process.pid}`);

const seconds = (since) => `${((Date.now() - since) / 1000).toFixed(1)} s`;
const began = Date.now();
const lines = [];
// Told at the end, where it is found however long the output was.
const failures = [];
let passed = 0;
let failed = 0;
let skipped = 0;

/** Runs a step with its output shown; true when it went well. Ctrl-C ends everything. */
function step(name, args) {
  const start = Date.now();
  process.stdout.write(`▸ ${name}\n`);
  const { status, signal } = spawnSync(process.execPath, args, { stdio: ['ignore', 'inherit', 'inherit'] });
  if (signal !== null || status === 130) {
    rmSync(scratch, { recursive: true, force: true });
    process.stdout.write(`\n${name} was interrupted\n`);
    process.exit(130);
  }
  return { ok: status === 0, took: seconds(start) };
}

/** Like a step, beside others: what it says is shown when it is over. */
async function check(name, args) {
  const start = Date.now();
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const said = [];
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => said.push(chunk));
  const [status] = await once(child, 'close');
  process.stdout.write(`▸ ${name}\n${Buffer.concat(said).toString()}`);
  if (status === 0) passed += 1;
  else failed += 1;
  lines.push(`  ${name.padEnd(12)} ${status === 0 ? 'ok' : 'FAILED'} (${seconds(start)})`);
}

function test(project) {
  const report = path.join(scratch, `${project}.json`);
  const { ok, took } = step(project, [
    'node_modules/vitest/vitest.mjs',
    'run',
    '--project',
    project,
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${report}`,
    '--passWithNoTests',
    ...(process.stdout.isTTY ? [] : ['--no-color']),
    ...filters,
  ]);
  let good = 0;
  let bad = 0;
  try {
    const result = JSON.parse(readFileSync(report, 'utf8'));
    good = result.numPassedTests;
    skipped += result.numPendingTests + result.numTodoTests;
    bad = result.numFailedTests;
    for (const { status, name, assertionResults } of result.testResults) {
      const file = path.relative('.', name);
      // A file that cannot even be loaded holds no failed test but must count.
      if (status === 'failed' && assertionResults.length === 0) {
        bad += 1;
        failures.push(`✗ ${file}`);
      }
      for (const one of assertionResults.filter((it) => it.status === 'failed'))
        failures.push(`✗ ${file} > ${one.fullName}\n    ${(one.failureMessages[0] ?? '').split('\n')[0]}`);
    }
  } catch {
    bad = 1;
  }
  // Nor does an error outside of any test.
  if (!ok && bad === 0) bad = 1;
  passed += good;
  failed += bad;
  lines.push(`  ${project.padEnd(12)} ${good} passed, ${bad} failed (${took})`);
}

if (wanted.length === 0)
  await Promise.all([
    check('lint', ['node_modules/eslint/bin/eslint.js', '.']),
    check('types', ['node_modules/typescript/bin/tsc', '--noEmit', '-p', 'tsconfig.json']).then(() =>
      check('format', ['node_modules/prettier/bin/prettier.cjs', '--check', '--log-level', 'warn', '.']),
    ),
  ]);
mkdirSync(scratch, { recursive: true });
for (const project of projects.length > 0 ? projects : kinds) test(project);
rmSync(scratch, { recursive: true, force: true });

if (skipped > 0) lines.push(`  ${skipped} skipped`);
if (passed + failed === 0) {
  lines.push(`  no test matches ${wanted.join(' ')}`);
  failed = 1;
}
if (failures.length > 0) process.stdout.write(`\n${failures.join('\n')}\n`);
process.stdout.write(
  `\n${lines.join('\n')}\n  all          ${seconds(began)}\n\n${passed} passed, ${failed} failed\n`,
);
process.exit(failed > 0 ? 1 : 0);
