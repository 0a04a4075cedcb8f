/** Somebody who types what repctl says, to the letter, and nothing else. */
import { type ChildProcess, spawn } from 'node:child_process';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { createInterface } from 'node:readline';
import { cleanEnv } from '../cli.js';
import type { Product } from './product.js';
import type { Report, Strike } from './strike.js';

export interface Outcome {
  readonly argv: readonly string[];
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly ms: number;
  readonly reports: readonly Report[];
  /** Of a failure: its code and its hint, line by line. */
  readonly error:
    { readonly code: string; readonly message: string; readonly hint: readonly string[] } | undefined;
}

export interface Running {
  readonly child: ChildProcess;
  readonly ended: Promise<Outcome>;
}

export interface Terminal {
  readonly home: string;
  readonly configFile: string;
  readonly product: Product;
  /** Programs started here, counted by start(). */
  starts: number;
}

/** Starts `repctl argv --json` as a process of its own; `onReport` hears of its steps while it runs. */
export function start(
  terminal: Terminal,
  argv: readonly string[],
  options: { strike?: Strike; onReport?: (report: Report, child: ChildProcess) => void } = {},
): Running {
  const from = performance.now();
  terminal.starts += 1;
  const child = spawn(process.execPath, [terminal.product.main, ...argv, '--json'], {
    cwd: terminal.home,
    env: cleanEnv({
      HOME: terminal.home,
      REPCTL_CONFIG: terminal.configFile,
      REPCTL_TEST_REPORT: '1',
      ...(options.strike === undefined ? {} : { REPCTL_TEST_STRIKE: JSON.stringify(options.strike) }),
    }),
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
  });
  const reports: Report[] = [];
  let stdout = '';
  let stderr = '';
  child.stdout?.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr?.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  createInterface({ input: child.stdio[3] as Readable }).on('line', (line) => {
    const report = JSON.parse(line) as Report;
    reports.push(report);
    options.onReport?.(report, child);
  });
  const ended = new Promise<Outcome>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => {
      resolve({
        argv,
        code,
        signal,
        stdout,
        stderr,
        reports,
        ms: Math.round(performance.now() - from),
        error: errorIn(stdout),
      });
    });
  });
  return { child, ended };
}

function errorIn(stdout: string): Outcome['error'] {
  try {
    const { error } = JSON.parse(stdout) as {
      error?: { code: string; message: string; hint: string | null };
    };
    return error && { code: error.code, message: error.message, hint: (error.hint ?? '').split('\n') };
  } catch {
    return undefined;
  }
}

const FLAG = /^--[a-z][a-z-]*$/;
/** Commands that only look. */
const LOOKING = new Set(['status', 'doctor', 'lag', 'check', 'history', 'help', 'sandbox']);
/** What gives up nodes or transactions for good: named beside a better way. */
const GIVES_UP = new Set(['node:remove', 'cluster:destroy', 'subscription:skip']);
const TOPICS = new Set([
  'cluster',
  'node',
  'publication',
  'subscription',
  'slot',
  'sequence',
  'product',
  'sandbox',
  'help',
]);

export interface Typed {
  readonly argv: readonly string[];
  readonly looks: boolean;
}

/** The commands in a line of advice: `repctl` and what follows it as far as it can be typed; prose ends it. */
export function commandsIn(advice: string, nodes: readonly string[], commands: ReadonlySet<string>): Typed[] {
  return advice
    .split(/\brepctl (?=[a-z])/)
    .slice(1)
    .flatMap((text) => {
      const words = text.split(/\s+/).map((word) => word.replace(/[,;:.)]+$/, ''));
      const ends = text.split(/\s+/).findIndex((word) => /[,;:.)]$/.test(word));
      const [first = '', second = ''] = words;
      const head = TOPICS.has(first) ? [first, second] : [first];
      // "Bring n1 back, or repctl node remove n1": whoever means to keep it brings it back.
      if (!commands.has(head.join(':')) || GIVES_UP.has(head.join(':'))) return [];
      const argv = [...head];
      for (const [index, word] of words.entries()) {
        if (index < head.length) continue;
        if (ends >= 0 && index > ends) break;
        if (!(
          FLAG.test(word) ||
          nodes.includes(word) ||
          /^repctl_\w+$/.test(word) ||
          word.endsWith('.jsonl')
        ))
          break;
        argv.push(word);
      }
      return [{ argv, looks: LOOKING.has(first) }];
    });
}

export const manifestCommands = (manifest: { commands: Record<string, unknown> }): ReadonlySet<string> =>
  new Set(Object.keys(manifest.commands));

/** As `status --json` tells it; only what an operator goes by. */
export interface Status {
  readonly state: string;
  readonly findings: readonly {
    readonly code: string;
    readonly severity: string;
    readonly node?: string;
    readonly message: string;
    readonly fix?: string;
  }[];
}

export async function status(terminal: Terminal): Promise<Status> {
  const outcome = await start(terminal, ['status']).ended;
  try {
    const parsed = JSON.parse(outcome.stdout) as Partial<Status>;
    return { state: parsed.state ?? `exit ${String(outcome.code)}`, findings: parsed.findings ?? [] };
  } catch {
    return { state: `exit ${String(outcome.code)}: ${outcome.stderr}`, findings: [] };
  }
}

export const manifestFile = (product: Product): string =>
  path.join(path.dirname(product.main), 'oclif.manifest.json');
