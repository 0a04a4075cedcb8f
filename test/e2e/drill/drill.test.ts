/** `repctl drill` as a person runs it: short drills on real servers, one that is refused, killed, interrupted. */
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { diskProblem, mountDisk, unmountBelow } from '../../../src/sandbox/disk.js';
import { processes } from '../../../src/sandbox/process.js';
import type { DrillResult } from '../../../src/drill/result.js';
import { parseHistory } from '../../../src/drill/history.js';
import { type Cli, makeCli } from '../../support/home-cli.js';
import { mismatches, shapesIn } from '../../support/shape.js';
import { until } from '../../support/wait.js';

interface Report {
  met: boolean;
  results: (DrillResult & { directory: string })[];
}

/** Why no small disk can be mounted here. */
const noDisks = await diskProblem();

let cli: Cli;
let sandbox: string;
const shapes = shapesIn(readFileSync(new URL('../../../docs/json.md', import.meta.url), 'utf8'));

/** Everything that a drill in this place started, itself included. */
const left = async (): Promise<string[]> =>
  (await processes()).filter((one) => !one.zombie && one.command.includes(sandbox)).map((one) => one.command);

function scenario(name: string, rest: string): string {
  const file = path.join(cli.home, `${name}.yaml`);
  writeFileSync(
    file,
    `name: ${name}\ntitle: Short\ncluster: { nodes: 3, connectTimeout: 3s }\nworkload:\n  duration: 2s\n  writers: { clients: 2, rate: 6 }\n  readers: { clients: 2, rate: 6, levels: [session, eventual] }\n${rest}`,
  );
  return file;
}

const args = (...rest: string[]): string[] => ['drill', 'run', ...rest, '--dir', sandbox];

beforeAll(() => {
  cli = makeCli();
  // As root the servers' account must get there.
  sandbox = path.join('/var/tmp', `repctl-drill-${String(process.pid)}`);
});
afterAll(() => {
  cli.end();
});

describe('drill', () => {
  it('killed at any point leaves no process, and the next one runs; another at the same time is refused', async () => {
    const endless = scenario('endless', 'steps: [{ wait: 300s }]\n');
    const first = cli.spawn(args(endless));
    let said = '';
    first.stderr?.on('data', (chunk: Buffer) => (said += chunk.toString()));
    await until(
      () => Promise.resolve(said),
      (text) => text.includes('building the cluster'),
      60_000,
    );
    const second = await cli.run(args(endless));
    expect(second.code, second.stderr).toBe(6);
    expect(second.stderr).toContain('Another drill is at it');
    expect(second.stderr).toContain('--dir DIR');
    first.kill('SIGKILL');
    await until(left, (commands) => commands.length === 0, 30_000);
    expect(existsSync(sandbox)).toBe(false);

    // The next one: the leader dies, and what clients saw is recorded and judged.
    const killed = scenario(
      'killed',
      'steps: [{ at: 1s, kill: leader }, { failover: true }, { when: writing, start: former }, { rejoin: former }]\nexpect: { rto: 60s, writes: { p99AtLeast: 1h } }\n',
    );
    const { code, data } = await cli.json<Report>(args(killed, '--seed', '3'));
    expect(mismatches(data, shapes.get('drill run') ?? 'any')).toEqual([]);
    const [result] = data.results;
    const unmet = result?.verdicts.filter((one) => !one.met).map((one) => one.expectation);
    // Nothing takes an hour: the one expectation that cannot be met is the one that is not.
    expect({ code, unmet, error: result?.error }).toEqual({
      code: 4,
      unmet: ['writes.p99AtLeast'],
      error: null,
    });
    expect(result?.status).toBe('violated');
    expect(result?.measurements?.rto[0]?.ms).toBeGreaterThan(0);
    expect(result?.measurements?.end).toMatchObject({ state: 'healthy', epoch: 2 });
    expect(result?.command).toBe(`repctl drill run ${killed} --seed 3`);
    const lines = parseHistory(readFileSync(path.join(result?.directory ?? '', 'samples.ndjson'), 'utf8'));
    const kinds = new Set<string>(lines.map((line) => line.kind));
    // Whether the leader dies with something that it had not sent is chance.
    kinds.delete('stranded');
    expect(kinds).toEqual(new Set(['traffic', 'start', 'write', 'read', 'look', 'step', 'final']));
    expect(await left()).toEqual([]);
  });

  it('Ctrl-C takes the sandbox down and keeps what was measured', async () => {
    const endless = scenario('endless', 'steps: [{ at: 1s, wait: 10ms }, { wait: 300s }]\n');
    const child = cli.spawn(args(endless));
    let said = '';
    child.stderr?.on('data', (chunk: Buffer) => (said += chunk.toString()));
    const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
    await until(
      () => Promise.resolve(said),
      (text) => text.includes('✓ wait 10ms'),
      90_000,
    );
    child.kill('SIGINT');
    expect(await ended).toBe(130);
    expect(await left()).toEqual([]);
    expect(existsSync(sandbox)).toBe(false);
    const drills = path.join(cli.home, 'state/repctl/drills');
    const run =
      readdirSync(drills)
        .filter((name) => name.includes('endless'))
        .sort()
        .at(-1) ?? '';
    const result = JSON.parse(readFileSync(path.join(drills, run, 'result.json'), 'utf8')) as DrillResult;
    expect(result).toMatchObject({ status: 'interrupted', verdicts: [] });
    expect(result.measurements?.writes.ok).toBeGreaterThan(0);
    // Passwords of servers that are gone are not kept.
    expect(existsSync(path.join(drills, run, 'repctl.yaml'))).toBe(false);
  });

  it.skipIf(noDisks !== undefined)(
    'a full disk while recording ends it, with everything taken down',
    async () => {
      const state = path.join(cli.home, 'state');
      mkdirSync(state, { recursive: true });
      await mountDisk(state, 1, null);
      try {
        // What is left is enough to begin with, for some seconds of samples.
        writeFileSync(path.join(state, 'taken'), Buffer.alloc(900 * 1024));
        const endless = scenario('endless', 'steps: [{ wait: 300s }]\n');
        const { code, stderr } = await cli.run(args(endless));
        expect(code, stderr).toBe(7);
        expect(stderr).toContain('(recording-failed)');
        expect(stderr).toContain('no space left on device');
        expect(stderr).toContain('Make room, or set XDG_STATE_HOME to another place.');
        expect(await left()).toEqual([]);
        expect(existsSync(sandbox)).toBe(false);
      } finally {
        await unmountBelow(state);
      }
    },
  );

  it('refuses what cannot be run, before any server is started', async () => {
    const wrong = scenario('wrong', 'stpes: []\n');
    for (const [given, words] of [
      [[wrong], 'wrong.yaml:8: stpes: there is no such key.'],
      [['leader-kiled'], 'Did you mean leader-killed?'],
      [[], 'Which drill?'],
      [['--all', 'leader-killed'], 'Give names, --all or --game-day.'],
    ] as const) {
      const { code, stderr } = await cli.run(args(...given));
      expect(code, stderr).toBe(2);
      expect(stderr).toContain(words);
    }
    expect(existsSync(sandbox)).toBe(false);
  });

  it('list names the shipped scenarios', async () => {
    const { code, data } = await cli.json<{ scenarios: { name: string }[] }>(['drill', 'list']);
    expect(code).toBe(0);
    expect(mismatches(data, shapes.get('drill list') ?? 'any')).toEqual([]);
    expect(data.scenarios.map((one) => one.name)).toContain('leader-killed');
  });
});
