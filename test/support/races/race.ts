/** Builds the program of two operators and lets pairs of them begin at the same moment. */
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type Plugin, build } from 'esbuild';
import type { RaceOutcome, RaceRequest } from './program.js';

export interface Racers {
  /** Both are connected before either begins. */
  race(a: RaceRequest, b: RaceRequest): Promise<readonly [RaceOutcome, RaceOutcome]>;
  remove(): Promise<void>;
}

/** A fault planted in a source file: `find` must be there exactly once. */
export interface Fault {
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

const plant = ({ file, find, replace }: Fault): Plugin => ({
  name: 'fault',
  setup(builder) {
    builder.onLoad({ filter: new RegExp(`${file.replaceAll('.', '\\.')}$`) }, async (args) => {
      const parts = (await readFile(args.path, 'utf8')).split(find);
      if (parts.length !== 2) throw new Error(`${file} holds the pattern ${String(parts.length - 1)} times`);
      return { contents: parts.join(replace), loader: 'ts' };
    });
  },
});

export async function racers(fault?: Fault): Promise<Racers> {
  const scratch = await mkdtemp(path.join(tmpdir(), 'repctl-races-'));
  const program = path.join(scratch, 'race.mjs');
  await build({
    entryPoints: [path.join(import.meta.dirname, 'program.ts')],
    outfile: program,
    bundle: true,
    format: 'esm',
    platform: 'node',
    banner: {
      js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);",
    },
    external: ['pg-native'],
    logLevel: 'error',
    plugins: fault === undefined ? [] : [plant(fault)],
  });
  return {
    async race(a, b) {
      const runs = [start(program, a), start(program, b)] as const;
      await Promise.all(runs.map((run) => run.ready));
      for (const run of runs) run.go();
      return Promise.all([runs[0].outcome, runs[1].outcome]);
    },
    remove: () => rm(scratch, { recursive: true, force: true }),
  };
}

function start(program: string, request: RaceRequest) {
  const child = spawn(process.execPath, [program, JSON.stringify(request)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  let text = '';
  let isReady: () => void = () => undefined;
  const ready = new Promise<void>((resolve) => {
    isReady = resolve;
  });
  const outcome = new Promise<RaceOutcome>((resolve, reject) => {
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
      if (text.includes('\n')) isReady();
    });
    child.on('error', reject);
    child.on('close', (code) => {
      isReady();
      const line = text.trim().split('\n')[1];
      if (code === 0 && line !== undefined) resolve(JSON.parse(line) as RaceOutcome);
      else reject(new Error(`${request.operation} ${request.node}: ended with ${String(code)}: ${text}`));
    });
  });
  return { ready, outcome, go: () => child.stdin.end('go\n') };
}
