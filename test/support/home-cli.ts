/** A home of its own for many commands in a row: what one leaves in it, the next one finds. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { ClusterConfig } from '../../src/config/schema.js';
import { type CliResult, PROGRAM, type RunningCli, cleanEnv, startCli } from './cli.js';

/** The nodes as REPCTL_URL_*, for commands without a configuration file. */
export const urlEnv = ({ nodes }: ClusterConfig): Record<string, string> =>
  Object.fromEntries(nodes.map(({ name, url }) => [`REPCTL_URL_${name.toUpperCase()}`, url]));

export interface Cli {
  /** A directory of its own for XDG state, config and cache, and the working directory. */
  readonly home: string;
  run(args: readonly string[], options?: RunCliOptions): Promise<CliResult>;
  /** Runs with --json and parses what it printed; the exit status is in `code`. */
  json<T>(args: readonly string[], options?: RunCliOptions): Promise<{ code: number | null; data: T }>;
  /** Begins it: for what happens while it runs. */
  start(args: readonly string[], options?: RunCliOptions): RunningCli;
  /** The bare process, for who reads or feeds its streams. */
  spawn(args: readonly string[], options?: RunCliOptions): ChildProcess;
  /** Removes `home`. */
  end(): void;
}

export interface RunCliOptions {
  env?: Readonly<Record<string, string>>;
  cwd?: string;
  input?: string;
}

/** Commands with an environment of their own: nothing of the caller's configuration or sandbox is seen or touched. */
export function makeCli(): Cli {
  const home = mkdtempSync(path.join(tmpdir(), 'repctl-cli-'));
  const start = (args: readonly string[], { input = '', cwd = home, env }: RunCliOptions = {}): RunningCli =>
    startCli(args, { cwd, stdin: input, env: { HOME: home, ...env } });
  const run = (args: readonly string[], options?: RunCliOptions): Promise<CliResult> =>
    start(args, options).ended;
  return {
    home,
    run,
    start,
    spawn: (args, { cwd = home, env } = {}) =>
      spawn(process.execPath, [PROGRAM, ...args], {
        cwd,
        env: cleanEnv({ HOME: home, ...env }),
        stdio: ['pipe', 'pipe', 'pipe'],
      }),
    async json<T>(args: readonly string[], options?: RunCliOptions) {
      const { code, stdout, stderr } = await run([...args, '--json'], options);
      try {
        return { code, data: JSON.parse(stdout) as T };
      } catch {
        throw new Error(
          `no JSON from repctl ${args.join(' ')} (exit ${String(code)}):\n${stdout}\n${stderr}`,
        );
      }
    },
    end() {
      rmSync(home, { recursive: true, force: true });
    },
  };
}
