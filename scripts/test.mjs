// npm test: types, lint, then unit, integration and end-to-end tests; ends with "N passed, N failed".
// npm test -- unit (or integration, e2e, a file filter) runs a part.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

const wanted = process.argv.slice(2);
const kinds = ['unit', 'integration', 'e2e'];
const projects = kinds.filter((kind) => wanted.includes(kind));
const filters = wanted.filter((word) => !kinds.includes(word));
const scratch = mkdtempSync(path.join(tmpdir(), 'repctl-test-'));

let failedSteps = 0;
function step(name, args) {
  const start = Date.now();
  process.stdout.write(`▸ ${name}\n`);
  const { status } = spawnSync(process.execPath, args, { stdio: ['ignore', 'inherit', 'inherit'] });
  process.stdout.write(
    `  ${name}: ${status === 0 ? 'ok' : 'FAILED'} (${((Date.now() - start) / 1000).toFixed(1)} s)\n`,
  );
  if (status !== 0) failedSteps += 1;
}

if (wanted.length === 0) {
  step('types', ['node_modules/typescript/bin/tsc', '--noEmit', '-p', 'tsconfig.json']);
  step('lint', ['node_modules/eslint/bin/eslint.js', '.']);
  step('format', ['node_modules/prettier/bin/prettier.cjs', '--check', '--log-level', 'warn', '.']);
}

let passed = 0;
let failed = 0;
for (const project of projects.length > 0 ? projects : kinds) {
  const report = path.join(scratch, `${project}.json`);
  step(project, [
    'node_modules/vitest/vitest.mjs',
    'run',
    '--project',
    project,
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${report}`,
    '--passWithNoTests',
    ...filters,
  ]);
  try {
    const result = JSON.parse(readFileSync(report, 'utf8'));
    passed += result.numPassedTests;
    failed += result.numFailedTests;
    // A file that cannot even be loaded holds no failed test but must count.
    failed += result.testResults.filter(
      (file) => file.status === 'failed' && file.assertionResults.length === 0,
    ).length;
  } catch {
    failed += 1;
  }
}
rmSync(scratch, { recursive: true, force: true });
process.stdout.write(`\n${passed} passed, ${failed} failed\n`);
process.exit(failedSteps > 0 || failed > 0 ? 1 : 0);
