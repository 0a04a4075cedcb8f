/** Findings as text: sign, node and code, the message beside them, what to type next below. */
import { redact } from '../config/redact.js';
import type { Finding, Severity } from '../cluster/model.js';
import type { Style } from './color.js';
import { wrap } from './wrap.js';

const SIGNS: Readonly<Record<Severity, string>> = { critical: '✗', error: '✗', warning: '!', info: '·' };

/** One trouble that several nodes have in the same words is told once, with their names. */
function together(findings: readonly Finding[]): readonly Finding[] {
  const text = ({ code, severity, node, message, fix }: Finding): string =>
    JSON.stringify([code, severity, fix, node === undefined ? message : message.replaceAll(node, '*')]);
  return findings.flatMap((finding, at) => {
    const { node } = finding;
    const alike = findings.filter((one) => node !== undefined && text(one) === text(finding));
    if (node === undefined || alike.length < 2) return [finding];
    if (findings.findIndex((one) => text(one) === text(finding)) !== at) return [];
    const others = alike.flatMap((one) => (one === finding || one.node === undefined ? [] : [one.node]));
    return [{ ...finding, message: `${finding.message} (${others.join(', ')}: likewise)` }];
  });
}

/** Lines joined by newlines; empty without findings. */
export function renderFindings(all: readonly Finding[], style: Style): string {
  const findings = together(all);
  const heads = findings.map((it) => [SIGNS[it.severity], it.node, it.code].filter(Boolean).join(' '));
  const longest = Math.max(0, ...heads.map((head) => head.length));
  // In a narrow terminal the message goes below its head, so that it keeps room.
  const beside = longest + 3 <= style.width * 0.45;
  const indent = beside ? longest + 3 : 4;
  return findings
    .map((finding, at) => {
      const head = heads[at] ?? '';
      const room = Math.max(20, style.width - indent);
      const pad = ' '.repeat(indent);
      const message = wrap(redact(finding.message), room);
      const fix = finding.fix === undefined ? [] : wrap(redact(finding.fix), room);
      const paint = painter(finding.severity, style);
      const first = beside
        ? [`${paint(head)}${' '.repeat(indent - head.length)}${message[0] ?? ''}`]
        : [paint(head), `${pad}${message[0] ?? ''}`];
      return [
        ...first,
        ...message.slice(1).map((line) => `${pad}${line}`),
        ...fix.map((line) => `${pad}${style.c.cyan(line)}`),
      ].join('\n');
    })
    .join('\n');
}

function painter(severity: Severity, { c }: Style): (text: string) => string {
  switch (severity) {
    case 'critical':
      return (text) => c.red.bold(text);
    case 'error':
      return (text) => c.red(text);
    case 'warning':
      return (text) => c.yellow(text);
    case 'info':
      return (text) => c.dim(text);
  }
}
