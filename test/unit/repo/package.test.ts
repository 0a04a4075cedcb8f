import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { ROOT, read } from './files.js';

interface PackageJson {
  engines: { node: string };
  bin: Record<string, string>;
  files: string[];
  scripts: Record<string, string>;
}

describe('package', () => {
  it('names no registry in its lock file', () => {
    expect(read('package-lock.json')).not.toMatch(/"resolved"|https?:\/\/[^"]*(?:registry|\.tgz)/u);
  });

  it('has the scripts, files and engines that README promises', () => {
    const pack = JSON.parse(read('package.json')) as PackageJson;
    expect(pack.engines.node).toBe('>=20.17.0');
    expect(pack.bin).toEqual({ repctl: 'bin/run.js' });
    expect(Object.keys(pack.scripts)).toEqual(
      expect.arrayContaining(['demo', 'test', 'build', 'lint', 'format', 'bench', 'dev']),
    );
    expect(pack.files).toEqual(expect.arrayContaining(['bin', 'dist', 'oclif.manifest.json']));
  });

  it('has a manifest that is fresh: npm run build writes it', () => {
    const script = `
      const { manifestText } = await import('./scripts/manifest.mjs');
      process.stdout.write(await manifestText(process.cwd()));
    `;
    const fresh = execFileSync(process.execPath, ['--input-type=module', '-e', script], {
      cwd: ROOT,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    expect(read('oclif.manifest.json')).toBe(fresh);
  });
});
