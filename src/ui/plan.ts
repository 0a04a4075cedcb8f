/** A plan as an operator reads it before saying yes. */
import type { Plan } from '../plan/plan.js';
import type { Style } from './color.js';

/** What --json shows of a plan: the very steps that would run. */
export interface PlanView {
  readonly operation: string;
  readonly title: string;
  readonly notes: readonly string[];
  readonly steps: readonly {
    readonly id: string;
    readonly node: string;
    readonly title: string;
    readonly why: string;
    readonly sql: readonly string[];
  }[];
}

export const planView = ({ operation, title, notes, steps }: Plan): PlanView => ({
  operation,
  title,
  notes,
  steps: steps.map(({ id, node, title: what, why, sql }) => ({ id, node, title: what, why, sql })),
});

/** Title, notes, numbered steps; with `sql` also the statements of each. */
export function renderPlan(plan: PlanView, { c, width }: Style, options: { sql: boolean }): string {
  const lines = [
    c.bold(plan.title),
    ...plan.notes.flatMap((note) => {
      // What may be lost is what a tired reader must not miss.
      const color = note.startsWith('at risk') ? c.yellow : (text: string) => text;
      return wrap(`· ${note}`, width, '  ').map((line) => color(line));
    }),
  ];
  if (plan.steps.length === 0) return [...lines, 'Nothing to do.'].join('\n');
  lines.push('');
  for (const [index, step] of plan.steps.entries()) {
    lines.push(`${String(index + 1).padStart(2)}. ${step.title}`);
    // Several nodes, one reason: it is said once, below the last of them.
    if (options.sql || plan.steps[index + 1]?.why !== step.why)
      lines.push(...wrap(step.why, width, '    ').map((line) => c.dim(`    ${line.trimStart()}`)));
    if (options.sql) lines.push(...step.sql.map((sql) => c.cyan(`      ${step.node}> ${sql}`)));
  }
  return lines.join('\n');
}

/** Breaks at spaces so that lines fit; words longer than the width stay whole. */
function wrap(text: string, width: number, indent: string): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width - indent.length) {
      lines.push(line);
      line = `${indent}${word}`;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line];
}
