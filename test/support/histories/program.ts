/** The command line as a program of its own, bundled as `npm run build` does, on request with a fault planted. */
import { type ChildProcess, spawn } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { type BuildOptions, type Plugin, build } from 'esbuild';
import { cleanEnv } from '../cli.js';

const ROOT = path.resolve(import.meta.dirname, '../../..');

/** A change of the program's text. Each pattern must occur exactly once in its file, or the build fails. */
export interface Fault {
  readonly name: string;
  readonly what: string;
  readonly edits: readonly { readonly file: string; readonly find: string; readonly replace: string }[];
}

export interface Run {
  /** null when it was killed. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly ms: number;
  /** It had to be ended because it did not end by itself. */
  readonly hung: boolean;
}

/** When to send SIGKILL: that many milliseconds after the start, or after so many steps were done. */
export type Kill = { readonly afterMs: number } | { readonly afterSteps: number; readonly thenMs: number };

export interface Program {
  readonly commands: ReadonlySet<string>;
  /** Whether `command` (words separated by spaces) has that flag. */
  hasFlag(command: string, flag: string): boolean;
  run(args: readonly string[], home: string, kill?: Kill): Promise<Run>;
  remove(): void;
}

/** Longer than anything here may take: what is not over by then hangs. */
const PATIENCE_MS = 120_000;

export async function buildProgram(fault?: Fault): Promise<Program> {
  // Below the project, so that modules are found from there.
  const root = path.join(ROOT, '.tmp', `program-${String(process.pid)}-${fault?.name ?? 'as-it-is'}`);
  rmSync(root, { recursive: true, force: true });
  mkdirSync(path.join(root, 'bin'), { recursive: true });
  for (const file of ['package.json', 'oclif.manifest.json', 'bin/run.js'])
    copyFileSync(path.join(ROOT, file), path.join(root, file));
  const { bundleOptions } = (await import(pathToFileURL(path.join(ROOT, 'scripts/bundle.mjs')).href)) as {
    bundleOptions: (outdir: string) => BuildOptions;
  };
  const planted = new Set<string>();
  await build({
    ...bundleOptions(path.join(root, 'dist')),
    sourcemap: false,
    plugins: fault === undefined ? [] : [plant(fault, planted)],
  });
  const left = (fault?.edits ?? []).filter((edit) => !planted.has(edit.file));
  if (left.length > 0)
    throw new Error(`${fault?.name ?? ''}: not in the program: ${left.map((edit) => edit.file).join(', ')}`);
  const manifest = JSON.parse(readFileSync(path.join(root, 'oclif.manifest.json'), 'utf8')) as {
    commands: Record<string, { flags?: Record<string, unknown> }>;
  };
  const running = new Set<ChildProcess>();
  return {
    commands: new Set(Object.keys(manifest.commands).map((id) => id.replaceAll(':', ' '))),
    hasFlag: (command, flag) => flag in (manifest.commands[command.replaceAll(' ', ':')]?.flags ?? {}),
    run: (args, home, kill) => runProgram(path.join(root, 'bin/run.js'), args, home, kill, running),
    remove() {
      for (const child of running) child.kill('SIGKILL');
      rmSync(root, { recursive: true, force: true });
    },
  };
}

function plant(fault: Fault, planted: Set<string>): Plugin {
  return {
    name: 'fault',
    setup(context) {
      const files = [...new Set(fault.edits.map((edit) => path.join(ROOT, edit.file)))];
      const escape = (text: string): string => text.replaceAll(/[.*+?^${}()|[\]\\/]/g, '\\$&');
      context.onLoad({ filter: new RegExp(`^(?:${files.map(escape).join('|')})$`) }, (args) => {
        let contents = readFileSync(args.path, 'utf8');
        for (const edit of fault.edits.filter((one) => path.join(ROOT, one.file) === args.path)) {
          const parts = contents.split(edit.find);
          if (parts.length !== 2)
            throw new Error(
              `${fault.name}: its pattern occurs ${String(parts.length - 1)} times in ${edit.file}, not once:\n${edit.find}`,
            );
          contents = parts.join(edit.replace);
          planted.add(edit.file);
        }
        return { contents, loader: 'ts' };
      });
    },
  };
}

function runProgram(
  program: string,
  args: readonly string[],
  home: string,
  kill: Kill | undefined,
  running: Set<ChildProcess>,
): Promise<Run> {
  const start = performance.now();
  const child = spawn(process.execPath, [program, ...args], {
    cwd: home,
    env: cleanEnv({ HOME: home }),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running.add(child);
  let stdout = '';
  let stderr = '';
  let hung = false;
  const die = (): void => {
    child.kill('SIGKILL');
  };
  const timers = [
    setTimeout(() => {
      hung = true;
      die();
    }, PATIENCE_MS),
  ];
  if (kill !== undefined && 'afterMs' in kill) timers.push(setTimeout(die, kill.afterMs));
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
    if (kill === undefined || !('afterSteps' in kill)) return;
    // Without a terminal each step that is done is a line of its own.
    const done = stderr.split('\n').filter((line) => line.startsWith('✓')).length;
    if (done < kill.afterSteps || timers.length > 1) return;
    if (kill.thenMs === 0) die();
    else timers.push(setTimeout(die, kill.thenMs));
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => {
      for (const timer of timers) clearTimeout(timer);
      running.delete(child);
      resolve({ code, stdout, stderr, ms: Math.round(performance.now() - start), hung });
    });
  });
}
