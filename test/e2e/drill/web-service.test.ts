/** Drills whose clients go through web services: the drill's own, one of them killed, and a user's. */
import { spawn } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadConfig } from '../../../src/config/load.js';
import { programFile } from '../../../src/drill/programs.js';
import type { DrillResult } from '../../../src/drill/result.js';
import type { ServiceTask } from '../../../src/drill/service/main.js';
import { PRODUCTS } from '../../../src/products/schema.js';
import { processes } from '../../../src/sandbox/process.js';
import { type Cli, makeCli } from '../../support/home-cli.js';
import { until } from '../../support/wait.js';

interface Report {
  results: (DrillResult & { directory: string })[];
}

let cli: Cli;
let sandbox: string;

const args = (...rest: string[]): string[] => ['drill', 'run', ...rest, '--dir', sandbox];
const services = async (): Promise<string[]> =>
  (await processes())
    .filter((one) => !one.zombie && one.command.includes('dist/drill/service/main.js'))
    .map((one) => one.command);

function scenario(name: string, rest: string): string {
  const file = path.join(cli.home, `${name}.yaml`);
  writeFileSync(
    file,
    `name: ${name}\ntitle: Short\ncluster: { nodes: 2 }\nworkload:\n  duration: 2s\n  writers: { clients: 4, rate: 40 }\n  readers: { clients: 4, rate: 40 }\n${rest}`,
  );
  return file;
}

beforeAll(() => {
  cli = makeCli();
  // As root the servers' account must get there.
  sandbox = path.join('/var/tmp', `repctl-web-${String(process.pid)}`);
});
afterAll(() => {
  cli.end();
});

describe('drill run through web services', () => {
  it('one of two is killed: no more fails than the requests that it was at', async () => {
    const file = scenario(
      'web',
      '  service: { processes: 2 }\nsteps: [{ at: 1s, killWeb: 1 }]\nexpect: { writes: { errors: 4 }, reads: { errors: 4 } }\n',
    );
    const { code, data } = await cli.json<Report>(args(file));
    const [result] = data.results;
    expect({ code, error: result?.error, unmet: result?.verdicts.filter((one) => !one.met) }).toEqual({
      code: 0,
      error: null,
      unmet: [],
    });
    expect(result?.steps).toMatchObject([{ title: 'kill -9 web service 1', ok: true }]);
    expect(result?.measurements?.writes.ok).toBeGreaterThan(10);
    expect(result?.measurements?.reads.ok).toBeGreaterThan(10);
  });

  it('a session that the killed process kept forgets; one in a token does not', async () => {
    for (const variant of ['stateful', 'stateless']) {
      const { code, data } = await cli.json<Report>(args(`stateful-against-stateless/${variant}`));
      const violations = data.results[0]?.measurements?.violations;
      const forgotten = (violations?.readYourWrites.length ?? 0) + (violations?.monotonicReads.length ?? 0);
      expect({ variant, code, forgets: forgotten > 0 }, JSON.stringify(data.results[0]?.verdicts)).toEqual({
        variant,
        code: 0,
        forgets: variant === 'stateful',
      });
    }
  });

  it('--http waits for a service of one’s own, and goes through it', async () => {
    const probe = createServer();
    await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve));
    const address = probe.address();
    const port = typeof address === 'object' ? (address?.port ?? 0) : 0;
    await new Promise((resolve) => probe.close(resolve));
    const url = `http://127.0.0.1:${String(port)}`;
    const drill = cli.start(args(scenario('own', 'steps: []\n'), '--http', url));
    const told = await drill.seen(
      () => Promise.resolve(drill.stderr),
      (text) => text.includes(`waiting for ${url}`),
      60_000,
    );
    const [, file = ''] = /databases that it is to use are in (\S+)/u.exec(told) ?? [];
    const task: ServiceTask = {
      config: loadConfig({ file }),
      table: PRODUCTS,
      pool: { size: 5, overflow: 10, timeout: 30_000, prePing: true },
      timeout: 10_000,
      session: 'token',
      port,
    };
    const own = spawn(process.execPath, [programFile('dist/drill/service/main.js')], {
      stdio: ['pipe', 'ignore', 'inherit'],
    });
    own.stdin.write(`${JSON.stringify(task)}\n`);
    try {
      const { code, stdout, stderr } = await drill.ended;
      expect(code, stderr + stdout).toBe(0);
      expect(stdout).toMatch(/own {2}● met/u);
      expect(own.exitCode).toBeNull();
    } finally {
      own.stdin.end();
    }
    await until(services, (commands) => commands.length === 0, 10_000);
    expect(existsSync(sandbox)).toBe(false);
  });

  it('refuses what cannot be run, before any server is started', async () => {
    for (const [given, status, words] of [
      [['web-server-dies', '--http', 'http://127.0.0.1:1'], 6, '(service-not-ours)'],
      [['slow-link', '--http', 'ftp://127.0.0.1'], 2, '--http takes a URL such as'],
      [['slow-link', '--http', 'http://me:secret@127.0.0.1'], 2, 'without user'],
    ] as const) {
      const { code, stderr } = await cli.run(args(...given));
      expect(code, stderr).toBe(status);
      expect(stderr).toContain(words);
      expect(stderr).not.toContain('secret');
    }
    expect(existsSync(sandbox)).toBe(false);
  });
});
