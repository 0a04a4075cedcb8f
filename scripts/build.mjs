// Bundles src/ into dist/ (scripts/bundle.mjs), then writes oclif.manifest.json.
import { rmSync, writeFileSync } from 'node:fs';
import { build, context } from 'esbuild';
import { bundleOptions, root } from './bundle.mjs';
import { manifestText } from './manifest.mjs';

process.chdir(root);

if (process.argv.includes('--watch')) {
  await (await context(bundleOptions())).watch();
  console.error('watching src/');
} else {
  rmSync('dist', { recursive: true, force: true });
  await build(bundleOptions());
  if (!process.argv.includes('--no-manifest')) {
    writeFileSync('oclif.manifest.json', await manifestText(root));
  }
}
