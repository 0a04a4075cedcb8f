/** Runs one hook: its own process group, bounded in time, its output taken line by line. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { redact } from '../../config/redact.js';
import type { HookCall, HookReport } from './model.js';

/** Between the request to end and the end. */
const GRACE_MS = 500;
/** What a program left in its pipes when it ended; something that it started may hold them open for ever. */
const DRAIN_MS = 250;
const LONGEST_LINE = 2000;
const MOST_LINES = 100;

interface End {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** Never throws: what went wrong is in `error`. `onLine` gets each line of output, redacted. */
export async function runHook(call: HookCall, onLine: (line: string) => void): Promise<HookReport> {
  const start = performance.now();
  const output: string[] = [];
  const report = (exitCode: number | null, error: HookReport['error']): HookReport => ({
    hook: call.hook,
    ms: Math.round(performance.now() - start),
    exitCode,
    output: output.slice(-MOST_LINES),
    error,
  });
  const [program = '', ...args] = call.argv;
  let child: ChildProcess;
  try {
    // A group of its own, so that what it started can be ended with it.
    child = spawn(program, args, {
      env: { ...process.env, ...call.env },
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: true,
    });
  } catch (error) {
    return report(null, notStarted(call, error));
  }
  const kill = (signal: NodeJS.Signals): void => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, signal);
    } catch {
      // The group is gone.
    }
  };
  const killNow = (): void => {
    kill('SIGKILL');
  };
  // A second Ctrl-C ends repctl at once; a hook must not go on without it.
  process.once('exit', killNow);
  const state = { timedOut: false };
  const timer = setTimeout(() => {
    state.timedOut = true;
    kill('SIGTERM');
    setTimeout(killNow, GRACE_MS);
  }, call.timeoutMs);
  try {
    const take = (line: string): void => {
      output.push(line);
      onLine(line);
    };
    const closed = Promise.all([lines(child.stdout, take), lines(child.stderr, take)]);
    // A hook that does not read its input is no mistake.
    child.stdin?.on('error', () => undefined).end(call.stdin);
    const { code, signal } = await ended(child);
    if (state.timedOut) killNow();
    await Promise.race([closed, new Promise((resolve) => setTimeout(resolve, DRAIN_MS))]);
    return report(code, state.timedOut ? tooSlow(call) : failed(call, { code, signal }));
  } catch (error) {
    return report(null, notStarted(call, error));
  } finally {
    clearTimeout(timer);
    process.removeListener('exit', killNow);
    child.stdout?.destroy();
    child.stderr?.destroy();
  }
}

/** `exit`, not `close`: the latter waits for whoever has the pipes. */
const ended = (child: ChildProcess): Promise<End> =>
  new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => {
      resolve({ code, signal });
    });
  });

/** Calls `take` with each line until the stream ends; without what would move a terminal's cursor. */
async function lines(stream: Readable | null, take: (line: string) => void): Promise<void> {
  let rest = '';
  const tell = (line: string) => {
    const plain = line.replaceAll(/\u001B\[[\d;?]*[A-Za-z]|[\u0000-\u0008\u000B-\u001F\u007F]/gu, '');
    take(redact(plain.slice(0, LONGEST_LINE)));
  };
  try {
    for await (const chunk of stream?.setEncoding('utf8') ?? []) {
      const parts = `${rest}${String(chunk)}`.split('\n');
      rest = (parts.pop() ?? '').slice(0, LONGEST_LINE);
      parts.forEach(tell);
    }
  } catch {
    // Destroyed above: what came is told.
  }
  if (rest !== '') tell(rest);
}

const named = ({ hook, argv }: HookCall): string => `hooks.${hook} (${argv[0] ?? ''})`;

function notStarted(call: HookCall, error: unknown): NonNullable<HookReport['error']> {
  const code = (error as NodeJS.ErrnoException).code ?? '';
  const [program = ''] = call.argv;
  const there = program.includes(path.sep) && existsSync(program);
  if (code === 'ENOENT' && there)
    return {
      code: 'hook-interpreter-missing',
      message: `${named(call)} cannot be run: the program of its #! line is not there.`,
    };
  if (code === 'ENOENT')
    return {
      code: 'hook-missing',
      message: `${named(call)} was not found${program.includes(path.sep) ? '' : ' in PATH'}.`,
    };
  if (code === 'EACCES')
    return { code: 'hook-not-executable', message: `${named(call)} is not executable: chmod +x ${program}` };
  const text = error instanceof Error ? error.message : String(error);
  return { code: 'hook-failed', message: `${named(call)} could not be started: ${text}` };
}

const tooSlow = (call: HookCall): HookReport['error'] => ({
  code: 'hook-timeout',
  message: `${named(call)} did not end within ${String(call.timeoutMs / 1000)} s and was ended.`,
});

function failed(call: HookCall, { code, signal }: End): HookReport['error'] {
  if (code === 0) return null;
  const how = code === null ? `was ended by ${signal ?? 'a signal'}` : `ended with ${String(code)}`;
  return { code: 'hook-failed', message: `${named(call)} ${how}.` };
}
