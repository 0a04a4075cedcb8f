// Ends and removes the test servers below directory argv[2] once stdin closes: that happens when the test process
// ends in whatever way, SIGKILL included. A program of its own, in plain JavaScript, so that it needs no build.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';

const parent = process.argv[2];
const directory = path.join(parent, 's');

function processes() {
  if (process.platform !== 'linux')
    return spawnSync('ps', ['-A', '-o', 'pid=,ppid=,command='], { encoding: 'utf8' })
      .stdout.split('\n')
      .map((line) => /^\s*(\d+)\s+(\d+)\s+(.*)$/.exec(line))
      .filter((match) => match !== null)
      .map((match) => ({ pid: Number(match[1]), ppid: Number(match[2]), command: match[3] }));
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
        const ppid = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
        return [{ pid: Number(pid), ppid, command: readFileSync(`/proc/${pid}/cmdline`, 'utf8') }];
      } catch {
        return [];
      }
    });
}

function reap() {
  for (const name of existsSync(directory) ? readdirSync(directory) : []) {
    const lock = path.join(directory, name, 'data/postmaster.pid');
    const segment = existsSync(lock) && readFileSync(lock, 'utf8').split('\n')[6]?.trim().split(/\s+/)[1];
    if (segment) segments.push(segment);
  }
  // Postmasters, initdb, pg_ctl and the proxy have the directory on their command line; the rest are children.
  for (let round = 0; round < 50; round += 1) {
    const all = processes();
    const own = all.filter((one) => one.command.includes(parent) && one.pid !== process.pid);
    const pids = new Set(own.map((one) => one.pid));
    for (const one of all) if (pids.has(one.ppid)) pids.add(one.pid);
    if (round > 0 && [...pids].every((pid) => seen.has(pid))) break;
    for (const pid of pids) {
      seen.add(pid);
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // gone already
      }
    }
  }
  for (const segment of segments) spawnSync('ipcrm', ['-m', segment]);
  rmSync(parent, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
}

const seen = new Set();
const segments = [];
// Ctrl-C in the terminal reaches this process too; the work comes after it.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => {});
process.stdin.on('end', reap);
process.stdin.on('error', reap);
process.stdin.resume();
