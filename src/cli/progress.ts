/** Steps as they run: a spinner with times on a terminal, one line a step elsewhere, silence with --json. */
import type { Ora } from 'ora';
import type { StepEvent, StepProgress, StepResult } from '../plan/execute.js';
import { redact } from '../config/redact.js';
import { formatCount, formatDuration } from '../ui/format.js';
import type { Style } from '../ui/color.js';

export interface StepReporter {
  readonly onEvent: (event: StepEvent) => void;
  /** Clears what is left on the terminal. */
  stop(): void;
}

export interface ReporterOptions {
  readonly style: Style;
  readonly isTTY: boolean;
  readonly silent: boolean;
}

export async function stepReporter({ style, isTTY, silent }: ReporterOptions): Promise<StepReporter> {
  if (silent) return { onEvent: () => undefined, stop: () => undefined };
  const spinner = isTTY ? await makeSpinner() : undefined;
  // Steps of a group run at once; the spinner names those that are under way.
  const running = new Map<string, string>();
  const write = (line: string): void => {
    spinner?.stop();
    process.stderr.write(`${redact(line)}\n`);
  };
  const spin = (): void => {
    if (spinner === undefined) return;
    if (running.size === 0) spinner.stop();
    else spinner.start([...running.values()].join(', '));
  };
  return {
    onEvent(event) {
      const { step } = event;
      if (event.type === 'start') running.set(step.id, step.title);
      else if (event.type === 'progress')
        running.set(step.id, `${step.title} ${progressText(event.progress)}`);
      else {
        running.delete(step.id);
        const time = style.c.dim(formatDuration(event.ms).padStart(8));
        if (event.type === 'done')
          write(`${style.c.green('✓')} ${time}  ${step.title}${resultText(event.result, style)}`);
        else write(`${style.c.red('✗')} ${time}  ${step.title}`);
      }
      spin();
    },
    stop() {
      spinner?.stop();
    },
  };
}

async function makeSpinner(): Promise<Ora> {
  const { default: ora } = await import('ora');
  // Ctrl-C must reach repctl, not be swallowed by the spinner.
  return ora({ stream: process.stderr, discardStdin: false });
}

/** `[=====>    ] 52% 1,040,000 of 2,000,000 rows` */
function progressText({ message, done, total, unit }: StepProgress): string {
  if (message !== undefined) return message;
  if (done === undefined) return '';
  const of = total !== undefined && total > 0 ? ` of ${formatCount(total)}` : '';
  const share = total !== undefined && total > 0 ? Math.min(1, done / total) : undefined;
  const bar =
    share === undefined
      ? ''
      : `[${'█'.repeat(Math.round(share * 20)).padEnd(20, '░')}] ${(share * 100).toFixed(0)}% `;
  return `${bar}${formatCount(done)}${of} ${unit ?? ''}`.trimEnd();
}

/** The figures of a step that an operator wants to see while it scrolls by. */
function resultText(result: StepResult, { c }: Style): string {
  if (result === undefined) return '';
  const parts: string[] = [];
  if (typeof result['forkPoint'] === 'string') parts.push(`fork point ${result['forkPoint']}`);
  if (typeof result['behind'] === 'number')
    parts.push(`${formatCount(result['behind'])} transactions behind`);
  if (typeof result['rowsCopied'] === 'number')
    parts.push(`${formatCount(result['rowsCopied'])} rows copied`);
  if (result['drained'] === false) parts.push('not drained in time');
  return parts.length === 0 ? '' : c.dim(`  ${parts.join(', ')}`);
}
