/** The evaluation: every figure of its template is there when every scenario was run, and none is printed that is not. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { loadScenarios, shippedFiles } from '../../../src/drill/load.js';
import type { RecordedDrill } from '../../../src/drill/report/read.js';
import { evaluate } from '../../../src/evaluation/evaluate.js';
import { figuresFrom } from '../../../src/evaluation/figures.js';
import { TemplateError } from '../../../src/evaluation/template.js';
import { recordedDrill } from '../../support/drill/recorded.js';

const template = readFileSync(new URL('../../../docs/evaluation.template.md', import.meta.url), 'utf8');

/** As if every shipped scenario had been run, twice. */
const all: RecordedDrill[] = loadScenarios(shippedFiles()).flatMap(({ name, variant }) =>
  [4, 8].map((takes, index) => recordedDrill({ scenario: name, variant, seed: index + 1, takes })),
);
const given = (text: string, drills = all): string => evaluate(text, drills).markdown;

function complaint(text: string, drills = all): string {
  try {
    return given(text, drills);
  } catch (error) {
    if (error instanceof TemplateError) return error.message;
    throw error;
  }
}

describe('the evaluation', () => {
  it('resolves every figure of its template, and draws what it shows', () => {
    const { markdown, charts } = evaluate(template, all);
    expect(markdown).not.toMatch(/\{\{|\}\}|undefined|NaN/u);
    const shown = [...markdown.matchAll(/\]\(evaluation\/([a-z-]+\.svg)\)/gu)].map((match) => match[1]);
    expect(shown.length).toBeGreaterThan(5);
    expect([...charts.keys()]).toEqual(shown);
    for (const svg of charts.values()) {
      expect(svg).toMatch(/^<svg /u);
      expect(svg).not.toMatch(/NaN|undefined|<script|href=/u);
    }
  });

  it('names what the template needs and nobody ran, and prints nothing', () => {
    const some = all.filter(({ result }) => result.scenario !== 'leader-killed');
    expect(complaint(template, some)).toContain('leader-killed was not run; repctl drill run leader-killed');
  });

  it('gives medians with their spread, by experiment', () => {
    expect(given('{{ figure leader-killed writeP50 }}')).toBe('4.0 ms (4.0 ms to 8.0 ms)');
    expect(given('{{ table writeP50 lost | pool }}')).toBe(
      [
        '| Experiment | Runs | Met | Write p50 | Lost rows |',
        '| --- | --- | --- | --- | --- |',
        '| pool/pre-ping | 2 | 2 | 4.0 ms (4.0 ms to 8.0 ms) | 0 |',
        '| pool/no-pre-ping | 2 | 2 | 4.0 ms (4.0 ms to 8.0 ms) | 0 |',
      ].join('\n'),
    );
    expect(given('{{ say runs }} of {{ say repeats }}')).toBe(`${String(all.length)} of 2`);
  });

  it.each([
    ['{{ figure leader-killed rtoo }}', 'there is no figure rtoo'],
    ['{{ figure leader-killed stale:strong }}', 'no run of leader-killed has stale:strong'],
    ['{{ table rto | }}', 'it names no experiment'],
    ['{{ say nothing }}', 'there is no such word'],
    ['{{ chart a rto | pool }}{{ chart a rto | pool }}', 'a.svg is drawn twice'],
  ])('%s is refused', (text, words) => {
    expect(complaint(text)).toContain(words);
  });

  it('leaves out what came to no end, and lists what was violated', () => {
    const [first, second] = all;
    if (first === undefined || second === undefined) throw new Error('no runs');
    const broken: RecordedDrill[] = [
      { ...first, result: { ...first.result, status: 'interrupted' } },
      {
        ...second,
        result: {
          ...second.result,
          status: 'violated',
          verdicts: [{ expectation: 'rpo', met: false, limit: 0, measured: 3, examples: [] }],
        },
      },
    ];
    expect(figuresFrom(broken.map(({ result }) => result)).runs('all-replicas-die/async')).toEqual({
      runs: 1,
      met: 0,
    });
    expect(given('{{ say unmet }}', broken)).toBe('- all-replicas-die/async, seed 2: rpo');
  });
});
