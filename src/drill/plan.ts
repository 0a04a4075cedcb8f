/** Scenario and seed → schedule: the same for the same seed. Pure. */
import { randomFrom } from '../random.js';
import { randomFaults } from './random-faults.js';
import { nodeNames, shuffledOrder } from './roles.js';
import type { Moment, Scenario, Step } from './scenario.js';
import { stepTitle } from './step-text.js';

export interface PlannedStep {
  readonly index: number;
  /** Not before so many milliseconds after the workload began; null: when the one before is done. */
  readonly atMs: number | null;
  /** Milliseconds after the one before it was done. */
  readonly afterMs: number;
  readonly title: string;
  readonly step: Step;
}

export interface Schedule {
  readonly seed: number;
  /** In which order nodes are counted as replica-1, replica-2, …: see Roles. */
  readonly order: readonly string[];
  readonly steps: readonly PlannedStep[];
}

/** `nodes`: their names, the leader's first. */
export function planDrill(
  scenario: Scenario,
  seed: number,
  nodes: readonly string[] = nodeNames(scenario.cluster.nodes),
): Schedule {
  const next = randomFrom(seed);
  const draw = ([from, to]: Moment): number => Math.round(from + next() * (to - from));
  const order = shuffledOrder(nodes, next);
  const steps = [...scenario.steps, ...randomFaults(scenario.random, nodes.length, next)].map(
    (step, index): PlannedStep => ({
      index,
      atMs: step.at === undefined ? null : draw(step.at),
      afterMs: step.after === undefined ? 0 : draw(step.after),
      title: stepTitle(step),
      step,
    }),
  );
  return { seed, order, steps };
}
