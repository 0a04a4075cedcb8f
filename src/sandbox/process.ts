/** Running programs and finding, signalling and waiting for the processes of a server. */
import { spawn } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { RepctlError, messageOf } from '../errors.js';
import type { Account } from './model.js';

export interface RunOptions {
  account: Account | null;
  cwd: string;
  signal?: AbortSignal | undefined;
  env?: Readonly<Record<string, string>>;
}

export interface RunResult {
  /** null when a signal ended it. */
  code: number | null;
  stdout: string;
  stderr: string;
}

/**
 * Runs a program to its end. The environment is made new: PGDATA, PGPORT, LANG and their kind would change
 * what PostgreSQL's programs do. Throws what spawn throws when the program cannot be started at all.
 */
export function run(command: string, args: readonly string[], options: RunOptions): Promise<RunResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd: options.cwd,
      env: {
        PATH: process.env['PATH'] ?? '/usr/bin:/bin',
        HOME: options.cwd,
        LC_ALL: 'C',
        TZ: 'UTC',
        ...options.env,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
      ...(options.account ? { uid: options.account.uid, gid: options.account.gid } : {}),
      ...(options.signal ? { signal: options.signal } : {}),
    });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    child.once('error', reject);
    child.once('close', (code) => {
      resolve({ code, stdout, stderr });
    });
  });
}

export interface ProcessInfo {
  readonly pid: number;
  readonly parent: number;
  /** Stopped by SIGSTOP. */
  readonly stopped: boolean;
  readonly zombie: boolean;
  readonly command: string;
}

/** Every process of this machine. Linux's /proc needs no program; elsewhere `ps` (Debian's base has none). */
export async function processes(): Promise<ProcessInfo[]> {
  return process.platform === 'linux' ? linuxProcesses() : psProcesses();
}

/** Read synchronously: /proc is memory, and a thread pool round trip costs ten times the read itself. */
function linuxProcesses(): ProcessInfo[] {
  const found: ProcessInfo[] = [];
  for (const pid of readdirSync('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
      const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
      // The command name in parentheses may itself hold spaces and parentheses: read after the last one.
      const [state = '', parent = '0'] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      found.push({
        pid: Number(pid),
        parent: Number(parent),
        stopped: state === 'T' || state === 't',
        zombie: state === 'Z',
        command: command.replaceAll('\0', ' ').trim(),
      });
    } catch {
      // gone between the listing and the reading
    }
  }
  return found;
}

async function psProcesses(): Promise<ProcessInfo[]> {
  const { stdout } = await run('ps', ['-A', '-o', 'pid=,ppid=,stat=,command='], { account: null, cwd: '/' });
  return stdout.split('\n').flatMap((line) => {
    const match = /^\s*(\d+)\s+(\d+)\s+(\S+)\s+(.*)$/.exec(line);
    if (!match) return [];
    const [, pid, parent, stat = '', command = ''] = match;
    return [
      {
        pid: Number(pid),
        parent: Number(parent),
        stopped: stat.startsWith('T'),
        zombie: stat.startsWith('Z'),
        command,
      },
    ];
  });
}

/** Sends a signal; false when the process is gone. */
export function signalProcess(pid: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(pid, signal);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
    throw new RepctlError(
      'signal-failed',
      `Process ${String(pid)} could not be signalled: ${messageOf(error)}`,
      {
        cause: error,
        hint: 'The sandbox belongs to another user: run repctl as the one who started it.',
      },
    );
  }
}

/** Waits until none of the processes lives (zombies count as gone). Throws `process-lingers` after `timeoutMs`. */
export async function waitGone(pids: readonly number[], timeoutMs = 10_000): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const wanted = new Set(pids);
    const alive = (await processes()).filter((one) => wanted.has(one.pid) && !one.zombie);
    if (alive.length === 0) return;
    if (Date.now() > deadline)
      throw new RepctlError(
        'process-lingers',
        `Processes ${alive.map((one) => String(one.pid)).join(', ')} do not go away.`,
      );
    await delay(5);
  }
}
