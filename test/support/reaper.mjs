// Ends and removes the test servers below directory argv[2] once stdin closes: that happens when the test process
// ends in whatever way, SIGKILL included. A program of its own, in plain JavaScript, so that it needs no build.
import { existsSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import path from 'node:path';

const parent = process.argv[2];
const directory = path.join(parent, 's');

function kill(pid) {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // gone already
  }
}

function childrenOf(postmaster) {
  if (process.platform !== 'linux')
    return spawnSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' })
      .stdout.split('\n')
      .map((line) => line.trim().split(/\s+/).map(Number))
      .filter(([, ppid]) => ppid === postmaster)
      .map(([pid]) => pid);
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
        return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) === postmaster;
      } catch {
        return false;
      }
    })
    .map(Number);
}

function reap() {
  if (existsSync(directory)) endServers();
  rmSync(parent, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
}

function endServers() {
  const state = path.join(directory, 'sandbox.json');
  if (existsSync(state)) {
    const { proxy } = JSON.parse(readFileSync(state, 'utf8'));
    if (proxy?.pid > 0) kill(proxy.pid);
  }
  for (const name of readdirSync(directory)) {
    const lock = path.join(directory, name, 'data/postmaster.pid');
    if (!existsSync(lock)) continue;
    const lines = readFileSync(lock, 'utf8').split('\n');
    const pid = Number(lines[0]);
    if (!(pid > 0)) continue;
    const children = childrenOf(pid);
    for (const one of [pid, ...children]) kill(one);
    const segment = lines[6]?.trim().split(/\s+/)[1];
    if (segment) spawnSync('ipcrm', ['-m', segment]);
  }
}

// Ctrl-C in the terminal reaches this process too; the work comes after it.
process.on('SIGINT', () => {});
process.on('SIGTERM', () => {});
process.stdin.on('end', reap);
process.stdin.on('error', reap);
process.stdin.resume();
