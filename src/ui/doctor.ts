/** `repctl doctor`: one line a node, then what was found. */
import type { DoctorNode, DoctorReport } from '../cluster/doctor/examine.js';
import type { Style } from './color.js';
import { renderFindings } from './findings.js';
import { formatDuration } from './format.js';
import { renderTable } from './table.js';

const NONE = '–';

export function renderDoctor(report: DoctorReport, style: Style): string {
  const { c } = style;
  const grave = report.findings.filter((it) => it.severity === 'critical' || it.severity === 'error').length;
  const warnings = report.findings.filter((it) => it.severity === 'warning').length;
  const verdict = report.ok
    ? c.green(warnings === 0 ? '● fit' : `● fit, ${count(warnings, 'warning')}`)
    : c.red(`● ${count(grave, 'problem')}${warnings === 0 ? '' : `, ${count(warnings, 'warning')}`}`);
  return [
    `${c.bold(report.cluster)}   ${count(report.nodes.length, 'node')}   ${verdict}`,
    renderTable(
      [
        { head: 'Node' },
        { head: 'Result' },
        { head: 'Version' },
        { head: 'Round trip', align: 'right' },
        { head: 'Clock', align: 'right' },
        { head: 'Slots', align: 'right' },
        { head: 'Senders', align: 'right' },
      ],
      report.nodes.map((node) => [
        node.name,
        resultText(node, style),
        node.version ?? NONE,
        node.roundTripMs === null ? NONE : `${node.roundTripMs.toFixed(1)} ms`,
        node.clockOffsetMs === null ? NONE : clockText(node.clockOffsetMs),
        node.slotsUsed === null ? NONE : `${String(node.slotsUsed)}/${String(node.slotsMax)}`,
        node.sendersUsed === null ? NONE : `${String(node.sendersUsed)}/${String(node.sendersMax)}`,
      ]),
      style,
    ),
    renderFindings(report.findings, style),
  ]
    .filter((part) => part !== '')
    .join('\n\n');
}

const count = (many: number, what: string): string => `${String(many)} ${what}${many === 1 ? '' : 's'}`;

const clockText = (ms: number): string => `${ms < 0 ? '-' : '+'}${formatDuration(Math.abs(ms))}`;

function resultText(node: DoctorNode, { c }: Style): string {
  switch (node.worst) {
    case 'critical':
    case 'error':
      return c.red(node.reachable ? 'not fit' : 'unreachable');
    case 'warning':
      return c.yellow('warnings');
    case 'info':
    case null:
      return c.green('fit');
  }
}
