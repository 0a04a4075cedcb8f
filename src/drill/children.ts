/** Processes that a drill starts: each in a group of its own, and known to the reaper. */
import { type ChildProcess, spawn } from 'node:child_process';
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

/** `env` is what repctl finds; `directory` the sandbox that is to go when this process is gone. */
export function openChildren(
  directory: string,
  cwd: string,
  env: Readonly<Record<string, string>>,
): Children {
  const reaper = spawn(process.execPath, [programFile('dist/drill/reaper-main.js'), directory], {
    detached: true,
    cwd: '/',
    env: { PATH: process.env['PATH'] ?? '' },
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  reaper.stdin.on('error', () => undefined);
  reaper.unref();
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
    reaper.stdin.write(`+${String(child.pid)}\n`);
    child.once('close', () => {
      running.delete(child);
      reaper.stdin.write(`-${String(child.pid)}\n`);
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
      reaper.stdin.end('done\n');
    },
  };
}

/** The caller's environment without what would lead repctl to another cluster. */
export function ownEnvironment(home: string, config: string): Record<string, string> {
  const kept = Object.entries(process.env).filter(
    (entry): entry is [string, string] => entry[1] !== undefined && !/^(?:REPCTL_|PG)/.test(entry[0]),
  );
  return { ...Object.fromEntries(kept), XDG_STATE_HOME: home, REPCTL_CONFIG: config, NO_COLOR: '1' };
}
