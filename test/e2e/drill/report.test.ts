import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { recordedDrill } from '../../support/drill/recorded.js';
import { type Cli, makeCli } from '../../support/home-cli.js';
import { mismatches, shapesIn } from '../../support/shape.js';

const shapes = shapesIn(readFileSync(new URL('../../../docs/json.md', import.meta.url), 'utf8'));

describe('drill report', () => {
  let cli: Cli;
  let drills: string;
  beforeAll(() => {
    cli = makeCli();
    drills = path.join(cli.home, 'state', 'repctl', 'drills');
    for (const [index, takes] of [4, 8, 6].entries()) {
      const run = `2026010${String(index + 1)}T000000Z-leader-killed-s${String(index)}`;
      const { result, history } = recordedDrill({ run, takes, seed: index });
      mkdirSync(path.join(drills, run), { recursive: true });
      writeFileSync(path.join(drills, run, 'result.json'), JSON.stringify(result));
      const lines = [...history.writes, ...history.looks, ...history.steps, ...history.finals];
      writeFileSync(
        path.join(drills, run, 'samples.ndjson'),
        lines.map((line) => `${JSON.stringify(line)}\n`).join(''),
      );
    }
    mkdirSync(path.join(drills, '20260104T000000Z-killed'));
  });
  afterAll(() => {
    cli.end();
  });

  it('writes one private HTML file, says where, and what was left out', async () => {
    const { code, stdout } = await cli.run(['drill', 'report']);
    const file = path.join(drills, 'report.html');
    expect(code).toBe(0);
    expect(stdout).toMatch(/leader-killed +✓ met \(3\)/u);
    expect(stdout).toContain('20260104T000000Z-killed is left out: it has no result');
    expect(stdout.trimEnd().endsWith(file)).toBe(true);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(readFileSync(file, 'utf8').match(/<svg /gu)).toHaveLength(6);
  });

  it('has its shape as JSON', async () => {
    const { code, data } = await cli.json(['drill', 'report', '--last', '2', '--out', 'r.html']);
    expect(code).toBe(0);
    expect(mismatches(data, shapes.get('drill report') ?? 'any')).toEqual([]);
    expect(data).toMatchObject({ file: path.join(cli.home, 'r.html'), experiments: [{ runs: 2, met: 2 }] });
    expect(existsSync(path.join(cli.home, 'r.html'))).toBe(true);
  });

  it('prints Markdown and CSV', async () => {
    const md = await cli.run(['drill', 'report', '--format', 'md', '--out', '-', '20260102']);
    expect(md.stdout).toMatch(/^# Drills\n\n1 runs?;/u);
    const csv = await cli.run(['drill', 'report', '--format', 'csv', '--out', '-']);
    expect(csv.stdout.trimEnd().split('\r\n')).toHaveLength(4);
  });

  it('refuses what it cannot do, and says what to type', async () => {
    const unknown = await cli.run(['drill', 'report', 'nothing-like-it']);
    expect([unknown.code, unknown.stderr]).toEqual([2, expect.stringContaining('(unknown-run)')]);
    const none = await cli.run(['drill', 'report', '--scenario', 'other']);
    expect([none.code, none.stderr]).toEqual([2, expect.stringContaining('repctl drill run NAME')]);
    // As root too: a file is no directory.
    writeFileSync(path.join(cli.home, 'plain'), '');
    const unwritable = await cli.run(['drill', 'report', '--out', 'plain/report.html']);
    expect([unwritable.code, unwritable.stderr]).toEqual([2, expect.stringContaining('(report-unwritable)')]);
  });
});
