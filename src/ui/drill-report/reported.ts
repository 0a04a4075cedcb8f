/** `drill report`: what was written, and at a glance what it says. Pure. */
import { type Experiment, FIGURES } from '../../drill/report/summary.js';
import type { Style } from '../color.js';
import { renderTable } from '../table.js';
import { spreadText } from './figures.js';
import { metText } from './markdown.js';

export interface ReportResult {
  /** null: it went to standard output. */
  readonly file: string | null;
  readonly experiments: readonly Experiment[];
  readonly runs: readonly string[];
  readonly unreadable: readonly { readonly run: string; readonly message: string }[];
}

const SHOWN = ['rto', 'lost', 'noWrites', 'noReads', 'writeP99'] as const;

export function renderReported({ file, experiments, unreadable }: ReportResult, style: Style): string {
  const { c } = style;
  const right = { align: 'right' as const };
  const rows = experiments.map((one) => [
    one.name,
    `${one.met === one.runs ? c.green('✓') : c.red('✗')} ${metText(one)}`,
    ...SHOWN.map((key) => spreadText(key, one.figures[key]).replace(/ \(.*$/u, '')),
  ]);
  return [
    renderTable(
      [
        { head: 'Scenario' },
        { head: 'Verdict' },
        ...SHOWN.map((key, index) => ({ head: FIGURES[key], ...right, optional: index > 2 })),
      ],
      rows,
      style,
    ),
    ...unreadable.map(({ run, message }) => `${c.yellow('?')} ${run} is left out: ${message}`),
    '',
    ...(file === null ? [] : [file]),
  ].join('\n');
}
