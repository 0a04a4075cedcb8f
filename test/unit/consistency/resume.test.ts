import { mkdtemp, mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it, test } from 'vitest';
import { resumeCommand } from '../../../src/cli/check-flags.js';
import { type CheckRequest, requestOf } from '../../../src/consistency/checking/request.js';
import { openReport } from '../../../src/consistency/report.js';
import { type CheckpointOptions, openCheckpoints, resumeFile } from '../../../src/consistency/resume/file.js';
import {
  type Now,
  type SavedCheck,
  parseSaved,
  pointOf,
  saveTally,
  whyStale,
} from '../../../src/consistency/resume/saved.js';
import { type NodeTally, newTally } from '../../../src/consistency/tally.js';

const request = (more: Partial<CheckRequest> = {}): CheckRequest => ({
  ...{ tables: [], nodes: [], rows: 10, concurrency: 2, blockRows: 500, waitMs: 1000 },
  ...more,
});

const saved = (more: Partial<SavedCheck> = {}): SavedCheck => ({
  ...{ format: 1, cluster: 'shop', leader: 'n1', epoch: 3, epochStartedAt: '2026-11-23T10:00:00Z' },
  ...{ nodes: ['n2', 'n3'], digest: 'hash', since: null, request: requestOf(request(), undefined) },
  ...{ command: 'repctl check --resume', startedAt: '2026-11-27T10:00:00Z', savedAt: '2026-11-27T11:00:00Z' },
  ...{ done: [], open: null, report: null },
  ...more,
});

describe('a point goes through the file and comes back', () => {
  const reading = (key: string) => ({ key, hash: '-9', version: '7', values: [key, null, '', ' "é\\\n'] });
  const tally: NodeTally = {
    ...newTally(),
    rows: 2n ** 63n,
    ...{ blocks: 3, blocksDiffering: 2, blocksNotListed: 1, rechecked: 9, inFlight: 4 },
    ...{ missing: 1, extra: 2, differing: 3, unverified: 5, problem: 'n2: it went away' },
    suspects: new Set(['1', '-9223372036854775808', '["a \\"é","2026-01-01 00:00:01.5+00"]']),
    samples: [
      { key: '9', kind: 'differing', proven: true, leader: reading('9'), node: reading('9') },
      { key: '["x",""]', kind: 'missing', proven: false, leader: reading('x'), node: null },
    ],
  };

  test.each([-(2n ** 63n), -1n, 0n, 9_007_199_254_740_993n, 2n ** 63n - 1n])('next key %s', (next) => {
    const open = {
      ...{ schema: 'public', name: 'b', form: 'f', next: String(next), rows: '9007199254740993' },
      ...{ blocks: 7, durationMs: 1200, nodes: { n2: saveTally(tally) } },
    };
    const back = parseSaved(JSON.stringify(saved({ open })), 'file').open;
    expect(back && pointOf(back)).toEqual({
      ...{ next, rows: 9_007_199_254_740_993n, blocks: 7 },
      nodes: new Map([['n2', tally]]),
    });
  });
});

describe('what is no state of a check is refused', () => {
  it.each([
    ['nothing', '', 'damaged'],
    ['half of it', JSON.stringify(saved()).slice(0, 80), 'damaged'],
    ['null', 'null', 'another version'],
    ['a list', '[]', 'another version'],
    ['an older format', JSON.stringify({ ...saved(), format: 0 }), 'another version of repctl (format 0'],
    ['a newer format', JSON.stringify({ ...saved(), format: 2 }), 'another version of repctl (format 2'],
    ['without the leader', JSON.stringify({ ...saved(), leader: undefined }), 'damaged at leader'],
    ['a count below 0', JSON.stringify({ ...saved(), epoch: -1 }), 'damaged at epoch'],
    [
      'a key that is none',
      JSON.stringify(
        saved({
          open: {
            ...{ schema: 'public', name: 'b', form: 'f', next: '1e9', rows: '1', blocks: 1 },
            ...{ durationMs: 1, nodes: {} },
          },
        }),
      ),
      'damaged at open.next',
    ],
  ])('%s', (_, text, words) => {
    expect(() => parseSaved(text, '/state/x')).toThrow(
      expect.objectContaining({ code: 'resume-unreadable', exit: 6 }) as Error,
    );
    expect(() => parseSaved(text, '/state/x')).toThrow(words);
  });
});

describe('a cluster that is another one by now', () => {
  const now: Now = { ...saved(), unreachable: [] };
  it('goes on where nothing changed', () => {
    expect(whyStale(saved(), now)).toBeUndefined();
    // Who did not answer then need not answer now.
    expect(whyStale(saved(), { ...now, unreachable: ['n4'] })).toBeUndefined();
  });

  it.each<[string, Partial<Now>, string, number, string]>([
    ['the cluster', { cluster: 'other' }, 'resume-stale', 6, 'of cluster shop, this is other'],
    ['the epoch', { epoch: 4 }, 'resume-stale', 6, 'now n1 leads in epoch 4'],
    ['the leader', { leader: 'n2' }, 'resume-stale', 6, 'now n2 leads in epoch 3'],
    ['created anew', { epochStartedAt: 'x' }, 'resume-stale', 6, 'another cluster with this name'],
    ['a replica less', { nodes: ['n2'] }, 'resume-stale', 6, 'it compared n2, n3; now it would be n2'],
    ['a replica more', { nodes: ['n2', 'n3', 'n4'] }, 'resume-stale', 6, 'now it would be n2, n3, n4'],
    ['one away', { nodes: ['n2'], unreachable: ['n3'] }, 'node-unreachable', 3, 'n3 cannot be reached'],
  ])('%s', (_, change, code, exit, words) => {
    const why = whyStale(saved(), { ...now, ...change });
    expect(why).toMatchObject({ code, exit });
    expect(why?.message).toContain(words);
    expect(why?.hint).toContain('repctl check');
  });
});

describe('the file', () => {
  let stateDir: string;
  beforeEach(async () => {
    stateDir = await mkdtemp(path.join(tmpdir(), 'repctl-resume-'));
  });
  afterEach(() => rm(stateDir, { recursive: true, force: true }));
  const warnings: string[] = [];
  const options = (more: Partial<CheckpointOptions> = {}): CheckpointOptions => ({
    ...{ stateDir, cluster: 'shop', request: requestOf(request(), undefined), resume: false },
    command: 'repctl check --resume',
    warn: (text) => warnings.push(text),
    ...more,
  });

  it('is 0600, replaced as a whole, found again, and forgotten by the next check of its kind', async () => {
    const first = await openCheckpoints(options());
    await first.save(saved({ epoch: 1 }));
    await first.save(saved({ epoch: 2 }));
    expect((await stat(first.file)).mode & 0o777).toBe(0o600);
    expect((await openCheckpoints(options({ resume: true }))).last).toEqual(saved({ epoch: 2 }));
    await openCheckpoints(options());
    await expect(openCheckpoints(options({ resume: true }))).rejects.toMatchObject({
      ...{ code: 'nothing-to-resume', exit: 2 },
    });
  });

  it('of another request: what was interrupted is named', async () => {
    const other = requestOf(request({ tables: ['orders'] }), undefined);
    const cron = await openCheckpoints(options({ request: other, command: 'repctl check --resume orders' }));
    await cron.save(saved({ command: 'repctl check --resume orders' }));
    await expect(openCheckpoints(options({ resume: true }))).rejects.toMatchObject({
      ...{ code: 'resume-mismatch', exit: 2, hint: 'repctl check --resume orders' },
    });
    // A check of another kind leaves it alone.
    await openCheckpoints(options());
    expect(await readFile(cron.file, 'utf8')).toContain('orders');
  });

  it('that cannot be written is said once, and the check goes on', async () => {
    await writeFile(path.join(stateDir, 'checks'), 'no directory');
    const checkpoints = await openCheckpoints(options());
    await checkpoints.save(saved());
    await checkpoints.save(saved());
    expect(checkpoints.last).toBeUndefined();
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toContain('cannot be written');
  });

  it('a file that a process of the same number left half written is in nobody’s way', async () => {
    const checkpoints = await openCheckpoints(options());
    await mkdir(path.dirname(checkpoints.file), { recursive: true });
    await writeFile(`${checkpoints.file}.${String(process.pid)}.tmp`, 'half');
    await checkpoints.save(saved());
    expect(checkpoints.last).toEqual(saved());
  });
});

describe('which requests are the same', () => {
  const file = (more: Partial<CheckRequest>, report?: string) =>
    resumeFile('/s', 'shop', requestOf(request(more), report));
  const all = file({});
  it.each<[string, Partial<CheckRequest>]>([
    ['how many lanes', { concurrency: 9 }],
    ['how fast', { rate: { rows: 5 } }],
    ['how long it waits', { waitMs: 5 }],
  ])('whatever %s', (_, more) => {
    expect(file(more)).toBe(all);
  });
  it('in whatever order tables and nodes are named', () => {
    expect(file({ tables: ['a', 'b'], nodes: ['n2', 'n3'] })).toBe(
      file({ tables: ['b', 'a'], nodes: ['n3', 'n2'] }),
    );
  });
  it.each<[string, string]>([
    ['tables', file({ tables: ['a'] })],
    ['nodes', file({ nodes: ['n2'] })],
    ['block size', file({ blockRows: 501 })],
    ['rows shown', file({ rows: 11 })],
    ['digests', file({ paranoid: true })],
    ['filter', file({ where: 'id > 5' })],
    ['time', file({ since: { at: { agoMs: 5 }, column: 'x' } })],
    ['report', file({}, '/x')],
  ])('not with other %s', (_, other) => {
    expect(other).not.toBe(all);
  });
});

test('what to type: as it was called, quoted for a shell', () => {
  expect(resumeCommand([])).toBe('repctl check --resume');
  expect(resumeCommand(['a', '--resume', '--where', "id > 5 and t = 'x'", '--report', '/tmp/a b'])).toBe(
    String.raw`repctl check --resume a --where 'id > 5 and t = '\''x'\''' --report '/tmp/a b'`,
  );
});

describe('the report of an interrupted check', () => {
  let directory: string;
  let file: string;
  const noted = '{"schema":"public","table":"t","node":"n2","kind":"missing"}\n';
  beforeEach(async () => {
    directory = await mkdtemp(path.join(tmpdir(), 'repctl-report-'));
    file = path.join(directory, 'diff.ndjson');
    await writeFile(file, noted.repeat(20) + noted.slice(0, 9), { mode: 0o600 });
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));
  const goOn = () => openReport(file, { bytes: Buffer.byteLength(noted), rows: 1 });

  it('loses what was written after the last note, at the first line that comes', async () => {
    const report = await goOn();
    await report.add({ schema: 'public', name: 't' }, 'n2', [
      { kind: 'missing', key: { id: '2' }, columns: [], proven: true, copies: null },
    ]);
    expect(await report.sync()).toMatchObject({ rows: 2 });
    await report.close();
    const [first, second, ...more] = (await readFile(file, 'utf8')).trimEnd().split('\n');
    expect(`${first ?? ''}\n`).toBe(noted);
    expect(JSON.parse(second ?? '')).toMatchObject({ table: 't', node: 'n2', kind: 'missing' });
    expect(more).toEqual([]);
  });
  it('or at the end, where none comes', async () => {
    expect(await (await goOn()).finish()).toEqual({ file, rows: 1 });
    expect(await readFile(file, 'utf8')).toBe(noted);
  });
  it('but not for a check that is refused', async () => {
    const before = await readFile(file, 'utf8');
    await (await goOn()).close();
    expect(await readFile(file, 'utf8')).toBe(before);
  });
});
