/** Drills: what there is, how one goes on, what came of it. Pure. */
import type { Grade } from '../drill/judge/grade.js';
import type { DrillResult } from '../drill/result.js';
import type { Verdict } from '../drill/judge/verdicts.js';
import type { ScenarioSummary } from '../drill/list.js';
import type { LiveView } from '../drill/live.js';
import type { KeptResult, Series } from '../drill/series.js';
import type { StepLine } from '../drill/history.js';
import type { Style } from './color.js';
import { formatBytes, formatCount, formatDuration } from './format.js';
import { sparkline } from './sparkline.js';
import { renderTable } from './table.js';
import { wrap } from './wrap.js';

const NONE = '–';

export function renderScenarios(rows: readonly ScenarioSummary[], style: Style): string {
  const width = Math.max(...rows.map((row) => row.name.length));
  const lines = rows.flatMap((row) => {
    const marks = [
      ...(row.variants.length > 0 ? [`${String(row.variants.length)} variants`] : []),
      ...(row.safe ? ['safe: --cluster'] : []),
    ];
    const more = marks.length > 0 ? ` (${marks.join('; ')})` : '';
    const [first = '', ...rest] = wrap(`${row.title}${more}`, Math.max(20, style.width - width - 2));
    return [
      `${style.c.bold(row.name.padEnd(width))}  ${first}`,
      ...rest.map((line) => `${' '.repeat(width)}  ${line}`),
    ];
  });
  return [
    ...lines,
    '',
    style.c.dim('repctl drill run NAME; a file of your own by its path. docs/drill.md has the format.'),
  ].join('\n');
}

const clockOf = (ms: number): string => `${(ms / 1000).toFixed(2).padStart(7)} s`;

/** A line that stays: a step that has ended. */
export function renderStep(line: StepLine, began: StepLine | undefined, { c }: Style): string {
  const mark = line.ok === false ? c.red('✗') : c.green('✓');
  const took = began === undefined ? '' : c.dim(`  ${formatDuration(line.at - began.at)}`);
  const detail = line.ok === false && line.detail !== undefined ? `\n             ${c.red(line.detail)}` : '';
  return `${c.dim(clockOf(began?.at ?? line.at))}  ${mark} ${line.title}${took}${detail}`;
}

/** What is drawn over itself while a drill runs. */
export function renderLive(view: LiveView, frame: string, { c, width }: Style): string[] {
  const room = Math.max(8, Math.min(60, width - 34));
  const rate = view.writesPerSecond.slice(-4);
  const now = rate.reduce((sum, value) => sum + value, 0) / Math.max(1, rate.length);
  const failed = view.failed === 0 ? '' : c.yellow(`, ${formatCount(view.failed)} failed`);
  return [
    `${c.cyan(frame)} ${clockOf(view.ms)}  ${view.step ?? c.dim('clients at work')}`,
    `  writes ${c.cyan(sparkline(view.writesPerSecond, room))} ${now.toFixed(0)}/s, ${formatCount(view.acknowledged)} acknowledged${failed}`,
    ...Object.entries(view.behind)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([node, missing]) => {
        const last = missing.at(-1);
        const words =
          last === null || last === undefined ? c.red('no answer') : `${formatCount(last)} rows behind`;
        return `  ${node.padEnd(6)} ${c.dim(sparkline(missing, room))} ${words}`;
      }),
  ];
}

export interface DrillReport extends Series {
  readonly met: boolean;
}

/** What whoever mends a game day is told. */
export const renderBriefing = (operate: string, { c, width }: Style): string =>
  [
    '',
    ...wrap(
      'Clients are at work, and something is going to break. Mend it with repctl in another terminal:',
      width,
    ),
    '',
    `  ${c.cyan(`. ${operate}`)}`,
    `  ${c.cyan('repctl status')}`,
    '',
    ...wrap(
      'Machines are yours too: repctl sandbox status, start, resume, heal. It is over when clients are served and status is healthy. Ctrl-C gives up.',
      width,
    ),
    '',
  ].join('\n');

/** All runs, one after the other, and a table where there are several. */
export function renderDrill({ results, skipped }: DrillReport, style: Style): string {
  return [
    ...results.map((result) => renderResult(result, style)),
    ...(results.length > 1 ? [renderAll(results, style)] : []),
    ...skipped.map((one) => style.c.yellow(`! ${one.scenario} was skipped. ${one.why}`)),
  ].join('\n\n');
}

export function renderResult(result: KeptResult, style: Style): string {
  const { c } = style;
  const { measurements: m, grade } = result;
  const head = `${c.bold(nameOf(result))}  ${statusText(result, style)}  ${c.dim(`seed ${String(result.seed)}, ${formatDuration(result.ms)}`)}`;
  const figures = m === null ? [] : figuresOf(m).flatMap(([label, text]) => labelled(label, text, style));
  const verdicts = result.verdicts.flatMap((verdict) => verdictLines(verdict, style));
  return [
    head,
    ...figures,
    ...(grade === null ? [] : ['', ...gradeLines({ title: result.title, grade }, style)]),
    ...(verdicts.length > 0 ? ['', ...verdicts] : []),
    ...(result.error === null ? [] : ['', c.red(`  ✗ ${result.error.code}: ${result.error.message}`)]),
    '',
    c.dim(`  ${result.directory}`),
    ...(result.config === null ? [] : [c.dim(`  kept: repctl --config ${result.config} status`)]),
  ].join('\n');
}

/** `  label     text`, what does not fit below the text. */
function labelled(label: string, text: string, { width, c }: Style): string[] {
  return wrap(text, width - LABEL - 2).map(
    (line, index) => `  ${index === 0 ? c.dim(label.padEnd(LABEL)) : ' '.repeat(LABEL)}${line}`,
  );
}

function gradeLines({ title, grade }: { title: string; grade: Grade }, style: Style): string[] {
  const after = (value: number | null, none: string): string =>
    value === null ? none : `${ms(value)} after it`;
  const rows =
    grade.lost === null || grade.doubled === null
      ? 'nobody can say: no leader answers'
      : `${formatCount(grade.lost)} acknowledged rows lost, ${formatCount(grade.doubled)} doubled; ${
          grade.differing.length === 0 ? 'all nodes equal' : `${grade.differing.join(', ')} not equal`
        }`;
  return (
    [
      ['broken', title],
      ['noticed', after(grade.noticedMs, 'no command was typed')],
      ['mended', after(grade.mendedMs, 'not in the end')],
      ['rows', rows],
      ['typed', grade.commands.map((words) => `repctl ${words}`).join(' · ') || NONE],
    ] satisfies [string, string][]
  ).flatMap(([label, text]) => labelled(label, text, style));
}

const LABEL = 10;

function figuresOf(m: NonNullable<DrillResult['measurements']>): [label: string, text: string][] {
  const served = Object.entries(m.readsByNode).sort(([a], [b]) => (a < b ? -1 : 1));
  const lags = Object.entries(m.lag).filter(([node]) => node !== m.end.leader);
  return [
    ['writes', serviceText(m.writes, 'acknowledged')],
    ...(m.reads.operations === 0
      ? []
      : ([
          [
            'reads',
            `${serviceText(m.reads, 'answered')}; ${served.map(([node, count]) => `${node} ${formatCount(count)}`).join(', ') || NONE}`,
          ],
        ] satisfies [string, string][])),
    [
      'longest',
      `without service: writes ${ms(m.writes.unavailable.max)}, reads ${ms(m.reads.unavailable.max)} (of any client); without any write ${ms(m.writes.pauseMs)}`,
    ],
    ...m.rto.map(({ step, ms: took }): [string, string] => [
      'recovery',
      `${ms(took)} from ${step} to the first write acknowledged`,
    ]),
    ...(m.rpo === null ? [] : ([['lost', lossText(m.rpo)]] satisfies [string, string][])),
    ['lag p95', lags.map(([node, lag]) => `${node} ${ms(lag.p95)}`).join(', ') || NONE],
  ];
}

const serviceText = (service: NonNullable<DrillResult['measurements']>['writes'], word: string): string =>
  `${formatCount(service.ok)} of ${formatCount(service.operations)} ${word}${errorText(service.errors)}; p50 ${ms(service.latency.p50)}, p99 ${ms(service.latency.p99)}, max ${ms(service.latency.max)}`;

const nameOf = ({ scenario, variant }: DrillResult): string =>
  variant === null ? scenario : `${scenario}/${variant}`;

function statusText({ status }: DrillResult, { c }: Style): string {
  switch (status) {
    case 'met':
      return c.green('● met');
    case 'violated':
      return c.red('● violated');
    case 'interrupted':
      return c.yellow('● interrupted');
    case 'failed':
      return c.red('● failed');
  }
}

const ms = (value: number | null): string =>
  value === null ? NONE : value < 10 ? `${value.toFixed(1)} ms` : formatDuration(value);

function errorText(errors: Readonly<Record<string, number>>): string {
  const all = Object.entries(errors).map(([code, count]) => `${code} ${formatCount(count)}`);
  return all.length === 0 ? '' : ` (${all.join(', ')})`;
}

function lossText(loss: NonNullable<NonNullable<DrillResult['measurements']>['rpo']>): string {
  const back =
    loss.broughtBack > 0 ? `; ${formatCount(loss.broughtBack)} saved by rejoin and brought back` : '';
  if (loss.rows === 0) return `nothing that was acknowledged${back}`;
  const bytes = loss.bytes === null ? '' : `, ${formatBytes(loss.bytes)} of WAL`;
  const saved =
    loss.rows > loss.unsaved
      ? `; ${formatCount(loss.rows - loss.unsaved)} of them in the file of a rejoin`
      : '';
  return `${formatCount(loss.rows)} acknowledged${bytes}, ${ms(loss.ms)} of writing${saved}${back}`;
}

function verdictLines(verdict: Verdict, { c }: Style): string[] {
  const mark = verdict.met ? c.green('✓') : c.red('✗');
  const figure = figureOf(verdict);
  return [
    `  ${mark} ${verdict.expectation}${figure === '' ? '' : `  ${c.dim(figure)}`}`,
    ...(verdict.met ? [] : verdict.examples.map((example) => `      ${example}`)),
  ];
}

const TIMES = /^(?:rto|lagP95|.*\.(?:unavailable|pause|p99|p99AtLeast))$/u;
const LEAST = /(?:availability|balance|AtLeast|broughtBack|staleEventual|forgotten)$/u;

function figureOf({ expectation, limit, measured, met }: Verdict): string {
  if (limit === null) return '';
  const say = (value: number | string | null): string =>
    value === null
      ? 'not reached'
      : typeof value === 'string'
        ? value
        : TIMES.test(expectation)
          ? ms(value)
          : /availability|balance/u.test(expectation)
            ? `${(value * 100).toFixed(2)} %`
            : formatCount(value);
  if (limit === 0 && measured === 0 && met) return '';
  return typeof limit === 'string'
    ? say(measured)
    : `${say(measured)} (${LEAST.test(expectation) ? 'at least' : 'at most'} ${say(limit)})`;
}

/** The longest; a leader after whose fault no write was acknowledged any more has none. */
function recoveryText(rto: NonNullable<DrillResult['measurements']>['rto']): string {
  const times = rto.map((one) => one.ms);
  return times.includes(null) ? 'never' : ms(times.length === 0 ? null : Math.max(...times.map(Number)));
}

function renderAll(results: DrillReport['results'], style: Style): string {
  const right = { align: 'right' as const };
  const rows = results.map((result) => {
    const m = result.measurements;
    return [
      nameOf(result),
      String(result.seed),
      statusText(result, style),
      recoveryText(m?.rto ?? []),
      m?.rpo === null || m === null ? NONE : formatCount(m.rpo.rows),
      ms(m?.writes.unavailable.max ?? null),
      ms(m?.reads.unavailable.max ?? null),
      ms(m?.writes.latency.p99 ?? null),
    ];
  });
  return renderTable(
    [
      { head: 'Scenario' },
      { head: 'Seed', ...right, optional: true },
      { head: 'Verdict' },
      { head: 'RTO', ...right },
      { head: 'Lost', ...right },
      { head: 'No writes', ...right },
      { head: 'No reads', ...right },
      { head: 'Write p99', ...right, optional: true },
    ],
    rows,
    style,
  );
}
