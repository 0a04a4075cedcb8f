/**
 * What keeps a scenario from being safe: true, which is for clusters in use: steps that such a cluster cannot bear,
 * nodes that it need not have, leadership that stays away. Pure.
 */
import type { Problem } from './problem.js';
import type { Scenario, Step } from './scenario.js';

const SAFE: readonly string[] = ['switchover', 'check', 'repctl', 'wait'];
/** Commands that read; `lag --probe` writes a row of repctl's own. */
const READING: readonly string[] = ['status', 'lag', 'history', 'check'];
const ROLES = /^(?:leader|former|replicas?|replica-\d|all)$/u;

export function unsafe({ safe, steps, random, workload }: Scenario): Problem[] {
  if (!safe) return [];
  return [
    ...steps.flatMap(inStep),
    ...(random > 0 ? [{ path: ['random'], message: 'random faults are not safe: true.' }] : []),
    ...(workload.stray
      ? [{ path: ['workload', 'stray'], message: 'stray clients are not safe: true.' }]
      : []),
    ...away(steps),
  ];
}

function inStep(step: Step, index: number): Problem[] {
  const problem = (message: string, key: string = step.action): Problem => ({
    path: ['steps', index, key],
    message,
  });
  if (!SAFE.includes(step.action))
    return [
      problem(
        `a scenario with ${step.action} is not safe: true. What is: switchover, check, wait, and repctl with ${READING.join(', ')}.`,
      ),
    ];
  if (step.action === 'repctl' && !READING.includes(step.repctl[0] ?? ''))
    return [problem(`safe: true may only read: ${READING.join(', ')}.`)];
  if (step.action === 'switchover' && step.args !== undefined)
    return [problem('a switchover with arguments is not safe: true.', 'args')];
  const target =
    step.action === 'switchover' ? step.switchover : step.action === 'check' ? step.check : undefined;
  return typeof target === 'string' && !ROLES.test(target)
    ? [
        problem(
          `safe: true names nodes by what they are (former, replica), not ${target}: a cluster has its own names.`,
        ),
      ]
    : [];
}

/** Whoever led at first leads in the end: `switchover: former` goes back one step. */
function away(steps: readonly Step[]): Problem[] {
  let [leader, former] = [0, -1];
  let last = 0;
  for (const [index, step] of steps.entries()) {
    if (step.action !== 'switchover' || step.switchover === 'leader') continue;
    [leader, former] = [step.switchover === 'former' ? former : index + 1, leader];
    last = index;
  }
  if (leader === 0) return [];
  const message = 'safe: true ends where it began: after each switchover comes switchover: former.';
  return [{ path: ['steps', last, 'switchover'], message }];
}
