/** Drills as one HTML file: no network, no script; light, dark, print, and as narrow as a telephone. Pure. */
import type { RecordedDrill } from '../../drill/report/read.js';
import { experimentOf } from '../../drill/report/read.js';
import { type Experiment, FIGURES, type Figure } from '../../drill/report/summary.js';
import { type Mark, timelineOf } from '../../drill/report/timeline.js';
import type { DrillResult } from '../../drill/result.js';
import { formatDuration } from '../format.js';
import { NARROW, WIDE, timelineSvg } from './chart.js';
import { figureText, spreadText } from './figures.js';
import { environmentText, metText } from './markdown.js';
import { STYLE } from './style.js';

export const escapeHtml = (text: string): string =>
  text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;');

const e = escapeHtml;
const idOf = (name: string): string => name.replaceAll(/[^a-z0-9]+/gu, '-');

export interface ReportPage {
  readonly drills: readonly RecordedDrill[];
  readonly experiments: readonly Experiment[];
  /** RFC 3339. */
  readonly madeAt: string;
}

const columns = Object.keys(FIGURES) as Figure[];

export function renderHtml({ drills, experiments, madeAt }: ReportPage): string {
  const results = drills.map(({ result }) => result);
  const bad = results.filter((one) => one.status !== 'met').length;
  const verdict =
    bad === 0
      ? `<span class="ok">every expectation met</span>`
      : `<span class="bad">${String(bad)} of them not met</span>`;
  const runs = `${String(results.length)} ${results.length === 1 ? 'run' : 'runs'}`;
  const scenarios = `${String(experiments.length)} ${experiments.length === 1 ? 'scenario' : 'scenarios'}`;
  return [
    '<!doctype html>',
    '<html lang="en"><head><meta charset="utf-8">',
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    `<title>repctl drills: ${runs}</title>`,
    `<style>${STYLE}</style></head><body>`,
    `<header><h1>repctl drills</h1><p>${runs} of ${scenarios}, ${verdict}. Judged by what clients saw: what they were told against what is there in the end.</p></header>`,
    '<main>',
    `<section class="overview"><h2>At a glance</h2>${overview(experiments)}<p class="muted">Median, and from least to most where there are several runs.</p></section>`,
    ...experiments.map((one) =>
      experimentSection(
        one,
        drills.filter(({ result }) => experimentOf(result) === one.name),
      ),
    ),
    '</main>',
    `<footer><p>${e(environmentText(results.at(-1)) ?? '')}</p><p>Made ${e(madeAt.slice(0, 16).replace('T', ' '))}Z by <code>repctl drill report</code>.</p></footer>`,
    '</body></html>',
    '',
  ].join('\n');
}

const tableOf = (head: readonly string[], rows: readonly string[]): string =>
  `<div class="scroll"><table><thead><tr>${head.map((one) => `<th scope="col">${e(one)}</th>`).join('')}</tr></thead><tbody>${rows.join('')}</tbody></table></div>`;

const overview = (experiments: readonly Experiment[]): string =>
  tableOf(
    ['Scenario', 'Verdict', ...columns.map((key) => FIGURES[key])],
    experiments.map(
      (one) =>
        `<tr><th scope="row"><a href="#${idOf(one.name)}">${e(one.name)}</a></th>${verdictCell(one)}${columns.map((key) => `<td class="num">${spreadCell(key, one)}</td>`).join('')}</tr>`,
    ),
  );

/** The spread below the median: side by side they would make the table too wide. */
function spreadCell(key: Figure, one: Experiment): string {
  const [median = '', ...rest] = spreadText(key, one.figures[key]).split(' (');
  return `${e(median)}${rest.length === 0 ? '' : `<small>${e(rest.join(' (').replace(/\)$/u, ''))}</small>`}`;
}

const verdictCell = (one: Experiment): string =>
  `<td class="${one.met === one.runs ? 'ok' : 'bad'}">${one.met === one.runs ? '✓' : '✗'} ${e(metText(one))}</td>`;

function experimentSection(one: Experiment, drills: readonly RecordedDrill[]): string {
  return [
    `<section id="${idOf(one.name)}"><h2>${e(one.name)}</h2>`,
    `<p class="lead">${e(one.title)}</p>`,
    one.about === null ? '' : `<p>${e(one.about)}</p>`,
    ...drills.map((drill, index) => runPart(drill, index === drills.length - 1, drills.length > 1)),
    tableOf(
      ['Expectation', 'Met', 'Limit', 'Measured'],
      one.verdicts.map(
        (verdict) =>
          `<tr><th scope="row">${e(verdict.expectation)}</th><td class="${verdict.met === verdict.of ? 'ok' : 'bad'}">${verdict.met === verdict.of ? '✓' : '✗'} ${String(verdict.met)} of ${String(verdict.of)}</td><td class="num">${e(figureText(verdict.expectation, verdict.limit))}</td><td class="num">${e(verdict.words ?? spreadText(verdict.expectation, verdict.measured))}</td></tr>`,
      ),
    ),
    '</section>',
  ].join('\n');
}

/** The newest run open, the ones before it folded. */
function runPart({ result, history }: RecordedDrill, open: boolean, several: boolean): string {
  const timeline = result.measurements === null ? undefined : timelineOf(history, result.measurements.ms);
  const charts =
    timeline === undefined
      ? `<p class="muted">Nothing was measured.</p>`
      : `<figure class="wide" role="img" aria-label="${e(`Timeline of ${result.run}`)}">${timelineSvg(timeline, WIDE)}</figure><figure class="narrow" role="img" aria-label="${e(`Timeline of ${result.run}`)}">${timelineSvg(timeline, NARROW)}</figure>${stepList(timeline.marks)}`;
  const body = `${charts}${problems(result)}<p class="repeat"><code>${e(result.command)}</code></p>`;
  const head = `seed ${String(result.seed)}, ${result.startedAt.slice(0, 16).replace('T', ' ')}Z, ${result.status}`;
  return several
    ? `<details${open ? ' open' : ''}><summary>${e(head)}</summary>${body}</details>`
    : `<p class="muted">${e(head)}</p>${body}`;
}

const clock = (ms: number): string => `${(ms / 1000).toFixed(2)} s`;

const stepList = (marks: readonly Mark[]): string =>
  marks.length === 0
    ? ''
    : tableOf(
        ['', 'At', 'Took', 'Step'],
        marks.map(
          (mark) =>
            `<tr><td><span class="mark ${mark.fault ? 'fault' : ''}">${String(mark.number)}</span></td><td class="num">${clock(mark.from)}</td><td class="num">${mark.to === null ? 'not ended' : formatDuration(mark.to - mark.from)}</td><td>${mark.ok === false ? '<span class="bad">✗</span> ' : ''}${e(mark.title)}</td></tr>`,
        ),
      );

function problems(result: DrillResult): string {
  const lines = [
    ...(result.error === null ? [] : [`${result.error.code}: ${result.error.message}`]),
    ...result.verdicts
      .filter((verdict) => !verdict.met)
      .flatMap((verdict) => verdict.examples.map((example) => `${verdict.expectation}: ${example}`)),
  ];
  return lines.length === 0
    ? ''
    : `<ul class="bad">${lines.map((line) => `<li>${e(line)}</li>`).join('')}</ul>`;
}
