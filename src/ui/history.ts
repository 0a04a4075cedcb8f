import type { EventRow } from '../cluster/model.js';
import type { History } from '../replication/views/history.js';
import type { Style } from './color.js';
import { formatBytes, formatDuration } from './format.js';
import { lsnDistance } from '../postgres/lsn.js';
import { dash, withUnseen } from './parts.js';
import { renderTable } from './table.js';

/** Whole seconds: `2026-11-23 10:14:07Z`. */
const time = (at: string): string => at.replace('T', ' ').replace(/(\.\d+)?(\+00(:?00)?|Z)?$/u, 'Z');

export function renderHistory(result: History, style: Style): string {
  const { c } = style;
  const epochs = renderTable(
    [
      { head: 'Epoch', align: 'right' },
      { head: 'Began' },
      { head: 'Leader' },
      { head: 'After' },
      { head: 'By' },
      { head: 'Operator', optional: true },
      { head: 'Fork point' },
      { head: 'Left behind' },
      { head: 'Why', optional: true },
    ],
    result.epochs.map((epoch) => [
      String(epoch.epoch),
      time(epoch.startedAt),
      epoch.leader,
      dash(epoch.previousLeader),
      epoch.operation,
      epoch.operator,
      dash(epoch.forkPoint),
      epoch.forkPoint === null || epoch.previousLsn === null
        ? '–'
        : // What the former leader wrote and sent to nobody is known to it alone.
          `≥ ${formatBytes(Math.max(0, lsnDistance(epoch.forkPoint, epoch.previousLsn)))}`,
      dash(epoch.reason),
    ]),
    style,
  );
  const events = withoutBegun(result.events)
    .map((event) => eventLines(event, style))
    .join('\n');
  const head = c.dim(`read from ${result.readFrom}`);
  return withUnseen(
    [epochs, ...(events === '' ? [] : ['', events]), '', head].join('\n'),
    result.unreachable,
    style,
  );
}

/** Newest first: a beginning is worth a line only while its end has not come. */
const withoutBegun = (events: readonly EventRow[]): readonly EventRow[] =>
  events.filter(
    (event, i) =>
      !event.kind.endsWith('-begin') ||
      !events.slice(0, i).some((later) => later.kind === event.kind.replace(/-begin$/u, '')),
  );

interface StepRow {
  readonly id: string;
  readonly ms: number;
}

/** Steps as operations record them in an event's details: an array of {id, ms}. */
function stepsOf(event: EventRow): readonly StepRow[] {
  const steps = event.details['steps'];
  if (!Array.isArray(steps)) return [];
  return steps.filter(
    (step): step is StepRow =>
      typeof (step as StepRow | null)?.id === 'string' && typeof (step as StepRow).ms === 'number',
  );
}

function eventLines(event: EventRow, { c }: Style): string {
  const steps = stepsOf(event);
  const first = [
    time(event.at),
    c.bold(event.kind),
    ...(event.node === null ? [] : [event.node]),
    c.dim(`epoch ${String(event.epoch)}, ${event.operator}`),
    ...(event.reason === null ? [] : [event.reason]),
  ].join('  ');
  const rest = steps.map((step) => `    ${step.id.padEnd(24)} ${formatDuration(step.ms)}`);
  return [first, ...rest].join('\n');
}
