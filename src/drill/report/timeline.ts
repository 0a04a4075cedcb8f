/** A recorded history as the curves of one time axis. Pure. */
import { groupBy } from '../judge/group.js';
import type { History, StepLine } from '../history.js';
import { ackedRows, lagOf } from '../judge/lag.js';
import { percentile } from '../../percentile.js';
import { FAULTS } from '../scenario.js';

/** [milliseconds since the workload began, value]; null where there is none. */
export type Point = readonly [at: number, value: number | null];

export interface Mark {
  /** As in the list of steps: 1, 2, … */
  readonly number: number;
  readonly from: number;
  /** null: it had not ended when the workload did. */
  readonly to: number | null;
  readonly title: string;
  /** Something was done to a server, not by repctl. */
  readonly fault: boolean;
  readonly ok: boolean | null;
}

export interface Timeline {
  readonly ms: number;
  readonly binMs: number;
  /** Acknowledged, and failed, a second. */
  readonly writes: readonly Point[];
  readonly failedWrites: readonly Point[];
  readonly reads: readonly Point[];
  readonly failedReads: readonly Point[];
  /** Of writes that were due in that bin, counted from when they were due; milliseconds. */
  readonly latencyP50: readonly Point[];
  readonly latencyMax: readonly Point[];
  /** How far a node was behind what clients had been told, milliseconds; null when it did not answer. */
  readonly lag: Readonly<Record<string, readonly Point[]>>;
  readonly marks: readonly Mark[];
}

const BINS = [100, 200, 250, 500, 1000, 2000, 5000, 10_000, 30_000, 60_000];
const MOST_BINS = 120;

/** A round bin of which at most 120 make `ms`. */
export const binOf = (ms: number): number => BINS.find((bin) => ms / bin <= MOST_BINS) ?? 60_000;

/** Done to a server from outside: what scenarios call a fault, and statements past the proxy. */
const isFault = (action: string): boolean =>
  action === 'sql' || (FAULTS as readonly string[]).includes(action);

export function timelineOf(history: History, ms: number): Timeline {
  const binMs = binOf(ms);
  const count = Math.max(1, Math.ceil(ms / binMs));
  const bin = (at: number): number => Math.min(count - 1, Math.max(0, Math.floor(at / binMs)));
  const at = (index: number): number => (index + 0.5) * binMs;
  const perSecond = (times: readonly number[]): Point[] => {
    const counts = new Array<number>(count).fill(0);
    for (const time of times) counts[bin(time)] = (counts[bin(time)] ?? 0) + 1;
    return counts.map((number, index) => [at(index), (number * 1000) / binMs]);
  };
  const writes = history.writes.filter((write) => !write.client.startsWith('s'));
  const ends = (lines: readonly { outcome: string; end: number }[], good: boolean): number[] =>
    lines.filter((line) => (line.outcome === 'ok') === good).map((line) => line.end);
  const latencies = groupBy(
    writes.filter((write) => write.outcome === 'ok'),
    (write) => bin(write.due),
  );
  const latency = (share: number): Point[] =>
    Array.from({ length: count }, (_, index) => {
      const sortedMs = (latencies.get(index) ?? [])
        .map((write) => write.end - write.due)
        .sort((a, b) => a - b);
      return [at(index), percentile(sortedMs, share)];
    });
  const acknowledged = ackedRows(history);
  return {
    ms,
    binMs,
    writes: perSecond(ends(writes, true)),
    failedWrites: perSecond(ends(writes, false)),
    reads: perSecond(ends(history.reads, true)),
    failedReads: perSecond(ends(history.reads, false)),
    latencyP50: latency(0.5),
    latencyMax: latency(1),
    lag: Object.fromEntries(
      [...groupBy(history.looks, (look) => look.node)]
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([node, looks]) => [node, looks.map((look): Point => [look.begin, lagOf(look, acknowledged)])]),
    ),
    marks: marksOf(history.steps),
  };
}

const marksOf = (steps: readonly StepLine[]): Mark[] =>
  steps
    .filter((step) => step.phase === 'began')
    .sort((a, b) => a.at - b.at)
    .map((step, index) => {
      const ended = steps.find((one) => one.phase === 'ended' && one.index === step.index);
      return {
        number: index + 1,
        from: step.at,
        to: ended?.at ?? null,
        title: step.title,
        fault: isFault(step.action),
        ok: ended?.ok ?? null,
      };
    });
