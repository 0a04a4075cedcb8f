/** The lines of --progress json, docs/json.md. Pure. */
import type { HookEvent } from '../operations/hooks/model.js';
import type { StepEvent } from '../plan/execute.js';
import type { Plan } from '../plan/plan.js';

type Line = Readonly<Record<string, unknown>>;

export const planJson = ({ title, notes, steps }: Plan): Line => ({
  event: 'plan',
  title,
  notes,
  steps: steps.map(({ id, node, title: what }) => ({ id, node, title: what })),
});

export function stepJson(event: StepEvent): Line {
  const { id, node, title } = event.step;
  const about = { event: event.type, step: id, node, title };
  switch (event.type) {
    case 'start':
      return { ...about, index: event.index, total: event.total };
    case 'progress': {
      const { message = null, done = null, total = null, unit = null } = event.progress;
      return { ...about, message, done, total, unit };
    }
    case 'done':
      return { ...about, ms: Math.round(event.ms), result: event.result ?? null };
    case 'failed': {
      const { code, message } = event.error;
      return { ...about, ms: Math.round(event.ms), error: { code, message } };
    }
  }
}

export function hookJson(event: HookEvent): Line {
  const about = { event: `hook-${event.type}`, hook: event.hook };
  switch (event.type) {
    case 'start':
      return { ...about, program: event.program };
    case 'line':
      return { ...about, line: event.line };
    case 'done': {
      const { ms, exitCode, error } = event.report;
      return { ...about, ms, exitCode, error };
    }
  }
}
