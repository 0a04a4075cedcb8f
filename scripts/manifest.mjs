// What `oclif manifest` writes, without its process, its look for updates and its absolute paths.
import { Plugin } from '@oclif/core';

/** The text of oclif.manifest.json for what is in dist/: the same build gives the same text. */
export async function manifestText(root) {
  const plugin = new Plugin({
    type: 'core',
    ignoreManifest: true,
    errorOnManifestCreate: true,
    respectNoCacheDefault: true,
    root,
  });
  await plugin.load();
  const { commands, ...rest } = plugin.manifest;
  // By id, whatever order the file system gave; what is inside keeps its order (arguments are positional).
  const sorted = Object.entries(commands).sort(([a], [b]) => (a < b ? -1 : 1));
  return `${JSON.stringify({ commands: Object.fromEntries(sorted), ...rest }, null, 2)}\n`;
}
