/** A drill as if recorded: a leader killed at 3 s, failover, rejoin; its figures come from the judges themselves. */
import type { RecordedDrill } from '../../../src/drill/report/read.js';
import { type Line, type StepLine, sorted } from '../../../src/drill/history.js';
import { measure } from '../../../src/drill/judge/measure.js';
import { verdictsOf } from '../../../src/drill/judge/verdicts.js';
import { clusterSchema, expectSchema, workloadSchema } from '../../../src/drill/scenario.js';

const MS = 12_000;
const KILLED = 3000;
const BACK = 3900;

interface Odd {
  readonly run?: string;
  readonly scenario?: string;
  readonly variant?: string | null;
  readonly seed?: number;
  readonly title?: string;
  /** How long a write takes, milliseconds. */
  readonly takes?: number;
}

const step = (index: number, action: string, title: string, from: number, to: number): StepLine[] => [
  { kind: 'step', index, phase: 'began', at: from, title, action, nodes: ['n1'], leader: 'n1' },
  {
    kind: 'step',
    index,
    phase: 'ended',
    at: to,
    title,
    action,
    nodes: ['n1'],
    leader: 'n1',
    ok: true,
    exit: 0,
  },
];

export function recordedDrill(odd: Odd = {}): RecordedDrill {
  const { takes = 4 } = odd;
  const steps = [
    ...step(0, 'kill', 'kill -9 n1', KILLED, KILLED + 40),
    ...step(1, 'failover', 'repctl failover', KILLED + 60, BACK + 200),
    ...step(2, 'start', 'start n1', 5000, 6000),
    ...step(3, 'rejoin', 'repctl rejoin n1 --replay', 6000, 8000),
  ];
  const lines: Line[] = [
    { kind: 'start', total: 1000, writers: ['w1'], strays: [] },
    ...Array.from({ length: MS / 50 }, (_, index): Line => {
      const due = index * 50;
      const down = due >= KILLED && due < BACK;
      return {
        kind: 'write',
        client: 'w1',
        op: 'insert',
        n: index + 1,
        due,
        begin: due,
        end: down ? BACK + 20 : due + takes,
        outcome: 'ok',
        node: due < KILLED ? 'n1' : 'n2',
      };
    }),
    ...Array.from({ length: MS / 100 }, (_, index): Line => {
      const due = index * 100;
      return {
        kind: 'read',
        client: 'r1',
        session: 'w1',
        level: 'eventual',
        due,
        begin: due,
        end: due + 2,
        outcome: 'ok',
        node: index % 2 === 0 ? 'n2' : 'n3',
        role: 'replica',
      };
    }),
    ...['n1', 'n2', 'n3'].flatMap((node) =>
      Array.from({ length: MS / 200 }, (_, index): Line => {
        const at = index * 200 + 10;
        const dead = node === 'n1' && at > KILLED && at < 6000;
        const top = Math.floor((at - takes) / 50) + 1 - (node === 'n3' ? 3 : 0);
        return { kind: 'look', node, begin: at, end: at + 1, seen: dead ? null : { w1: [top, top] } };
      }),
    ),
    ...steps,
    ...['n1', 'n2', 'n3'].map((node): Line => ({
      kind: 'final',
      node,
      leader: node === 'n2',
      rows: {
        present: { w1: [[1, MS / 50]] },
        repeated: [],
        adjusted: 0,
        total: 1000,
        digest: 'same',
      },
    })),
  ];
  const history = sorted(lines);
  const measurements = measure(history, MS, { state: 'healthy', epoch: 2 });
  const expect = expectSchema.parse({ rto: '2s', rpo: 'any', health: 'any' });
  const verdicts = verdictsOf(expect, measurements, history.steps);
  return {
    history,
    result: {
      format: 1,
      run: odd.run ?? '20260101T000000Z-leader-killed-s1',
      scenario: odd.scenario ?? 'leader-killed',
      variant: odd.variant ?? null,
      title: odd.title ?? 'The leader is killed',
      about: 'How long are there no writes?',
      seed: odd.seed ?? 1,
      status: verdicts.every((one) => one.met) ? 'met' : 'violated',
      startedAt: '2026-01-01T00:00:00.000Z',
      ms: MS + 5000,
      command: `repctl drill run leader-killed --seed ${String(odd.seed ?? 1)}`,
      environment: {
        repctl: '0.0.0',
        node: '20.0.0',
        platform: 'linux-x64',
        cpus: 2,
        cpu: 'a processor',
        memoryBytes: 8 * 2 ** 30,
        postgres: { n1: '18.4', n2: '18.4', n3: '18.4' },
      },
      cluster: clusterSchema.parse({ nodes: 3 }),
      workload: workloadSchema.parse({}),
      expect,
      schedule: [],
      order: ['n2', 'n3', 'n1'],
      steps: [],
      measurements,
      verdicts,
      grade: null,
      error: null,
    },
  };
}
