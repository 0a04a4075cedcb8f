/** Game days: what may be drawn, what a shell is given, what was typed, and how that is graded. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TRANSCRIPT, noteCommand } from '../../../src/config/transcript.js';
import {
  commandsTyped,
  drawGameDay,
  exportsOf,
  gameDayFiles,
  operatorEnvironment,
} from '../../../src/drill/game-day.js';
import { type CommandLine, type StepLine, sorted } from '../../../src/drill/history.js';
import { gradeOf } from '../../../src/drill/judge/grade.js';
import { measure } from '../../../src/drill/judge/measure.js';
import { loadScenarios } from '../../../src/drill/load.js';

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'repctl-game-day-'));
});
afterAll(() => {
  rmSync(directory, { recursive: true });
});

describe('what may be drawn', () => {
  it.each(gameDayFiles().map((file) => [path.basename(file, '.yaml'), file]))(
    '%s breaks something, and then it is the turn of the operator',
    (name, file) => {
      const [scenario, ...more] = loadScenarios([file]);
      expect(more).toEqual([]);
      expect(scenario?.name).toBe(name);
      const actions = scenario?.steps.map(({ action }) => action) ?? [];
      expect(actions.at(-1)).toBe('operator');
      expect(actions.filter((action) => action === 'operator')).toHaveLength(1);
      expect(actions.length).toBeGreaterThan(1);
      expect(scenario?.expect).toMatchObject({ rpo: 'any', health: 'healthy' });
    },
  );

  it('is the same for the same seed, and everything by some seed; its name tells nothing', () => {
    const seeds = Array.from({ length: 200 }, (_, seed) => seed);
    const titles = (): string[] => seeds.map((seed) => drawGameDay(seed).title);
    expect(titles()).toEqual(titles());
    expect(new Set(titles()).size).toBe(gameDayFiles().length);
    expect(new Set(seeds.map((seed) => drawGameDay(seed).name))).toEqual(new Set(['game-day']));
  });

  it('has the time limit of the scenario, or the one given', () => {
    const limit = (ms?: number): unknown => drawGameDay(1, ms).steps.at(-1);
    expect(limit()).toMatchObject({ action: 'operator', operator: 1_800_000 });
    expect(limit(5000)).toMatchObject({ action: 'operator', operator: 5000 });
  });
});

describe('what a shell is given', () => {
  it('is what it says, whatever the paths are', () => {
    const odd = { sandbox: `/tmp/it's "here"`, configFile: '/a b/$HOME', home: '/`x`' };
    const variables = operatorEnvironment('/run', odd);
    const file = path.join(directory, 'operate.sh');
    writeFileSync(file, exportsOf(variables));
    const names = Object.keys(variables);
    const shown = execFileSync('sh', [
      '-c',
      `. "$0"; printf '%s\\n' ${names.map((name) => `"$${name}"`).join(' ')}`,
      file,
    ]);
    expect(shown.toString().trimEnd().split('\n')).toEqual(Object.values(variables));
    expect(names).toContain(TRANSCRIPT);
  });
});

describe('what was typed', () => {
  it('is noted only where somebody asks for it, without passwords, for nobody else to read', () => {
    const file = path.join(directory, 'transcript.ndjson');
    noteCommand(['status'], {});
    noteCommand(['failover', '--yes'], { [TRANSCRIPT]: file });
    noteCommand(['node', 'add', 'n5', 'postgres://me:secret@host/db'], { [TRANSCRIPT]: file });
    const text = readFileSync(file, 'utf8');
    expect(text).not.toContain('secret');
    expect(statSync(file).mode & 0o777).toBe(0o600);
    writeFileSync(file, `${text}{"at": 1, "wor`);
    const typed = commandsTyped(directory, Date.now() - 1000);
    expect(typed.map(({ words }) => words.split(' ')[0])).toEqual(['failover', 'node']);
    expect(typed[0]?.at).toBeGreaterThan(900);
    expect(typed[0]?.at).toBeLessThan(60_000);
  });

  it('that cannot be noted keeps nobody from anything', () => {
    expect(() => {
      noteCommand(['status'], { [TRANSCRIPT]: '/nowhere/at/all' });
    }).not.toThrow();
  });
});

describe('the grade', () => {
  const step = (
    index: number,
    action: string,
    phase: StepLine['phase'],
    at: number,
    ok = true,
  ): StepLine => ({
    ...{ kind: 'step', index, action, phase, at, nodes: [], leader: 'n1' },
    title: `${action} it`,
    ...(phase === 'ended' ? { ok } : {}),
  });
  const typed = (at: number, words: string): CommandLine => ({ kind: 'command', at, words });
  const grade = (...lines: (StepLine | CommandLine)[]) => {
    const history = sorted(lines);
    return gradeOf(history, measure(history, 60_000, { state: 'healthy', epoch: 1 }));
  };
  const broken = [
    step(0, 'kill', 'began', 4000),
    step(0, 'kill', 'ended', 4100),
    step(1, 'operator', 'began', 6000),
  ];

  it('counts from the fault; what was typed before it was no answer to it', () => {
    const lines = [...broken, typed(1000, 'status'), typed(9000, 'status'), typed(12_000, 'failover')];
    expect(grade(...lines, step(1, 'operator', 'ended', 30_000))).toMatchObject({
      ...{ faults: ['kill it'], noticedMs: 5000, mendedMs: 26_000 },
      commands: ['status', 'failover'],
    });
  });

  it.each([
    [
      'nobody came',
      [step(1, 'operator', 'ended', 30_000, false)],
      { noticedMs: null, mendedMs: null, commands: [] },
    ],
    ['interrupted', [typed(5000, 'status')], { noticedMs: 1000, mendedMs: null }],
    ['no leader in the end', [], { lost: null, doubled: null }],
  ])('%s', (_, lines, expected) => {
    expect(grade(...broken, ...lines)).toMatchObject(expected);
  });

  it('is given for nothing that was not broken, and to nobody who was not asked', () => {
    expect(grade(step(1, 'operator', 'began', 1))).toBeUndefined();
    expect(grade(step(0, 'kill', 'began', 1))).toBeUndefined();
  });
});
