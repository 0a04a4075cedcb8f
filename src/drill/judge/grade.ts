/** How an operator did on a game day. Pure. */
import type { History, StepLine } from '../history.js';
import type { Measurements } from './measure.js';

export interface Grade {
  /** What was broken, in words. */
  readonly faults: readonly string[];
  /** From the first fault to the first command typed after it, milliseconds; null: none was. */
  readonly noticedMs: number | null;
  /** From the first fault until clients were served and status was healthy, and stayed so; null: not reached. */
  readonly mendedMs: number | null;
  /** Acknowledged rows that are gone, and rows that are there twice; null: nobody can say. */
  readonly lost: number | null;
  readonly doubled: number | null;
  /** Nodes whose rows differ from the leader's in the end. */
  readonly differing: readonly string[];
  /** What was typed since the first fault. */
  readonly commands: readonly string[];
}

/** undefined where no operator was asked for, or nothing was broken yet. */
export function gradeOf({ steps, commands }: History, measured: Measurements): Grade | undefined {
  const turn = steps.find((step) => step.action === 'operator');
  const isFault = (step: StepLine): boolean =>
    step.phase === 'began' && !['operator', 'wait'].includes(step.action) && step.index < (turn?.index ?? 0);
  const faults = steps.filter(isFault);
  const [first] = faults;
  if (turn === undefined || first === undefined) return undefined;
  const ended = steps.findLast((step) => step.action === 'operator' && step.phase === 'ended');
  const typed = commands.filter(({ at }) => at >= first.at);
  const since = (at: number | undefined): number | null =>
    at === undefined ? null : Math.round(at - first.at);
  return {
    faults: faults.map(({ title }) => title),
    noticedMs: since(typed[0]?.at),
    mendedMs: ended?.ok === true ? since(ended.at) : null,
    lost: measured.rpo?.rows ?? null,
    doubled: measured.end.leader === null ? null : measured.violations.doubled.length,
    differing: measured.differing,
    commands: typed.map(({ words }) => words),
  };
}
