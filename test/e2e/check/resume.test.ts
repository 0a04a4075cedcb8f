/** A check that was interrupted goes on: what it had found is in the answer, each row once. */
import { readFile, readdir, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { resumeFile } from '../../../src/consistency/resume/file.js';
import type { SavedCheck } from '../../../src/consistency/resume/saved.js';
import type { CheckResult } from '../../../src/consistency/result.js';
import { killNode, startNode } from '../../../src/sandbox/sandbox.js';
import { makeCluster } from '../../integration/consistency/cluster.js';
import { type CliResult, runCli, startCli } from '../../support/cli.js';
import { type Servers, startServers } from '../../support/servers.js';
import { urlEnv } from '../../support/home-cli.js';

const ROWS = 12_000;
/** Every so many rows one differs: in each block of 500, so that no block can be left out unseen. */
const EVERY = 100;

let servers: Servers;
let env: Record<string, string>;
beforeAll(async () => {
  servers = await startServers({ nodes: 3 });
  await makeCluster(servers, servers.fleet(), {
    create: () => `create table a (id int primary key, note text);
      create table b (id bigint primary key, note text);
      create table c (one text, two uuid, primary key (one, two))`,
    published: ['a', 'b', 'c'],
    fill: `insert into a select g, 'a ' || g from generate_series(1, 700) g;
      insert into b select g, 'b ' || g from generate_series(-200, ${String(ROWS - 201)}) g;
      insert into c select g || ' "é', md5(g::text)::uuid from generate_series(1, 700) g`,
  });
  const n2 = await servers.superuser('n2');
  await n2.simple(`update a set note = 'A' where id = 7;
    update b set note = 'B' where id % ${String(EVERY)} = 0;
    delete from b where id = ${String(ROWS - 205)}; insert into b values (-9223372036854775808, 'min'), (9223372036854775807, 'max');
    delete from c where one like '17 %'`);
  env = {
    HOME: servers.sandbox.directory,
    ...urlEnv(servers.config),
  };
});
afterAll(() => servers.down());

const states = () => path.join(servers.sandbox.directory, 'state/repctl/checks');
const FLAGS = ['--block-rows', '500'];
const stateFile = (report?: string): string =>
  resumeFile(path.join(servers.sandbox.directory, 'state/repctl'), 'repctl', {
    ...{ tables: [], nodes: [], rows: 10, blockRows: 500, paranoid: false, where: null, since: null },
    report: report ?? null,
  });
const readSaved = async (file: string): Promise<SavedCheck | undefined> => {
  const text = await readFile(file, 'utf8').catch(() => undefined);
  return text === undefined ? undefined : (JSON.parse(text) as SavedCheck);
};

/** A check that is ended, by a signal or otherwise, once it has noted down that it is in the middle of table b. */
async function interrupted(
  end: (pid: number) => unknown,
  report?: string,
  flags: readonly string[] = [],
): Promise<CliResult & { saved: SavedCheck }> {
  const more = report === undefined ? [] : ['--report', report];
  const running = startCli(['check', ...FLAGS, '--max-rate', '8000rows', ...more, ...flags], { env });
  await running.seen(
    () => readSaved(stateFile(report)),
    (saved) => saved?.open?.name === 'b' && BigInt(saved.open.rows) > 500n,
  );
  await end(running.child.pid ?? 0);
  const result = await running.ended;
  const { stdout, stderr } = result;
  const saved = await readSaved(stateFile(report));
  if (saved === undefined) throw new Error(`no state is left: ${stdout}\n${stderr}`);
  return { ...result, saved };
}

const check = (...args: string[]): Promise<CliResult> => runCli(['check', ...FLAGS, ...args], { env });
const kill = (signal: NodeJS.Signals) => (pid: number) => process.kill(pid, signal);

/** What was found, without times and counts of work. */
const found = (stdout: string) =>
  (JSON.parse(stdout) as CheckResult).tables.map(({ name, rows, nodes }) => ({
    ...{ name, rows },
    nodes: nodes.map(({ node, verdict, rows, missing, extra, differing, unverified, problem }) => ({
      ...{ node, verdict, rows, missing, extra, differing, unverified, problem },
    })),
  }));
const lines = async (file: string) => (await readFile(file, 'utf8')).trimEnd().split('\n').toSorted();

describe('repctl check --resume', () => {
  let whole: { readonly found: ReturnType<typeof found>; readonly lines: string[] };
  beforeEach(async () => {
    if (whole as typeof whole | undefined) return;
    const report = path.join(servers.sandbox.directory, 'whole.ndjson');
    const result = await check('--report', report, '--json');
    whole = { found: found(result.stdout), lines: await lines(report) };
    expect(whole.found.map(({ rows }) => rows)).toEqual(['700', String(ROWS), '700']);
    expect(whole.found[1]?.nodes[0]).toMatchObject({ missing: 1, extra: 2, differing: ROWS / EVERY });
    expect(new Set(whole.lines).size).toBe(1 + (ROWS / EVERY + 3) + 1);
  });

  test('nothing was interrupted: exit 2', async () => {
    const result = await check('--resume');
    expect(result).toMatchObject({ code: 2, stdout: '' });
    expect(result.stderr).toMatch(/no interrupted check of .* Nothing was compared\. \(nothing-to-resume\)/);
    expect(await readdir(states())).not.toContain(path.basename(stateFile()));
  });

  test.each(['SIGKILL', 'SIGTERM', 'SIGINT'] as const)(
    '%s in the middle: the same rows, every difference once, in the file too',
    async (signal) => {
      const report = path.join(servers.sandbox.directory, `${signal}.ndjson`);
      const first = await interrupted(kill(signal), report);
      if (signal === 'SIGKILL') expect(first.signal).toBe('SIGKILL');
      else {
        expect(first.code).toBe(130);
        expect(first.stderr).toContain(stateFile(report));
        expect(first.stderr).toContain(`repctl check --resume ${FLAGS.join(' ')}`);
      }
      expect((await stat(stateFile(report))).mode & 0o777).toBe(0o600);
      const second = await check('--resume', '--report', report, '--json');
      expect(second.code).toBe(5);
      const result = JSON.parse(second.stdout) as CheckResult;
      expect(found(second.stdout)).toEqual(whole.found);
      expect(await lines(report)).toEqual(whole.lines);
      expect(result.report?.rows).toBe(whole.lines.length);
      // It did go on, and from where it was.
      expect(result.resumed).toMatchObject({
        startedAt: first.saved.startedAt,
        rows: String(700n + BigInt(first.saved.open?.rows ?? 0)),
      });
      expect(await readSaved(stateFile(report))).toBeUndefined();
    },
  );

  test('interrupted twice', async () => {
    const report = path.join(servers.sandbox.directory, 'twice.ndjson');
    const { saved } = await interrupted(kill('SIGKILL'), report);
    const running = startCli(['check', '--resume', ...FLAGS, '--max-rate', '4000rows', '--report', report], {
      env,
    });
    await running.seen(
      () => readSaved(stateFile(report)),
      (now) => now?.open != null && BigInt(now.open.next) > BigInt(saved.open?.next ?? 0),
    );
    running.child.kill('SIGKILL');
    await running.ended;
    const last = await check('--resume', '--report', report, '--json');
    expect(found(last.stdout)).toEqual(whole.found);
    expect(await lines(report)).toEqual(whole.lines);
  });

  test('a replica goes away: the others are compared, then it goes on with all of them', async () => {
    const first = await interrupted(() => killNode(servers.sandbox, 'n3'));
    // n2 has diverged, whatever is known of n3.
    expect(first.code).toBe(5);
    expect(first.stdout).toContain(`repctl check --resume ${FLAGS.join(' ')}`);
    const away = await check('--resume');
    expect(away.code).toBe(3);
    expect(away.stderr).toMatch(/n3 cannot be reached.*\(node-unreachable\)/);
    await startNode(servers.sandbox, 'n3');
    const second = await check('--resume', '--json');
    expect(second.code).toBe(5);
    expect(found(second.stdout)).toEqual(whole.found);
    expect(await readSaved(stateFile())).toBeUndefined();
  });

  test('the leader goes away: how to go on is said', async () => {
    // So long it is waited for.
    const first = await interrupted(() => killNode(servers.sandbox, 'n1'), undefined, ['--timeout', '5s']);
    expect(first.code).toBe(3);
    expect(first.stderr).toMatch(/n1.*\n.*repctl check --resume/s);
    await startNode(servers.sandbox, 'n1');
    const second = await check('--resume', '--json');
    expect(found(second.stdout)).toEqual(whole.found);
  });

  describe('refused', () => {
    let saved: SavedCheck;
    beforeAll(async () => {
      ({ saved } = await interrupted(kill('SIGKILL')));
    });
    const refused = async (change: object | string, args = [...FLAGS, '--resume']): Promise<CliResult> => {
      const text = typeof change === 'string' ? change : JSON.stringify({ ...saved, ...change });
      await writeFile(stateFile(), text);
      const result = await runCli(['check', ...args], { env });
      // It is kept: whoever typed the wrong thing may go on yet.
      expect(await readFile(stateFile(), 'utf8')).toBe(text);
      expect(result.stdout).toBe('');
      return result;
    };

    test.each([
      ['another epoch', { epoch: 9 }, /n1 in epoch 9; now n1 leads in epoch 1/],
      ['another leader', { leader: 'n2' }, /compared with n2/],
      ['another cluster', { cluster: 'other' }, /was of cluster other/],
      [
        'a cluster of the same name',
        { epochStartedAt: '2020-01-01T00:00:00Z' },
        /another cluster with this name/,
      ],
      ['other nodes', { nodes: ['n2'] }, /it compared n2; now it would be n2, n3/],
    ])('%s: exit 6', async (_, change, words) => {
      const result = await refused(change);
      expect(result.code).toBe(6);
      expect(result.stderr).toMatch(words);
      expect(result.stderr).toMatch(/\(resume-stale\)/);
      expect(result.stderr).toMatch(/repctl check .*begins anew/);
    });

    test.each([
      ['an older format', { format: 0 }, /another version/],
      ['half a file', '{"format":1,"clu', /damaged/],
      ['a field that is not right', { epoch: 'one' }, /damaged at epoch/],
    ])('%s: exit 6', async (_, change, words) => {
      const result = await refused(change);
      expect(result.code).toBe(6);
      expect(result.stderr).toMatch(words);
      expect(result.stderr).toMatch(/\(resume-unreadable\)/);
    });

    test.each([
      ['other tables', ['a', '--resume', ...FLAGS]],
      ['another block size', ['--resume', '--block-rows', '400']],
      ['another filter', [...FLAGS, '--resume', 'b', '--where', 'id > 5']],
      ['a report', [...FLAGS, '--resume', '--report', 'x']],
    ])('%s: exit 2, what to type', async (_, args) => {
      const result = await refused({}, args);
      expect(result.code).toBe(2);
      expect(result.stderr).toMatch(/\(resume-mismatch\)/);
      expect(result.stderr).toContain(`repctl check --resume ${FLAGS.join(' ')} --max-rate 8000rows`);
    });

    test('with --exact: no moment can be gone back to', async () => {
      expect(await refused({}, [...FLAGS, '--resume', '--exact'])).toMatchObject({ code: 2 });
    });

    test('the table under way, and one that was done, is another one by now', async () => {
      const n1 = await servers.superuser('n1');
      for (const table of ['b', 'a']) {
        await n1.simple(`alter table ${table} alter note type varchar(1000)`);
        const result = await refused({});
        await n1.simple(`alter table ${table} alter note type text`);
        expect(result.code).toBe(6);
        expect(result.stderr).toMatch(
          new RegExp(`public\\.${table} was defined otherwise then.*\\(resume-stale\\)`),
        );
      }
      await n1.close();
    });
  });
});
