import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { newestOf, readDrills } from '../../../src/drill/report/read.js';
import { experimentsOf, spreadOf } from '../../../src/drill/report/summary.js';
import { binOf, timelineOf } from '../../../src/drill/report/timeline.js';
import { markRows } from '../../../src/ui/drill-report/chart.js';
import { renderCsv } from '../../../src/ui/drill-report/csv.js';
import { renderHtml } from '../../../src/ui/drill-report/html.js';
import { renderMarkdown } from '../../../src/ui/drill-report/markdown.js';
import { recordedDrill } from '../../support/drill/recorded.js';

describe('timeline of a drill', () => {
  const { history, result } = recordedDrill();
  const timeline = timelineOf(history, result.measurements?.ms ?? 0);

  it('has bins that are round and at most 120', () => {
    expect(binOf(12_000)).toBe(100);
    expect(binOf(12_001)).toBe(200);
    expect(binOf(3_600_000)).toBe(30_000);
  });

  it('shows acknowledged writes where they were acknowledged: none while the leader is gone, a heap afterwards', () => {
    const rate = new Map(timeline.writes);
    expect(rate.get(2950)).toBe(20);
    expect(rate.get(3450)).toBe(0);
    expect(rate.get(3950)).toBe(200);
    const total = timeline.writes.reduce((sum, [, value]) => sum + (value ?? 0) * (timeline.binMs / 1000), 0);
    expect(Math.round(total)).toBe(result.measurements?.writes.ok);
  });

  it('shows the wait of a write where it was due', () => {
    expect(new Map(timeline.latencyMax).get(3050)).toBe(920);
    expect(new Map(timeline.latencyP50).get(1050)).toBe(4);
  });

  it('leaves a gap where a node did not answer', () => {
    expect(timeline.lag['n1']?.find(([at]) => at === 4010)?.[1]).toBeNull();
    expect(timeline.lag['n2']?.find(([at]) => at === 2010)?.[1]).toBe(0);
    expect(timeline.lag['n3']?.find(([at]) => at === 2010)?.[1]).toBeGreaterThan(50);
  });

  it('numbers steps as they began and tells faults from commands', () => {
    expect(timeline.marks.map(({ number, from, fault }) => [number, from, fault])).toEqual([
      [1, 3000, true],
      [2, 3060, false],
      [3, 5000, true],
      [4, 6000, false],
    ]);
  });
});

describe('numbers of steps on the chart', () => {
  it('never touch', () => {
    expect(markRows([{ from: 0 }, { from: 5 }, { from: 10 }, { from: 21 }, { from: 500 }], 1)).toEqual([
      0, 1, 2, 0, 0,
    ]);
  });
});

describe('summary of drills', () => {
  const runs = [4, 8, 6].map((takes, index) => recordedDrill({ takes, seed: index + 1 }).result);

  it('has the median and the spread of the runs of an experiment', () => {
    const [one, ...more] = experimentsOf(runs);
    expect(more).toEqual([]);
    expect(one).toMatchObject({ name: 'leader-killed', runs: 3, met: 3 });
    expect(one?.figures.writeP50).toEqual({ median: 6, min: 4, max: 8, runs: 3 });
    expect(one?.figures.rto).toMatchObject({ runs: 3 });
    expect(one?.verdicts[0]).toMatchObject({ expectation: 'every step done', met: 3, of: 3 });
  });

  it('knows no figure where no run has one', () => {
    expect(spreadOf([null, null])).toBeNull();
    expect(spreadOf([3, null])).toEqual({ median: 3, min: 3, max: 3, runs: 1 });
  });

  it('keeps variants apart, and the last of each', () => {
    const results = ['a', 'b', 'a', 'a'].map((variant, seed) => recordedDrill({ variant, seed }).result);
    expect(newestOf(results, 2).map((one) => [one.variant, one.seed])).toEqual([
      ['b', 1],
      ['a', 2],
      ['a', 3],
    ]);
  });
});

describe('report of drills', () => {
  const drills = [
    recordedDrill({ title: '<script>alert(1)</script> & "more"', run: 'r-1' }),
    recordedDrill({ scenario: 'other', variant: 'any-1', run: 'r-2' }),
  ];
  const results = drills.map(({ result }) => result);
  const experiments = experimentsOf(results);
  const html = renderHtml({ drills, experiments, madeAt: '2026-01-02T03:04:05.000Z' });

  it('is one file that asks nobody and runs nothing', () => {
    expect(html).not.toMatch(/<script|<link|<img|@import|url\((?!#)/u);
    expect(html.replaceAll(/xmlns(?::\w+)?="[^"]*"/gu, '')).not.toMatch(/https?:/u);
    expect(html).toContain('&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;more&quot;');
  });

  it('has a chart, the steps, the verdicts and the command of each run', () => {
    expect(html.match(/<svg /gu)).toHaveLength(4);
    expect(html.match(/repctl rejoin n1 --replay/gu)).toHaveLength(2);
    expect(html).toContain('repctl drill run leader-killed --seed 1');
    expect(html).toContain('href="#other-any-1"');
    expect(html).toContain('id="other-any-1"');
  });

  it('is Markdown', () => {
    const text = renderMarkdown(experiments, results);
    expect(text).toContain('| other/any-1 | met (1) |');
    expect(text).toContain('## other/any-1: The leader is killed');
  });

  it('is CSV with a line per run and nothing that a spreadsheet would run', () => {
    const lines = renderCsv([...results, { ...results[0]!, run: '=1+1,"x"' }]).split('\r\n');
    expect(lines).toHaveLength(5);
    expect(lines[3]).toMatch(/^"'=1\+1,""x""",/u);
  });
});

describe('reading recorded drills', () => {
  const below = mkdtempSync(path.join(tmpdir(), 'repctl-drills-'));
  afterAll(() => {
    rmSync(below, { recursive: true, force: true });
  });
  const wanted = { runs: [], scenarios: [], last: undefined };

  it('tells of a run without a result, and reads the others', async () => {
    for (const run of ['a-1', 'a-2', 'b-1']) mkdirSync(path.join(below, run));
    for (const run of ['a-1', 'b-1'])
      writeFileSync(path.join(below, run, 'result.json'), JSON.stringify(recordedDrill().result));
    writeFileSync(
      path.join(below, 'a-1', 'samples.ndjson'),
      '{"kind":"start","total":1,"writers":[],"strays":[]}\n{"kin',
    );
    const { drills, unreadable } = await readDrills(wanted, below);
    expect(drills.map(({ result }) => result.run)).toEqual(['a-1', 'b-1']);
    expect(drills[0]?.history.start?.total).toBe(1);
    expect(unreadable).toEqual([{ run: 'a-2', message: 'it has no result: it was killed, or still runs' }]);
  });

  it('refuses a name that no run has, and an empty answer', async () => {
    await expect(readDrills({ ...wanted, runs: ['zzz'] }, below)).rejects.toMatchObject({
      code: 'unknown-run',
    });
    await expect(readDrills({ ...wanted, scenarios: ['none'] }, below)).rejects.toMatchObject({
      code: 'no-drills',
    });
    await expect(readDrills(wanted, path.join(below, 'nowhere'))).rejects.toMatchObject({
      code: 'no-drills',
    });
  });
});
