/** Where the demo plays: a temporary directory, repctl as a process, and everything gone at the end. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { styleFor } from '../cli/terminal.js';
import { RepctlError } from '../errors.js';
import type { Style } from '../ui/color.js';
import { wrap } from '../ui/wrap.js';
import { clock } from './ledger.js';

const WIDEST = 100;

export interface Ran {
  readonly code: number;
  /** When it was started, in milliseconds since 1970. */
  readonly startedAt: number;
  readonly ms: number;
}

export interface Stage {
  /** A new directory of this run alone; removed at the end. */
  readonly directory: string;
  readonly style: Style;
  readonly interrupted: AbortSignal;
  /** A paragraph of the story. */
  say(text: string): void;
  heading(text: string): void;
  print(text: string): void;
  /** Shows the command as typed and runs it with its real output. Throws `demo-failed` on another exit code. */
  repctl(args: readonly string[], expected?: readonly number[]): Promise<Ran>;
  /** The result of a command with --json, unseen. */
  ask(args: readonly string[]): Promise<unknown>;
  /** A program that runs on in the background; it ends when its stdin is closed. */
  background(file: string, args: readonly string[], env: Record<string, string>): ChildProcess;
  /** Ends everything and removes it. May be called again. Returns the milliseconds it took. */
  clear(): Promise<number>;
}

/** `program` is bin/run.js. */
export async function openStage(program: string, interrupted: AbortSignal): Promise<Stage> {
  const directory = await mkdtemp(path.join(tmpdir(), 'repctl-demo-'));
  const style = styleFor(process.stdout, false);
  const { c } = style;
  const width = Math.min(style.width, WIDEST);
  const env = ownEnvironment(directory);
  const children = new Set<ChildProcess>();
  const print = (text: string): void => {
    process.stdout.write(`${text}\n`);
  };

  /** In a process group of its own: Ctrl-C reaches it once, through the demo, and not the one that cleans up. */
  function start(args: readonly string[], output: 'show' | 'read' | 'hide'): ChildProcess {
    const child = spawn(process.execPath, [program, ...args], {
      cwd: directory,
      env,
      detached: true,
      // What repctl says on stderr belongs between the lines of its stdout, in a pipe as well.
      stdio: [
        'ignore',
        output === 'show' ? 1 : output === 'read' ? 'pipe' : 'ignore',
        output === 'hide' ? 'ignore' : 1,
      ],
    });
    children.add(child);
    child.once('exit', () => children.delete(child));
    return child;
  }

  interrupted.addEventListener('abort', () => {
    for (const child of children) child.kill('SIGINT');
  });

  return {
    directory,
    style,
    interrupted,
    print,
    say(text) {
      print(`\n${wrap(text, width).join('\n')}`);
    },
    heading(text) {
      print(`\n${c.bold(`━━ ${text} ${'━'.repeat(Math.max(0, width - text.length - 4))}`)}`);
    },
    async repctl(args, expected = [0]) {
      interrupted.throwIfAborted();
      print(`\n${c.cyan('$')} ${c.bold(`repctl ${args.join(' ')}`)}`);
      const startedAt = clock();
      const code = await exitOf(start(args, 'show'));
      interrupted.throwIfAborted();
      if (!expected.includes(code))
        throw new RepctlError(
          'demo-failed',
          `repctl ${args.join(' ')} ended with exit code ${String(code)}.`,
          {
            hint: 'Everything that the demo started is being removed.',
            exit: 1,
          },
        );
      return { code, startedAt, ms: clock() - startedAt };
    },
    async ask(args) {
      interrupted.throwIfAborted();
      const child = start([...args, '--json'], 'read');
      let text = '';
      child.stdout?.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      await exitOf(child);
      interrupted.throwIfAborted();
      return JSON.parse(text) as unknown;
    },
    background(file, args, extra) {
      const child = spawn(process.execPath, [file, ...args], {
        cwd: directory,
        env: { ...env, ...extra },
        detached: true,
        stdio: ['pipe', 'ignore', 'inherit'],
      });
      child.stdin.on('error', () => undefined);
      return child;
    },
    async clear() {
      const began = clock();
      await Promise.all([...children].map(exitOf));
      const code = await exitOf(start(['sandbox', 'down'], 'hide'));
      if (code !== 0)
        throw new RepctlError('demo-not-removed', 'The demo could not remove all that it started.', {
          hint: `XDG_STATE_HOME=${String(env['XDG_STATE_HOME'])} repctl sandbox down`,
          exit: 1,
        });
      await rm(directory, { recursive: true, force: true });
      return clock() - began;
    },
  };
}

/** The caller's environment without what would lead repctl to another cluster; state and configuration of its own. */
function ownEnvironment(directory: string): Record<string, string> {
  const kept = Object.entries(process.env).filter(
    (entry): entry is [string, string] => entry[1] !== undefined && !/^(?:REPCTL_|PG)/.test(entry[0]),
  );
  return {
    ...Object.fromEntries(kept),
    XDG_STATE_HOME: path.join(directory, 'state'),
    XDG_CONFIG_HOME: path.join(directory, 'config'),
  };
}

function exitOf(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    const done = (code: number | null): void => {
      resolve(code ?? 1);
    };
    if (child.exitCode !== null || child.signalCode !== null) done(child.exitCode);
    else child.once('close', done).once('error', reject);
  });
}
