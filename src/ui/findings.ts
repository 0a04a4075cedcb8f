/** Findings as text: sign, node and code, the message beside them, what to type next below. */
import { redact } from '../config/redact.js';
import type { Finding, Severity } from '../cluster/model.js';
import type { Style } from './color.js';
import { wrap } from './wrap.js';

const SIGNS: Readonly<Record<Severity, string>> = { critical: '✗', error: '✗', warning: '!', info: '·' };

/** Lines joined by newlines; empty without findings. */
export function renderFindings(findings: readonly Finding[], style: Style): string {
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
