/**
 * Steps as they run, on stderr: lines that move on a terminal, one line a step elsewhere, NDJSON for programs,
 * nothing with --json unless it is asked for.
 */
import type { Plan } from '../plan/plan.js';
import type { StepEvent, StepProgress, StepResult } from '../plan/execute.js';
import type { HookEvent } from '../operations/hooks/model.js';
import { redact, redactDeep } from '../config/redact.js';
import { formatCount, formatDuration } from '../ui/format.js';
import type { Style } from '../ui/color.js';
import { type Live, live } from './live.js';
import { hookJson, planJson, stepJson } from './progress-json.js';

export const PROGRESS_MODES = ['auto', 'plain', 'json', 'none'] as const;
export type ProgressMode = (typeof PROGRESS_MODES)[number];

export interface StepReporter {
  readonly onEvent: (event: StepEvent) => void;
  readonly onHook: (event: HookEvent) => void;
  /** Clears what is left on the terminal. */
  stop(): void;
}

export interface ReporterOptions {
  readonly style: Style;
  readonly stream: NodeJS.WriteStream;
  readonly mode: ProgressMode;
  /** --json: stderr stays quiet unless a mode was asked for. */
  readonly json: boolean;
  readonly plan: Plan;
}

const SILENT: StepReporter = { onEvent: () => undefined, onHook: () => undefined, stop: () => undefined };

export function stepReporter({ style, stream, mode, json, plan }: ReporterOptions): StepReporter {
  if (mode === 'none' || (mode === 'auto' && json)) return SILENT;
  if (mode === 'json') return jsonReporter(stream, plan);
  return textReporter(style, stream, mode === 'auto' && stream.isTTY);
}

function jsonReporter(stream: NodeJS.WriteStream, plan: Plan): StepReporter {
  const write = (value: Readonly<Record<string, unknown>>): void => {
    const line = { ...value, at: new Date().toISOString(), operation: plan.operation };
    stream.write(`${JSON.stringify(redactDeep(line))}\n`);
  };
  write(planJson(plan));
  return {
    onEvent: (event) => {
      write(stepJson(event));
    },
    onHook: (event) => {
      write(hookJson(event));
    },
    stop: () => undefined,
  };
}

/** Without a terminal a step that takes long says so now and then. */
const REMIND_MS = 10_000;

interface Running {
  readonly title: string;
  readonly since: number;
  progress: string;
  told: number;
}

function textReporter(style: Style, stream: NodeJS.WriteStream, moving: boolean): StepReporter {
  const { c } = style;
  // Steps of a group run at once; each has its line.
  const running = new Map<string, Running>();
  const begin = (id: string, title: string) =>
    running.set(id, { title, since: performance.now(), progress: '', told: performance.now() });
  const elapsed = (since: number): string => formatDuration(performance.now() - since).padStart(8);
  const region: Live | undefined = moving
    ? live(stream, (frame) =>
        [...running.values()].map(({ title, since, progress }) =>
          redact(
            `${c.cyan(frame)} ${c.dim(elapsed(since))}  ${title}${progress === '' ? '' : `  ${progress}`}`,
          ),
        ),
      )
    : undefined;
  const print = (line: string): void => {
    if (region === undefined) stream.write(`${redact(line)}\n`);
    else region.print(redact(line));
  };
  const reminder = setInterval(() => {
    if (moving) return;
    for (const one of running.values()) {
      if (performance.now() - one.told < REMIND_MS) continue;
      one.told = performance.now();
      print(`… ${elapsed(one.since)}  ${one.title}${one.progress === '' ? '' : `  ${one.progress}`}`);
    }
  }, 1000);
  reminder.unref();
  return {
    onEvent(event) {
      const { step } = event;
      if (event.type === 'start') {
        begin(step.id, step.title);
        return;
      }
      if (event.type === 'progress') {
        const one = running.get(step.id);
        if (one !== undefined) one.progress = progressText(event.progress);
        return;
      }
      running.delete(step.id);
      const time = c.dim(formatDuration(event.ms).padStart(8));
      if (event.type === 'done')
        print(`${c.green('✓')} ${time}  ${step.title}${resultText(event.result, style)}`);
      else print(`${c.red('✗')} ${time}  ${step.title}`);
    },
    onHook(event) {
      const id = `hook:${event.hook}`;
      if (event.type === 'start') begin(id, `${event.hook}: ${event.program}`);
      else if (event.type === 'line') print(`${c.dim(`[${event.hook}]`)} ${event.line}`);
      else {
        running.delete(id);
        const { ms, error } = event.report;
        const time = c.dim(formatDuration(ms).padStart(8));
        if (error === null) print(`${c.green('✓')} ${time}  ${event.hook}`);
        // What only reports must not look like the failure of the operation.
        else
          print(`${event.hook === 'beforePromote' ? c.red('✗') : c.yellow('!')} ${time}  ${error.message}`);
      }
    },
    stop() {
      clearInterval(reminder);
      region?.stop();
    },
  };
}

/** `████████░░░░░░░░ 52% 1,040,000 of 2,000,000 rows` */
function progressText({ message, done, total, unit }: StepProgress): string {
  if (message !== undefined) return message;
  if (done === undefined) return '';
  const of = total !== undefined && total > 0 ? ` of ${formatCount(total)}` : '';
  const share = total !== undefined && total > 0 ? Math.min(1, done / total) : undefined;
  const bar =
    share === undefined
      ? ''
      : `${'█'.repeat(Math.round(share * 16)).padEnd(16, '░')} ${(share * 100).toFixed(0)}% `;
  return `${bar}${formatCount(done)}${of} ${unit ?? ''}`.trimEnd();
}

/** The figures of a step that an operator wants to see while it scrolls by. */
function resultText(result: StepResult, { c }: Style): string {
  if (result === undefined) return '';
  const parts: string[] = [];
  if (typeof result['forkPoint'] === 'string') parts.push(`fork point ${result['forkPoint']}`);
  if (typeof result['behind'] === 'number')
    parts.push(
      result['behind'] === 0
        ? 'was up to date'
        : `was ${formatCount(result['behind'])} ${result['behind'] === 1 ? 'transaction' : 'transactions'} behind`,
    );
  const number = (key: string): number | undefined =>
    typeof result[key] === 'number' ? result[key] : undefined;
  const compared = number('rowsCompared');
  if (compared !== undefined)
    parts.push(
      `${formatCount(compared)} rows compared, ${(['inserted', 'updated', 'deleted'] as const)
        .map((what) => `${formatCount(number(what) ?? 0)} ${what}`)
        .join(', ')}`,
      ...(typeof result['overwritten'] === 'string' ? [`kept in ${result['overwritten']}`] : []),
    );
  else if (Number(result['rowsCopied'] ?? 0) > 0)
    parts.push(`${formatCount(Number(result['rowsCopied']))} rows copied`);
  if (result['drained'] === false) parts.push('not drained in time');
  return parts.length === 0 ? '' : c.dim(`  ${parts.join(', ')}`);
}
