/** Drills as Markdown: for a wiki, a ticket, a pull request. Pure. */
import { type Experiment, FIGURES, type Figure } from '../../drill/report/summary.js';
import type { DrillResult } from '../../drill/result.js';
import { NONE, figureText, spreadText } from './figures.js';

/** Markdown lets HTML through. */
const plain = (text: string): string => text.replaceAll('<', '&lt;').replaceAll('\n', ' ');
const cell = (text: string): string => plain(text).replaceAll('|', '\\|');
const row = (cells: readonly string[]): string => `| ${cells.map(cell).join(' | ')} |`;

export const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [row(head), row(head.map(() => '---')), ...rows.map(row)].join('\n');

const columns = Object.keys(FIGURES) as Figure[];

export const metText = ({ met, runs }: Experiment): string =>
  met === runs ? `met (${String(runs)})` : `violated in ${String(runs - met)} of ${String(runs)}`;

export function renderMarkdown(experiments: readonly Experiment[], results: readonly DrillResult[]): string {
  return [
    '# Drills',
    '',
    `${String(results.length)} ${results.length === 1 ? 'run' : 'runs'}; median, and from least to most where there are several.`,
    '',
    table(
      ['Scenario', 'Verdict', ...columns.map((key) => FIGURES[key])],
      experiments.map((one) => [
        one.name,
        metText(one),
        ...columns.map((key) => spreadText(key, one.figures[key])),
      ]),
    ),
    ...experiments.flatMap((one) => [
      '',
      `## ${one.name}: ${plain(one.title)}`,
      ...(one.about === null ? [] : ['', plain(one.about)]),
      '',
      table(
        ['Expectation', 'Met', 'Limit', 'Measured'],
        one.verdicts.map((verdict) => [
          verdict.expectation,
          `${String(verdict.met)} of ${String(verdict.of)}`,
          figureText(verdict.expectation, verdict.limit),
          verdict.words ?? spreadText(verdict.expectation, verdict.measured),
        ]),
      ),
    ]),
    '',
    '## Runs',
    '',
    table(
      ['Run', 'Status', 'Repeat with'],
      results.map((result) => [result.run, result.status, `\`${result.command}\``]),
    ),
    '',
    environmentText(results.at(-1)) ?? NONE,
    '',
  ].join('\n');
}

/** What the figures were measured on, in one line. */
export function environmentText(result: DrillResult | undefined): string | undefined {
  if (result === undefined) return undefined;
  const { repctl, node, platform, cpus, cpu, memoryBytes, postgres } = result.environment;
  const versions = [...new Set(Object.values(postgres))].join(', ');
  return `repctl ${repctl}, Node ${node}, PostgreSQL ${versions === '' ? NONE : versions}, ${platform}, ${String(cpus)} × ${cpu}, ${String(Math.round(memoryBytes / 2 ** 30))} GiB`;
}
