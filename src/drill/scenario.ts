/** What a scenario file may hold: scenarios/*.yaml, and users' own. The words are explained in docs/drill.md. */
// zod/mini, as in the configuration: the full package costs every command 20 ms at its start.
import * as z from 'zod/mini';
import { durationOf } from '../duration.js';
import { READ_LEVELS } from '../routing/route.js';

const LONGEST_MS = 3_600_000;

const text = (max = 1000) => z.string().check(z.minLength(1), z.maxLength(max));
const whole = (min: number, max: number) => z.int().check(z.gte(min), z.lte(max));

/** `5s`, `500ms`, or seconds as a number → milliseconds. */
const duration = z.pipe(
  z.transform((value: unknown) =>
    typeof value === 'string' || typeof value === 'number' ? durationOf(String(value)) : undefined,
  ),
  z.number().check(z.gte(0), z.lte(LONGEST_MS)),
);

/** `3s`, or `2s..4s`, from which the seed draws → milliseconds [from, to]. */
const moment = z.pipe(
  z.transform((value: unknown) => {
    if (typeof value !== 'string' && typeof value !== 'number') return undefined;
    const [from, to = from] = String(value).split('..').map(durationOf);
    return [from, to];
  }),
  z
    .tuple([z.number().check(z.gte(0)), z.number().check(z.lte(LONGEST_MS))])
    .check(z.refine(([from, to]) => from <= to)),
);

/** A node by name or by what it is at that moment. */
const ref = z
  .string()
  .check(z.regex(/^(?:[a-z][a-z0-9_]{0,29}|leader|former|replica(?:-\d)?|replicas|all)$/));
const refs = z.union([ref, z.array(ref).check(z.minLength(1))]);
const oneOrMore = z.union([whole(0, 255), z.array(whole(0, 255)).check(z.minLength(1))]);

/** What every step may carry. */
const common = {
  /** Not before this time after the workload began. */
  at: z.optional(moment),
  /** Not before this is so: clients write again, status is healthy, replicas show every acknowledged row. */
  when: z.optional(z.enum(['writing', 'healthy', 'caught-up'])),
  /** So long after the step before it ended. */
  after: z.optional(moment),
};
const faulty = <Key extends string>(key: Key) =>
  z.strictObject({ ...common, ...({ [key]: refs } as Record<Key, typeof refs>) });
/** A command of repctl, run as a person would type it. */
const operation = {
  ...common,
  /** Further arguments. */
  args: z.optional(z.array(text())),
  /** Exit statuses that are right; default 0. */
  exit: z.optional(oneOrMore),
  /** Typed again while it is refused or cannot reach somebody (exit 3, 6, 8), for so long. */
  within: z.optional(duration),
};
const operated = <Key extends string>(key: Key) => {
  const target = z.optional(z.nullable(z.union([ref, z.boolean()])));
  return z.strictObject({ ...operation, ...({ [key]: target } as Record<Key, typeof target>) });
};

export const FAULTS = [
  'kill',
  'stop',
  'start',
  'pause',
  'resume',
  'isolate',
  'heal',
  'delay',
  'fill',
  'free',
  'killWeb',
] as const;
export const OPERATIONS = [
  'switchover',
  'failover',
  'promote',
  'rejoin',
  'rewire',
  'repair',
  'check',
] as const;
/** The keys that say what a step does; each step has one of them. */
export const ACTIONS = [...FAULTS, ...OPERATIONS, 'sync', 'repctl', 'sql', 'operator', 'wait'] as const;
export type ActionKey = (typeof ACTIONS)[number];

const cut = z.strictObject({
  node: ref,
  from: z.optional(z.array(ref)),
  clients: z.optional(z.enum(['with', 'only'])),
  reset: z._default(z.boolean(), false),
});

export const STEPS = {
  kill: faulty('kill'),
  stop: faulty('stop'),
  start: faulty('start'),
  pause: faulty('pause'),
  resume: faulty('resume'),
  heal: faulty('heal'),
  fill: faulty('fill'),
  free: faulty('free'),
  /** SIGKILL of a process of workload.service, by its number. */
  killWeb: z.strictObject({ ...common, killWeb: whole(1, 9) }),
  isolate: z.strictObject({ ...common, isolate: z.union([ref, cut]) }),
  delay: z.strictObject({
    ...common,
    delay: z.strictObject({ node: z._default(refs, 'all'), each: duration }),
  }),
  switchover: operated('switchover'),
  failover: operated('failover'),
  promote: operated('promote'),
  rejoin: operated('rejoin'),
  rewire: operated('rewire'),
  repair: operated('repair'),
  check: operated('check'),
  sync: z.strictObject({ ...operation, sync: z.string().check(z.regex(/^(?:async|all|any \d)$/)) }),
  repctl: z.strictObject({ ...operation, repctl: z.array(text()).check(z.minLength(1)) }),
  sql: z.strictObject({
    ...common,
    sql: z.strictObject({
      node: ref,
      run: text(10_000),
      /** It is not waited for: a transaction that is still open when the next step comes. */
      background: z._default(z.boolean(), false),
      /** As the server's superuser, whom no fence stops in a session that plays replication. */
      superuser: z._default(z.boolean(), false),
    }),
  }),
  /** Somebody mends it with repctl, in so long at the most: clients are served again, and status is healthy. */
  operator: z.strictObject({ ...common, operator: duration }),
  wait: z.strictObject({ ...common, wait: duration }),
} as const satisfies Record<ActionKey, unknown>;

const load = {
  clients: z._default(whole(0, 100), 4),
  rate: z._default(z.number().check(z.gt(0), z.lte(5000)), 10),
};

export const clusterSchema = z.strictObject({
  nodes: z._default(whole(1, 9), 4),
  /** Dealt out in turn. */
  pg: z._default(z.array(z.pipe(z.transform(String), text())).check(z.minLength(1)), ['18']),
  sync: z._default(z.string().check(z.regex(/^(?:async|all|any \d)$/)), 'async'),
  /** Each way on every link between nodes. */
  delay: z._default(duration, 0),
  /** `physical`: the others are standbys of n1 that stream its WAL, a yardstick that repctl has no hand in. */
  replication: z._default(z.enum(['logical', 'physical']), 'logical'),
  /** Megabytes of a disk of its own for each node, so that it can be filled. */
  disk: z.optional(whole(100, 100_000)),
  /** Server settings of every node. */
  settings: z._default(z.record(text(), z.pipe(z.transform(String), z.string())), {}),
  connectTimeout: z._default(duration, 3000),
  statementTimeout: z._default(duration, 10_000),
  drainTimeout: z._default(duration, 5000),
});

export const workloadSchema = z.strictObject({
  /** At least so long; it goes on until the last step is done. */
  duration: z._default(duration, 10_000),
  writers: z.prefault(z.strictObject(load), {}),
  readers: z.prefault(
    z.strictObject({
      ...load,
      levels: z._default(z.array(z.enum(READ_LEVELS)).check(z.minLength(1)), ['session']),
    }),
    {},
  ),
  /** Clients on the far side of a partition: they write to one node, past proxy and routing. */
  stray: z.optional(z.strictObject({ ...load, node: z._default(ref, 'n1') })),
  /** How often each kind of write is drawn. */
  mix: z.prefault(
    z.strictObject({
      insert: z._default(whole(0, 100), 2),
      adjust: z._default(whole(0, 100), 1),
      transfer: z._default(whole(0, 100), 1),
    }),
    {},
  ),
  pool: z.prefault(
    z.strictObject({
      size: z._default(whole(1, 100), 5),
      overflow: z._default(whole(0, 100), 10),
      timeout: z._default(duration, 30_000),
      prePing: z._default(z.boolean(), true),
    }),
    {},
  ),
  /** Clients go through web services of the drill's own; where a session is kept is what differs. */
  service: z.optional(
    z.strictObject({
      processes: z._default(whole(1, 9), 2),
      session: z._default(z.enum(['token', 'process']), 'token'),
    }),
  ),
  /** How long a client waits for one statement. */
  timeout: z._default(duration, 10_000),
});

const limits = {
  /** Share of the operations that were answered well, at least. */
  availability: z.optional(z.number().check(z.gte(0), z.lte(1))),
  /** The longest time that any client was without service, at most. */
  unavailable: z.optional(duration),
  /** The longest time without any success of any client, at most. */
  pause: z.optional(duration),
  /** 99 of 100 operations take at most so long, counted from when they were due. */
  p99: z.optional(duration),
  /** As p99, but at least: a stall must show as latency. */
  p99AtLeast: z.optional(duration),
  /** Errors that clients saw, at most. */
  errors: z.optional(whole(0, 1_000_000)),
};
const writeLimits = z.strictObject(limits);
const readLimits = z.strictObject({
  ...limits,
  /** Reads of the least-read replica for each of the most-read, at least. */
  balance: z.optional(z.number().check(z.gte(0), z.lte(1))),
});

export const expectSchema = z.strictObject({
  /** From a fault of the leader to the first acknowledged write, at most. */
  rto: z.optional(duration),
  /**
   * Acknowledged writes that are gone, at most; `saved`: as many as there are, if each is in a file that a rejoin wrote;
   * `any`: measured, not judged.
   */
  rpo: z._default(z.union([z.strictObject({ rows: whole(0, 1_000_000) }), z.enum(['saved', 'any'])]), {
    rows: 0,
  }),
  writes: z.optional(writeLimits),
  reads: z.optional(readLimits),
  /** The 95th percentile of how far a replica is behind what was acknowledged, at most. */
  lagP95: z.optional(duration),
  /** Acknowledged writes that a rejoin or replay brought back, at least. */
  broughtBack: z.optional(whole(0, 1_000_000)),
  /** Reads of level eventual that missed something, at least: the lag must show somewhere. */
  staleEventual: z.optional(whole(1, 1_000_000)),
  /** Reads of sessions that forgot what they had written or seen, at least: that loss is the point then. */
  forgotten: z.optional(whole(1, 1_000_000)),
  /** What `repctl status` says in the end; `any`: not judged. */
  health: z._default(z.enum(['healthy', 'any']), 'healthy'),
});

export const NAME = /^[a-z][a-z0-9-]{0,49}$/;

export const scenarioSchema = z.strictObject({
  name: z.string().check(z.regex(NAME)),
  title: text(100),
  /** The question that it answers. */
  about: z.optional(text(2000)),
  /** May be run against a configured cluster: nothing in it breaks a node. */
  safe: z._default(z.boolean(), false),
  cluster: z.prefault(clusterSchema, {}),
  workload: z.prefault(workloadSchema, {}),
  /** Each is checked by itself, by the key that says what it does. */
  steps: z._default(z.array(z.record(z.string(), z.unknown())), []),
  /** So many faults more, drawn by the seed, each mended before the next. */
  random: z.optional(whole(1, 50)),
  expect: z.prefault(expectSchema, {}),
  /** The same with other parts, each a run of its own. */
  variants: z.optional(
    z
      .array(
        z.strictObject({
          name: z.string().check(z.regex(NAME)),
          cluster: z.optional(z.record(z.string(), z.unknown())),
          workload: z.optional(z.record(z.string(), z.unknown())),
          expect: z.optional(z.record(z.string(), z.unknown())),
        }),
      )
      .check(z.minLength(1)),
  ),
});

export type ClusterPart = z.infer<typeof clusterSchema>;
export type WorkloadPart = z.infer<typeof workloadSchema>;
export type ExpectPart = z.infer<typeof expectSchema>;
export type Limits = z.infer<typeof writeLimits>;
type AnyOf<T> = T[keyof T];
export type Step = AnyOf<{ [Key in ActionKey]: z.infer<(typeof STEPS)[Key]> & { readonly action: Key } }>;
export type Moment = readonly [number, number];

/** One experiment: a scenario, or one variant of it. */
export interface Scenario {
  readonly name: string;
  readonly title: string;
  readonly about: string | null;
  readonly safe: boolean;
  readonly variant: string | null;
  readonly cluster: ClusterPart;
  readonly workload: WorkloadPart;
  readonly steps: readonly Step[];
  readonly random: number;
  readonly expect: ExpectPart;
  /** The file that it is from. */
  readonly file: string;
}
