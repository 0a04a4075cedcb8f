/** Faults drawn by the seed, each with what mends it. Pure. */
import type { Step } from './scenario.js';

const some: readonly [number, number] = [500, 2000];

/** What one fault and its mending take, in the words of a scenario. */
const FAULTS: readonly { readonly needs: number; readonly steps: (pick: () => string) => readonly Step[] }[] =
  [
    {
      needs: 2,
      steps: () => [
        { action: 'kill', kill: 'leader', after: [...some] },
        { action: 'failover', failover: true, within: 30_000 },
        { action: 'start', start: 'former', after: [...some] },
        { action: 'rejoin', rejoin: 'former', args: ['--replay'], exit: [0, 5], within: 30_000 },
      ],
    },
    {
      needs: 2,
      steps: () => [
        { action: 'pause', pause: 'leader', after: [...some] },
        { action: 'failover', failover: true, within: 30_000 },
        { action: 'resume', resume: 'former', after: [...some] },
        { action: 'rejoin', rejoin: 'former', args: ['--replay'], exit: [0, 5], within: 30_000 },
      ],
    },
    {
      needs: 2,
      steps: () => [
        { action: 'isolate', isolate: { node: 'leader', clients: 'with', reset: false }, after: [...some] },
        { action: 'failover', failover: true, within: 30_000 },
        { action: 'heal', heal: 'former', after: [...some] },
        { action: 'rejoin', rejoin: 'former', args: ['--replay'], exit: [0, 5], within: 30_000 },
      ],
    },
    {
      needs: 2,
      steps: (pick) => {
        const replica = pick();
        return [
          { action: 'kill', kill: replica, after: [...some] },
          { action: 'start', start: replica, after: [...some] },
        ];
      },
    },
    {
      needs: 2,
      steps: (pick) => {
        const replica = pick();
        return [
          { action: 'pause', pause: replica, after: [...some] },
          { action: 'resume', resume: replica, after: [...some] },
        ];
      },
    },
    {
      needs: 2,
      steps: (pick) => {
        const replica = pick();
        return [
          { action: 'isolate', isolate: replica, after: [...some] },
          { action: 'heal', heal: replica, after: [...some] },
        ];
      },
    },
    {
      needs: 2,
      steps: () => [
        { action: 'delay', delay: { node: 'all', each: 30 }, after: [...some] },
        { action: 'delay', delay: { node: 'all', each: 0 }, after: [...some] },
      ],
    },
    { needs: 2, steps: () => [{ action: 'switchover', switchover: true, after: [...some], within: 30_000 }] },
    {
      needs: 1,
      steps: () => [
        { action: 'kill', kill: 'leader', after: [...some] },
        { action: 'start', start: 'leader' },
      ],
    },
  ];

/** `count` faults one after the other, the cluster healthy again before each. */
export function randomFaults(count: number, nodes: number, next: () => number): Step[] {
  const possible = FAULTS.filter((fault) => fault.needs <= nodes);
  return Array.from({ length: count }, () => {
    const fault = possible[Math.floor(next() * possible.length)];
    const pick = (): string => `replica-${String(1 + Math.floor(next() * Math.max(1, nodes - 1)))}`;
    return [...(fault?.steps(pick) ?? []), { action: 'wait' as const, wait: 0, when: 'healthy' as const }];
  }).flat();
}
