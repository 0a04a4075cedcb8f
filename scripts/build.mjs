// Bundles src/ into dist/: split ESM with one entry per command, so that oclif's discovery works on dist/
// and a command loads only what it needs. Then writes oclif.manifest.json.
import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, context } from 'esbuild';
import { manifestText } from './manifest.mjs';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
process.chdir(root);

/** Programs of their own, each started as a process, and oclif's hooks, which it imports by path. */
const programs = [
  'src/main.ts',
  'src/cli/not-found.ts',
  'src/sandbox/proxy-main.ts',
  'src/demo/main.ts',
  'src/demo/writer.ts',
];

function files(dir) {
  return readdirSync(dir, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => path.join(entry.parentPath ?? entry.path, entry.name));
}

const options = {
  entryPoints: [...programs.filter((file) => existsSync(file)), ...files('src/commands')],
  outdir: 'dist',
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
};

if (process.argv.includes('--watch')) {
  await (await context(options)).watch();
  console.error('watching src/');
} else {
  rmSync('dist', { recursive: true, force: true });
  await build(options);
  if (!process.argv.includes('--no-manifest')) {
    writeFileSync('oclif.manifest.json', await manifestText(root));
  }
}
