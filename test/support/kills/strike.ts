/**
 * Bundled into the product by product.ts. Reports the steps of a plan on descriptor 3, one JSON line each, and
 * stops the process (SIGSTOP) at the moment that REPCTL_TEST_STRIKE names, so that the harness can strike while
 * nothing moves; SIGCONT lets it go on.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { writeSync } from 'node:fs';

/**
 * `step` counts from 1 in the order in which steps start (0: while it looks and plans). With `statement` the moment
 * is that statement of the step, counted from 1, before it is sent or while the server works on it; where the step
 * has fewer, its end. Without it, right after the step.
 */
export interface Strike {
  readonly step: number;
  readonly statement?: number;
  readonly when?: 'before' | 'sent';
}

export type Report =
  | {
      readonly type: 'plan';
      readonly operation: string;
      readonly steps: readonly { id: string; node: string }[];
    }
  | { readonly type: 'start' | 'failed'; readonly ordinal: number; readonly id: string; readonly at: number }
  | {
      readonly type: 'done';
      readonly ordinal: number;
      readonly id: string;
      readonly at: number;
      readonly statements: number;
    }
  | {
      readonly type: 'strike';
      readonly id: string;
      readonly where: string;
      readonly sql: string;
      readonly at: number;
    };

interface StepLike {
  readonly id: string;
  readonly node: string;
}

interface Current {
  readonly id: string;
  readonly ordinal: number;
  statements: number;
}

const wanted = process.env['REPCTL_TEST_STRIKE'];
const strike = wanted === undefined || wanted === '' ? undefined : (JSON.parse(wanted) as Strike);
const reporting = process.env['REPCTL_TEST_REPORT'] === '1';
const storage = new AsyncLocalStorage<Current>();
const outside: Current = { id: 'look', ordinal: 0, statements: 0 };
const counters = { started: 0, struck: false };
const running = new Map<string, Current>();

function report(line: Report): void {
  if (reporting) writeSync(3, `${JSON.stringify(line)}\n`);
}

function stop(id: string, where: string, sql: string): void {
  if (counters.struck) return;
  counters.struck = true;
  report({ type: 'strike', id, where, sql, at: Date.now() });
  process.kill(process.pid, 'SIGSTOP');
}

export function withinStep<T>(step: StepLike, body: () => Promise<T>): Promise<T> {
  counters.started += 1;
  const current: Current = { id: step.id, ordinal: counters.started, statements: 0 };
  running.set(step.id, current);
  return storage.run(current, body);
}

interface EventLike {
  readonly type: string;
  readonly step: StepLike;
}

export function watchEvents<Event extends EventLike>(
  plan: { readonly operation: string; readonly steps: readonly StepLike[] },
  onEvent: (event: Event) => void,
): (event: Event) => void {
  report({
    type: 'plan',
    operation: plan.operation,
    steps: plan.steps.map(({ id, node }) => ({ id, node })),
  });
  return (event) => {
    onEvent(event);
    const current = running.get(event.step.id) ?? outside;
    const about = { ordinal: current.ordinal, id: current.id, at: Date.now() };
    if (event.type === 'start') report({ type: 'start', ...about });
    if (event.type === 'failed') report({ type: 'failed', ...about });
    if (event.type !== 'done') return;
    report({ type: 'done', ...about, statements: current.statements });
    if (strike?.step === current.ordinal) stop(current.id, 'after', '');
  };
}

export function statement(when: 'before' | 'sent', node: string, sql: string): void {
  const current = storage.getStore() ?? outside;
  if (when === 'before') current.statements += 1;
  if (strike?.statement !== current.statements || strike.step !== current.ordinal) return;
  if ((strike.when ?? 'before') === when)
    stop(
      current.id,
      `${when === 'before' ? 'before' : 'during'} statement ${String(current.statements)} (on ${node})`,
      sql,
    );
}
