/** Sessions that are opened before the command line is understood: those of the command, and no others. */
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { nodeOf } from '../../../src/sandbox/sandbox.js';
import { createCluster } from '../../support/cluster.js';
import { type Cli, makeCli, urlEnv } from '../../support/home-cli.js';
import { type Servers, startServers } from '../../support/servers.js';

const FILE = 'own.yaml';

describe('what is begun early', () => {
  let servers: Servers;
  let cli: Cli;
  let env: Record<string, string>;

  beforeAll(async () => {
    servers = await startServers({ nodes: 2, settings: { log_connections: 'on', log_disconnections: 'on' } });
    await createCluster(servers.fleet());
    cli = makeCli();
    env = urlEnv(servers.config);
    const nodes = Object.fromEntries(servers.config.nodes.map(({ name, url }) => [name, { url }]));
    const { cluster, tables } = servers.config;
    await writeFile(path.join(cli.home, FILE), JSON.stringify({ cluster, tables, nodes }), { mode: 0o600 });
  });
  afterAll(async () => {
    cli.end();
    await servers.down();
  });

  /** Logins of repctl at n2 until now. */
  const logins = async () => {
    const log = await readFile(nodeOf(servers.sandbox, 'n2').logFile, 'utf8');
    return log.split('\n').filter((line) => line.includes('connection authorized: user=app')).length;
  };

  it.each([
    ['is taken by the command', ['status'], {}, 0, 1],
    ['by one that takes the lock', ['failover', '--yes'], {}, 6, 1],
    ['with its file named', ['status', '--config', FILE], {}, 0, 1],
    ['is not begun with another timeout', ['status', '--timeout', '4s'], {}, 0, 1],
    ['nor from the environment', ['status'], { REPCTL_TIMEOUT: '4s' }, 0, 1],
    ['nor with --verbose', ['status', '-v'], {}, 0, 1],
    ['is let go where the command line is refused', ['status', '--bogus'], {}, 2, 1],
    ['nor for help', ['status', '--help'], {}, 0, 0],
    ['nor for the version', ['--version'], {}, 0, 0],
  ])('%s: %j', async (_, args, more, code, count) => {
    const before = await logins();
    const result = await cli.run(args, { env: { ...env, ...more } });
    expect(result.code, result.stderr).toBe(code);
    expect((await logins()) - before).toBe(count);
  });
});
