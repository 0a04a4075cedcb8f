// What esbuild makes of src/: split ESM with one entry per command, so that oclif's discovery works on dist/ and a
// command loads only what it needs. Of its own file, since tests bundle the same program with planted faults.
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));

/** Programs of their own, each started as a process, and oclif's hooks, which it imports by path. */
const programs = [
  'src/main.ts',
  'src/cli/not-found.ts',
  'src/sandbox/proxy-main.ts',
  'src/demo/main.ts',
  'src/demo/writer.ts',
  'src/drill/reaper-main.ts',
  'src/drill/service/main.ts',
  'src/drill/workload/main.ts',
  'src/evaluation/main.ts',
];

function files(dir) {
  return readdirSync(dir, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => path.join(entry.parentPath ?? entry.path, entry.name));
}

export const bundleOptions = (outdir = 'dist') => ({
  absWorkingDir: root,
  entryPoints: [
    ...programs.filter((file) => existsSync(path.join(root, file))),
    ...files(path.join(root, 'src/commands')),
  ],
  outdir,
  outbase: 'src',
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  sourcemap: true,
  // CommonJS packages inside an ESM bundle still call require().
  banner: {
    js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
  },
  external: ['pg-native', 'typescript'],
  // pg asks a Response whether it runs on Cloudflare; on Node 20 naming that global loads all of fetch (12 ms).
  define: { Response: 'undefined' },
  // What is shorter is compiled sooner: Node 20 keeps no compiled code between runs. Names stay, for the traces.
  minifyWhitespace: true,
  minifySyntax: true,
  logLevel: 'warning',
});
