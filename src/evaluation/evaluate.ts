/** Template and recorded runs → the evaluation and its charts. Pure. */
import { experimentOf, type RecordedDrill } from '../drill/report/read.js';
import { wholeRuns } from '../drill/report/summary.js';
import { timelineOf } from '../drill/report/timeline.js';
import type { DrillResult } from '../drill/result.js';
import { NONE, spreadText } from '../ui/drill-report/figures.js';
import { environmentText, table } from '../ui/drill-report/markdown.js';
import { barsSvg, runSvg } from './charts.js';
import { type Figures, figuresFrom } from './figures.js';
import { type Tag, TemplateError, fillTemplate } from './template.js';

export interface Evaluation {
  readonly markdown: string;
  /** By file name, below `evaluation/`. */
  readonly charts: ReadonlyMap<string, string>;
}

/**
 * Throws TemplateError where the template names a figure, an experiment or a word that the runs do not give: a figure
 * that nobody measured is not printed.
 */
export function evaluate(template: string, drills: readonly RecordedDrill[]): Evaluation {
  const results = drills.map(({ result }) => result);
  const figures = figuresFrom(results);
  const charts = new Map<string, string>();
  const draw = (tag: Tag, svg: string, alt: string): string => {
    const file = `${tag.words[0] ?? ''}.svg`;
    if (charts.has(file)) throw wrong(tag, `${file} is drawn twice`);
    charts.set(file, svg);
    return `![${alt}](evaluation/${file})`;
  };
  const resolve = (tag: Tag): string => {
    switch (tag.command) {
      case 'figure': {
        const [experiment = '', figure = ''] = tag.words;
        named(tag, figures, [experiment]);
        const spread = spreadIn(tag, figures, experiment, figure);
        if (spread === null) throw wrong(tag, `no run of ${experiment} has ${figure}`);
        return spreadText(figure, spread);
      }
      case 'table':
        return tableOf(tag, figures);
      case 'chart': {
        const rows = named(tag, figures, tag.experiments);
        const panels = tag.words.slice(1).map((figure) => ({
          figure,
          head: figures.head(figure) ?? '',
          bars: rows.map((name) => ({ name, spread: spreadIn(tag, figures, name, figure) })),
        }));
        return draw(tag, barsSvg(panels), panels.map((panel) => panel.head).join(', '));
      }
      case 'timeline': {
        const [name = ''] = named(tag, figures, tag.experiments);
        const run = drills.findLast(
          ({ result }) => experimentOf(result) === name && result.measurements !== null,
        );
        if (run === undefined) throw wrong(tag, `${name} has no run to draw`);
        const { history, result } = run;
        return draw(tag, runSvg(timelineOf(history, result.measurements?.ms ?? 0)), `A run of ${name}`);
      }
      case 'say': {
        const text = wordsOf(results, figures)[tag.words[0] ?? ''];
        if (text === undefined) throw wrong(tag, 'there is no such word');
        return text;
      }
    }
  };
  const markdown = fillTemplate(template, resolve, (scenario) => figures.experiments(scenario).length > 0);
  return { markdown, charts };
}

const wrong = (tag: Tag, why: string): TemplateError =>
  new TemplateError(`line ${String(tag.line)}: {{ ${tag.text} }}: ${why}`);

/** All experiments that are meant, in the order in which they are named. */
function named(tag: Tag, figures: Figures, names: readonly string[]): string[] {
  if (names.length === 0) throw wrong(tag, 'it names no experiment');
  return names.flatMap((name) => {
    const found = figures.experiments(name);
    if (found.length === 0) throw wrong(tag, `${name} was not run; repctl drill run ${name}`);
    return found;
  });
}

function spreadIn(tag: Tag, figures: Figures, experiment: string, figure: string) {
  const spread = figures.spread(experiment, figure);
  if (spread === undefined) throw wrong(tag, `there is no figure ${figure}`);
  return spread;
}

function tableOf(tag: Tag, figures: Figures): string {
  const rows = named(tag, figures, tag.experiments);
  return table(
    ['Experiment', 'Runs', 'Met', ...tag.words.map((figure) => figures.head(figure) ?? '')],
    rows.map((name) => {
      const { runs, met } = figures.runs(name);
      return [
        name,
        String(runs),
        String(met),
        ...tag.words.map((figure) => {
          const spread = spreadIn(tag, figures, name, figure);
          return spread === null ? NONE : spreadText(figure, spread);
        }),
      ];
    }),
  );
}

/** What is known of all runs together. */
function wordsOf(results: readonly DrillResult[], figures: Figures): Record<string, string> {
  const names = [...new Set(results.map(experimentOf))].filter((name) => figures.runs(name).runs > 0);
  const counts = names.map((name) => figures.runs(name).runs);
  const [least, most] = [Math.min(...counts), Math.max(...counts)];
  const whole = wholeRuns(results);
  const met = whole.filter((one) => one.status === 'met').length;
  const days = [...new Set(whole.map((one) => one.startedAt.slice(0, 10)))].sort();
  const unmet = whole
    .filter((one) => one.status === 'violated')
    .map((one) => {
      const missed = one.verdicts.filter((verdict) => !verdict.met).map((verdict) => verdict.expectation);
      return `- ${experimentOf(one)}, seed ${String(one.seed)}: ${missed.join(', ')}`;
    });
  return {
    environment: environmentText(whole.at(-1)) ?? NONE,
    experiments: String(names.length),
    runs: String(whole.length),
    met: String(met),
    repeats: least === most ? String(least) : `${String(least)} to ${String(most)}`,
    days: days.length > 1 ? `${days[0] ?? ''} to ${days.at(-1) ?? ''}` : (days[0] ?? NONE),
    minutes: String(Math.round(whole.reduce((sum, one) => sum + one.ms, 0) / 60_000)),
    unmet: unmet.length === 0 ? 'Every expectation was met in every run.' : unmet.join('\n'),
    left: String(results.length - whole.length),
  };
}
