/** Builds test/support/crash-program.ts once and runs it: an operation that is killed on the way. */
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { build } from 'esbuild';
import type { CrashRequest } from './crash-program.js';

export interface CrashHarness {
  crash(request: CrashRequest): Promise<'killed' | 'finished'>;
  remove(): Promise<void>;
}

export async function crashHarness(): Promise<CrashHarness> {
  const scratch = await mkdtemp(path.join(tmpdir(), 'repctl-crash-'));
  const program = path.join(scratch, 'crash.mjs');
  await build({
    entryPoints: [path.join(import.meta.dirname, 'crash-program.ts')],
    outfile: program,
    bundle: true,
    format: 'esm',
    platform: 'node',
    banner: {
      js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);",
    },
    external: ['pg-native'],
    logLevel: 'error',
  });
  return {
    crash: (request) =>
      new Promise((resolve, reject) => {
        const child = spawn(process.execPath, [program, JSON.stringify(request)], {
          stdio: ['ignore', 'inherit', 'inherit'],
        });
        child.on('error', reject);
        child.on('exit', (code, signal) => {
          // 0: the operation was over before the kill. Anything else would make the test say nothing.
          if (signal === 'SIGKILL' || code === 0) resolve(signal === null ? 'finished' : 'killed');
          else reject(new Error(`the operation failed by itself: ${String(code)} ${String(signal)}`));
        });
      }),
    remove: () => rm(scratch, { recursive: true, force: true }),
  };
}
