/** Processes that a drill starts: each in a group of its own, and known to the reaper. */
import { type ChildProcess, spawn } from 'node:child_process';
import { TRANSCRIPT } from '../config/transcript.js';
import { programFile } from './programs.js';

export interface Ran {
  /** null when a signal ended it. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly ms: number;
}

export interface Children {
  /** Starts a program that reads from a pipe and writes to pipes. */
  start(file: string, args: readonly string[], env?: Readonly<Record<string, string>>): ChildProcess;
  /** Runs repctl to its end, as one would type it. */
  repctl(args: readonly string[]): Promise<Ran>;
  /** Tells the commands that run to stop. */
  interrupt(): void;
  /** Nothing is left to do for the reaper. */
  release(): void;
}

/**
 * `env` is what repctl finds. `sandbox` is the directory of the servers that are to go when this process is gone, and
 * the commands that run with them; without it they go on to their end, and clients end with their stdin.
 */
export function openChildren(cwd: string, env: Readonly<Record<string, string>>, sandbox?: string): Children {
  const tell = sandbox === undefined ? () => undefined : startReaper(sandbox);
  const running = new Set<ChildProcess>();
  const start = (file: string, args: readonly string[], more: Readonly<Record<string, string>> = {}) => {
    const child = spawn(process.execPath, [file, ...args], {
      cwd,
      env: { ...env, ...more },
      detached: true,
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    child.stdin.on('error', () => undefined);
    running.add(child);
    tell(`+${String(child.pid)}`);
    child.once('close', () => {
      running.delete(child);
      tell(`-${String(child.pid)}`);
    });
    return child;
  };
  const program = programFile('bin/run.js');
  return {
    start,
    repctl: (args) =>
      new Promise((resolve, reject) => {
        const began = performance.now();
        const child = start(program, args);
        let stdout = '';
        let stderr = '';
        child.stdin.end();
        child.stdout.setEncoding('utf8').on('data', (chunk: string) => (stdout += chunk));
        child.stderr.setEncoding('utf8').on('data', (chunk: string) => (stderr += chunk));
        child.once('error', reject);
        child.once('close', (code) => {
          resolve({ code, stdout, stderr, ms: performance.now() - began });
        });
      }),
    interrupt() {
      for (const child of running) child.kill('SIGINT');
    },
    release() {
      tell('done');
    },
  };
}

/** Returns what tells it something. */
function startReaper(sandbox: string): (line: string) => void {
  const reaper = spawn(process.execPath, [programFile('dist/drill/reaper-main.js'), sandbox], {
    detached: true,
    cwd: '/',
    env: { PATH: process.env['PATH'] ?? '' },
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  reaper.stdin.on('error', () => undefined);
  reaper.unref();
  return (line) => {
    if (line === 'done') reaper.stdin.end('done\n');
    else reaper.stdin.write(`${line}\n`);
  };
}

/** The caller's environment without what would lead repctl to another cluster. */
export function ownEnvironment(home: string, config: string): Record<string, string> {
  const kept = Object.entries(process.env).filter(
    (entry): entry is [string, string] => entry[1] !== undefined && !/^(?:REPCTL_|PG)/.test(entry[0]),
  );
  return { ...Object.fromEntries(kept), XDG_STATE_HOME: home, REPCTL_CONFIG: config, NO_COLOR: '1' };
}

/** The caller's environment for commands on the very cluster that the caller is on; what they do is nobody's typing. */
export function sameEnvironment(config: string | undefined): Record<string, string> {
  const kept = Object.entries(process.env).filter(
    (entry): entry is [string, string] => entry[1] !== undefined && entry[0] !== TRANSCRIPT,
  );
  return {
    ...Object.fromEntries(kept),
    ...(config === undefined ? {} : { REPCTL_CONFIG: config }),
    NO_COLOR: '1',
  };
}
