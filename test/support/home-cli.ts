/** A home of its own for many commands in a row: what one leaves in it, the next one finds. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type CliResult, PROGRAM, cleanEnv } from './cli.js';

export interface Cli {
  /** A directory of its own for XDG state, config and cache, and the working directory. */
  readonly home: string;
  run(args: readonly string[], options?: RunCliOptions): Promise<CliResult>;
  /** Runs with --json and parses what it printed; the exit status is in `code`. */
  json<T>(args: readonly string[], options?: RunCliOptions): Promise<{ code: number | null; data: T }>;
  /** The process, for signals and streams. */
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
  const start = (args: readonly string[], options: RunCliOptions = {}): ChildProcess =>
    spawn(process.execPath, [PROGRAM, ...args], {
      cwd: options.cwd ?? home,
      env: cleanEnv({ HOME: home, ...options.env }),
      stdio: ['pipe', 'pipe', 'pipe'],
    });
  const run = (args: readonly string[], options: RunCliOptions = {}): Promise<CliResult> =>
    new Promise((resolve, reject) => {
      const child = start(args, options);
      let stdout = '';
      let stderr = '';
      child.stdout?.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
      child.stderr?.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
      child.stdin?.on('error', () => undefined);
      child.stdin?.end(options.input ?? '');
      child.once('error', reject);
      child.once('close', (code, signal) => {
        resolve({ code, signal, stdout, stderr });
      });
    });
  return {
    home,
    run,
    spawn: start,
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
