// What the benchmarks share: repctl as a process in a state directory of its own, figures, the machine.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

export const ROOT = path.dirname(path.dirname(path.dirname(fileURLToPath(import.meta.url))));
export const PROGRAM = path.join(ROOT, 'bin/run.js');

/** Milliseconds since 1970 with fractions: the clock of the writer's record. */
export const clock = () => performance.timeOrigin + performance.now();
export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
export const say = (text) => process.stdout.write(`${text}\n`);

/** Options with their defaults, which also give their types: { runs: 10, floor: '' }. */
export function options(defaults) {
  const spec = Object.fromEntries(Object.keys(defaults).map((name) => [name, { type: 'string' }]));
  const { values } = parseArgs({ options: spec });
  return Object.fromEntries(
    Object.entries(defaults).map(([name, value]) => [
      name,
      values[name] === undefined ? value : typeof value === 'number' ? Number(values[name]) : values[name],
    ]),
  );
}

export function machine() {
  const model = cpus()[0]?.model.trim() ?? 'unknown processor';
  return `${String(cpus().length)} cores (${model}), Node ${process.versions.node}, ${process.platform}-${process.arch}`;
}

/** The value below which a share `p` of the values lies; of an empty list NaN. */
export function quantile(values, p) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(p * sorted.length) - 1))] ?? NaN;
}

/** `p50 123 ms, p95 170 ms, max 180 ms (min 95, 10 runs)` */
export function spread(values, digits = 0) {
  const text = (value) => value.toFixed(digits);
  return `p50 ${text(quantile(values, 0.5))} ms, p95 ${text(quantile(values, 0.95))} ms, max ${text(Math.max(...values))} ms (min ${text(Math.min(...values))}, ${String(values.length)} runs)`;
}

/**
 * A sandbox of its own for `work(sandbox)`, removed afterwards, after Ctrl-C and SIGTERM as well. `sandbox.repctl(args)` runs
 * repctl with --json and returns { code, json, startedAt, ms }.
 */
export async function withSandbox(upArgs, work) {
  const directory = mkdtempSync(path.join(tmpdir(), 'repctl-bench-'));
  const kept = Object.entries(process.env).filter(([key]) => !/^(REPCTL_|PG|NODE_EXTRA_CA_CERTS)/.test(key));
  const env = {
    ...Object.fromEntries(kept),
    XDG_STATE_HOME: path.join(directory, 'state'),
    XDG_CONFIG_HOME: path.join(directory, 'config'),
  };
  const remove = () => {
    spawnSync(process.execPath, [PROGRAM, 'sandbox', 'down'], { env, cwd: directory, stdio: 'ignore' });
    rmSync(directory, { recursive: true, force: true });
  };
  const stop = () => {
    remove();
    process.exit(130);
  };
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, stop);
  const repctl = (args) => run(args, env, directory);
  try {
    const up = await repctl(['sandbox', 'up', ...upArgs]);
    if (up.code !== 0) throw new Error(`sandbox up: ${JSON.stringify(up.json)}`);
    const urls = async (...flags) =>
      Object.entries((await repctl(['sandbox', 'env', ...flags])).json).map(([key, url]) => ({
        name: key.replace('REPCTL_URL_', '').toLowerCase(),
        url,
      }));
    return await work({ repctl, env, directory, urls });
  } finally {
    for (const signal of ['SIGINT', 'SIGTERM']) process.removeListener(signal, stop);
    remove();
  }
}

function run(args, env, cwd) {
  return new Promise((resolve, reject) => {
    const startedAt = clock();
    const child = spawn(process.execPath, [PROGRAM, ...args, '--json'], {
      env,
      cwd,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (chunk) => (text += chunk));
    child.once('error', reject).once('close', (code) => {
      const ms = clock() - startedAt;
      try {
        resolve({ code, json: JSON.parse(text), startedAt, ms });
      } catch {
        reject(new Error(`repctl ${args.join(' ')} ended with ${String(code)} and no JSON: ${text}`));
      }
    });
  });
}

/** Writers in a process of their own (writers.mjs): bare pg, a row at a time each. Ends with stop() or with this process. */
export function startWriters({ env, directory }, urls, { writers = 1, pauseMs = 5 } = {}) {
  const file = path.join(directory, 'writes.ndjson');
  const program = path.join(ROOT, 'bench/lib/writers.mjs');
  const child = spawn(process.execPath, [program, file, String(writers), String(pauseMs)], {
    env: {
      ...env,
      ...Object.fromEntries(urls.map(({ name, url }) => [`REPCTL_URL_${name.toUpperCase()}`, url])),
    },
    stdio: ['pipe', 'ignore', 'inherit'],
  });
  const ended = new Promise((resolve) => child.once('close', resolve));
  const record = () => {
    const text = existsSync(file) ? readFileSync(file, 'utf8') : '';
    const lines = text.slice(0, text.lastIndexOf('\n') + 1).split('\n');
    return lines.filter((line) => line !== '').map((line) => JSON.parse(line));
  };
  return {
    /** Acknowledged writes: { n, node, endedAt }, in the order in which they ended. */
    acknowledged: () =>
      record()
        .filter(([, , acknowledged]) => acknowledged === 1)
        .map(([n, node, , endedAt]) => ({ n, node, endedAt })),
    async stop() {
      child.stdin.end();
      await ended;
    },
  };
}

/** Waits for a condition; throws after 30 s. */
export async function until(what, condition, pauseMs = 5) {
  const deadline = Date.now() + 30_000;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > deadline) throw new Error(`waited 30 s for ${what}`);
    await sleep(pauseMs);
  }
}
