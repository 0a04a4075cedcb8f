/** How well clients were served: latency from the due time, errors, times without service. Pure. */
import { percentile } from '../../percentile.js';
import { groupBy } from './group.js';
import type { History, ReadLine, StepLine, WriteLine } from '../history.js';

/** An operation that takes longer is counted as time without service, even if it succeeds. */
export const STALL_MS = 1000;

export interface Distribution {
  readonly p50: number | null;
  readonly p95: number | null;
  readonly p99: number | null;
  readonly max: number | null;
}

export function distribution(values: readonly number[]): Distribution {
  const ascending = values.toSorted((a, b) => a - b);
  const at = (share: number): number | null => rounded(percentile(ascending, share));
  return { p50: at(0.5), p95: at(0.95), p99: at(0.99), max: rounded(ascending.at(-1) ?? null) };
}

export const rounded = (value: number | null): number | null =>
  value === null ? null : Math.round(value * 10) / 10;

type Operation = Pick<WriteLine | ReadLine, 'client' | 'due' | 'begin' | 'end' | 'outcome' | 'code'>;

export interface Window {
  readonly client: string;
  readonly from: number;
  /** null: it had not ended when the workload did. */
  readonly to: number | null;
}

export interface Service {
  readonly operations: number;
  readonly ok: number;
  readonly refused: number;
  readonly unknown: number;
  /** Of all operations the share that was answered well. */
  readonly availability: number | null;
  /** Of those that were answered well, from when they were due, milliseconds. */
  readonly latency: Distribution;
  /** From an operation that failed or stalled to the end of the next that succeeded, by client; longest of each. */
  readonly unavailable: {
    readonly windows: number;
    readonly p50: number | null;
    readonly max: number | null;
  };
  /** The longest time between two successes of any client. */
  readonly pauseMs: number | null;
  /** How often each error was seen. */
  readonly errors: Readonly<Record<string, number>>;
}

export function judgeService(operations: readonly Operation[], endMs: number): Service {
  const count = (outcome: Operation['outcome']): number =>
    operations.filter((one) => one.outcome === outcome).length;
  const good = operations.filter((one) => one.outcome === 'ok');
  const longest = [...groupBy(operations, (one) => one.client).values()].map((own) =>
    Math.max(0, ...windowsOf(own).map(({ from, to }) => (to ?? endMs) - from)),
  );
  const hit = distribution(longest.filter((ms) => ms > 0));
  const errors: Record<string, number> = {};
  for (const { code } of operations) if (code !== undefined) errors[code] = (errors[code] ?? 0) + 1;
  return {
    operations: operations.length,
    ok: good.length,
    refused: count('refused'),
    unknown: count('unknown'),
    availability: operations.length === 0 ? null : good.length / operations.length,
    latency: distribution(good.map((one) => one.end - one.due)),
    unavailable: {
      windows: operations.length === 0 ? 0 : [...windowsOfAll(operations)].length,
      p50: hit.p50,
      max: hit.max ?? (operations.length === 0 ? null : 0),
    },
    pauseMs: longestPause(good, endMs),
    errors,
  };
}

/** Times without service of each client. */
export const windowsOfAll = (operations: readonly Operation[]): Window[] =>
  [...groupBy(operations, (one) => one.client).values()].flatMap(windowsOf);

/** Of one client's operations. */
export function windowsOf(operations: readonly Operation[]): Window[] {
  const found: Window[] = [];
  let from: number | undefined;
  for (const one of operations.toSorted((a, b) => a.due - b.due || a.begin - b.begin)) {
    const good = one.outcome === 'ok';
    if (from === undefined && (!good || one.end - one.due > STALL_MS)) from = one.due;
    if (from === undefined || !good) continue;
    found.push({ client: one.client, from, to: one.end });
    from = undefined;
  }
  if (from !== undefined) found.push({ client: operations[0]?.client ?? '', from, to: null });
  return merged(found);
}

/** What stalled behind one stall is one time without service, not many. */
function merged(windows: readonly Window[]): Window[] {
  const result: Window[] = [];
  for (const one of windows) {
    const last = result.at(-1);
    if (last?.to !== undefined && last.to !== null && one.from <= last.to)
      result[result.length - 1] = { ...last, to: one.to === null ? null : Math.max(last.to, one.to) };
    else result.push(one);
  }
  return result;
}

function longestPause(good: readonly Operation[], endMs: number): number | null {
  if (good.length === 0) return null;
  const ends = [...good.map((one) => one.end), endMs].sort((a, b) => a - b);
  return rounded(Math.max(...ends.map((end, index) => end - (ends[index - 1] ?? 0))));
}

export interface Recovery {
  readonly step: string;
  /** From the fault to the first write acknowledged that was sent after it; null: there was none. */
  readonly ms: number | null;
}

const TAKES_LEADER = ['kill', 'stop', 'pause', 'isolate'];

/** One for each fault of a leader. Strays write on where nobody else reaches: they do not count. */
export function recoveries({ steps, writes }: History): Recovery[] {
  const ended = (began: StepLine): StepLine | undefined =>
    steps.find((step) => step.phase === 'ended' && step.index === began.index);
  return steps
    .filter(
      (step) =>
        step.phase === 'began' && TAKES_LEADER.includes(step.action) && step.nodes.includes(step.leader),
    )
    .map((step) => {
      const done = ended(step)?.at ?? step.at;
      const first = writes
        .filter((write) => write.outcome === 'ok' && write.begin >= done && !write.client.startsWith('s'))
        .reduce((soonest, write) => Math.min(soonest, write.end), Infinity);
      return { step: step.title, ms: first === Infinity ? null : rounded(first - step.at) };
    });
}
