/** Runs the built program as a process of its own, with an environment of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { until } from './wait.js';

export const PROGRAM = fileURLToPath(new URL('../../bin/run.js', import.meta.url));

export interface CliOptions {
  /** Added to an environment that has nothing but PATH and what is given; HOME defaults to a place without files. */
  env?: Readonly<Record<string, string | undefined>>;
  cwd?: string;
  /** Written to stdin, which is then closed; without it stdin is /dev/null. */
  stdin?: string;
}

export interface CliResult {
  /** The exit status; null when a signal ended it. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export function cleanEnv(env: CliOptions['env'] = {}): Record<string, string> {
  const home = env['HOME'] ?? '/nonexistent';
  const all = {
    PATH: process.env['PATH'],
    TMPDIR: process.env['TMPDIR'],
    HOME: home,
    XDG_STATE_HOME: path.join(home, 'state'),
    XDG_CONFIG_HOME: path.join(home, 'config'),
    XDG_CACHE_HOME: path.join(home, 'cache'),
    ...env,
  };
  return Object.fromEntries(
    Object.entries(all).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}

/** The program at work: what it has said so far, and how it ends. */
export interface RunningCli {
  readonly child: ChildProcess;
  readonly stdout: string;
  readonly stderr: string;
  readonly ended: Promise<CliResult>;
  /** until(), for what must be seen while it runs: throws with what it said when it is over before. */
  seen<T>(look: () => Promise<T>, good: (value: T) => boolean, timeoutMs?: number): Promise<T>;
}

export function startCli(args: readonly string[], options: CliOptions = {}): RunningCli {
  const child = spawn(process.execPath, [PROGRAM, ...args], {
    env: cleanEnv(options.env),
    cwd: options.cwd ?? '/',
    stdio: [options.stdin === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
  });
  // The program may end without reading its stdin.
  child.stdin?.on('error', () => undefined).end(options.stdin);
  let stdout = '';
  let stderr = '';
  child.stdout?.setEncoding('utf8').on('data', (chunk: string) => (stdout += chunk));
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => (stderr += chunk));
  const ended = new Promise<CliResult>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => {
      resolve({ code, signal, stdout, stderr });
    });
  });
  return {
    child,
    ended,
    get stdout() {
      return stdout;
    },
    get stderr() {
      return stderr;
    },
    seen: (look, good, timeoutMs) =>
      until(
        look,
        (value) => {
          if (child.exitCode !== null || child.signalCode !== null)
            throw new Error(`over before it was seen: ${stdout}\n${stderr}`);
          return good(value);
        },
        timeoutMs,
      ),
  };
}

export const runCli = (args: readonly string[], options: CliOptions = {}): Promise<CliResult> =>
  startCli(args, options).ended;
