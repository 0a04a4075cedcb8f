/** From a seed to a history: which nodes, and what happens to them in which order. Pure. */
import type { Kill } from './program.js';
import { type Random, randomOf } from './random.js';
import { MAJORS } from './stage.js';

/** A node, named by what it is when its turn comes; `replica` counts in the order of the configuration. */
export type Who =
  | 'leader'
  | 'former leader'
  /** The last one that was stopped or killed while it did not lead. */
  | 'absent'
  | { readonly replica: number };

export type Event =
  | { readonly do: 'wait'; readonly ms: number }
  /** The apply worker is held back for a while: by a lock on a table, or by SIGSTOP. */
  | { readonly do: 'hold'; readonly who: Who; readonly how: 'lock' | 'sigstop'; readonly ms: number }
  | { readonly do: 'disable'; readonly who: Who }
  | { readonly do: 'stream'; readonly who: Who }
  | { readonly do: 'crash'; readonly who: Who }
  | { readonly do: 'stop'; readonly who: Who }
  /** Starts whatever is down. */
  | { readonly do: 'start' }
  | { readonly do: 'freeze'; readonly who: Who; readonly ms: number }
  | {
      readonly do: 'cut';
      readonly who: Who;
      /** The one node that it no longer reaches; default all. */
      readonly from?: Who;
      readonly clients: 'without' | 'with' | 'only';
      readonly reset: boolean;
    }
  | { readonly do: 'heal' }
  /** `answered`: what comes next waits for its answer, so that it is acknowledged and no replica has it yet. */
  | { readonly do: 'big'; readonly megabytes: number; readonly answered?: boolean }
  /** Statements of a client, past the proxy; for histories that are written, not drawn. */
  | { readonly do: 'sql'; readonly who: Who; readonly text: string; readonly superuser?: boolean }
  /** ALTER SUBSCRIPTION … SKIP of the transaction that the apply worker fails on, once it does. */
  | { readonly do: 'skip'; readonly who: Who }
  | {
      readonly do: 'run';
      readonly command: string;
      readonly who?: Who;
      readonly flags: readonly string[];
      readonly kill?: Kill;
      /** After a kill: the same command once more. */
      readonly again: boolean;
      /** Another command at the same time. */
      readonly beside?: { readonly command: string; readonly who?: Who; readonly flags: readonly string[] };
    };

export interface History {
  readonly seed: number;
  /** In the order of the configuration; the first one leads. */
  readonly nodes: readonly string[];
  readonly synchronousCommit: ReadonlyMap<string, string>;
  readonly writers: number;
  readonly pauseMs: number;
  /** One of the writers reaches the nodes past the proxy: it is on the leader's side of a partition. */
  readonly inside: boolean;
  readonly events: readonly Event[];
}

export interface GenerateOptions {
  /** What the program can do; what it cannot is replaced by something that it can. */
  readonly commands: ReadonlySet<string>;
  /** Big transactions of 64 MB and more take seconds; default as the seed says. */
  readonly big?: boolean;
  /** Whether commits wait for a replica from the beginning; default as the seed says. */
  readonly sync?: boolean;
  /** Rounds of these kinds alone; default any. */
  readonly rounds?: readonly Round[];
  /** Whether repctl is killed on its way; default as the seed says. */
  readonly kills?: boolean;
}

export type Round = 'switchover' | 'crash' | 'partition' | 'rewire' | 'recopy' | 'restart' | 'two' | 'late';

export function generate(seed: number, options: GenerateOptions): History {
  const random = randomOf(seed);
  const count = random.weighted({ '3': 50, '4': 35, '5': 15 });
  const nodes = random.shuffle(MAJORS.map((_, index) => `n${String(index + 1)}`)).slice(0, Number(count));
  const big = options.big ?? random.chance(0.2);
  const sync = options.commands.has('sync') && (options.sync ?? random.chance(0.25));
  // Where synchronous_commit is off commits wait for nobody, and `sync` is refused.
  const synchronousCommit = new Map(nodes.map((node) => [node, !sync && random.chance(0.25) ? 'off' : 'on']));
  const rounds = Number(random.weighted({ '1': 45, '2': 40, '3': 15 }));
  const events: Event[] = [{ do: 'wait', ms: random.int(20, 120) }];
  if (sync) events.push({ do: 'run', command: 'sync any 1', flags: [], again: false }, wait(random));
  if (big) events.push(...bigTransaction(random));
  for (let round = 0; round < rounds; round += 1)
    events.push(...roundOf(random, nodes.length, sync, options));
  return {
    seed,
    nodes,
    synchronousCommit,
    writers: random.int(1, 3),
    pauseMs: random.pick([4, 12, 40]),
    inside: random.chance(0.5),
    events: options.kills === false ? events.map(withoutKill) : events,
  };
}

function withoutKill(event: Event): Event {
  if (event.do !== 'run') return event;
  const { kill, ...rest } = event;
  return kill === undefined ? event : rest;
}

const wait = (random: Random, min = 10, max = 150): Event => ({ do: 'wait', ms: random.int(min, max) });
const replica = (random: Random): Who => ({ replica: random.int(0, 4) });

function bigTransaction(random: Random): Event[] {
  return [
    { do: 'stream', who: { replica: 0 } },
    { do: 'stream', who: { replica: 1 } },
    { do: 'big', megabytes: random.pick([64, 64, 72]), answered: random.chance(0.6) },
    wait(random, 0, 800),
  ];
}

type Command = Extract<Event, { do: 'run' }>;

function command(random: Random, name: string, flags: readonly string[] = [], who?: Who): Command {
  const kill: Kill | undefined = random.chance(0.3)
    ? random.chance(0.5)
      ? { afterMs: random.int(150, 700) }
      : { afterSteps: random.int(1, 8), thenMs: random.pick([0, 0, 2, 5, 12]) }
    : undefined;
  return {
    do: 'run',
    command: name,
    flags,
    again: random.chance(0.5),
    ...(who === undefined ? {} : { who }),
    ...(kill === undefined ? {} : { kill }),
  };
}

/** Replicas that lag, stand still, restart or are cut off, before or while something is done to the leadership. */
function trouble(random: Random, sync: boolean): Event[] {
  const kind = random.weighted({
    none: 30,
    lock: 14,
    sigstop: 8,
    disable: 8,
    stream: 14,
    stop: 8,
    crash: 10,
    freeze: 4,
    link: 10,
    medium: 6,
    sync: sync ? 10 : 0,
  });
  const who = replica(random);
  switch (kind) {
    case 'none':
      return [];
    case 'lock':
    case 'sigstop':
      return [{ do: 'hold', who, how: kind, ms: random.int(100, 1200) }, wait(random)];
    case 'disable':
    case 'stream':
      return [{ do: kind, who }, wait(random)];
    case 'stop':
      return [{ do: 'stop', who }, wait(random)];
    case 'crash':
      return random.chance(0.5)
        ? [{ do: 'crash', who }, wait(random)]
        : [{ do: 'crash', who }, wait(random), { do: 'start' }, wait(random, 0, 100)];
    case 'freeze':
      return [{ do: 'freeze', who, ms: random.int(100, 1000) }];
    case 'link':
      return [
        {
          do: 'cut',
          who,
          from: random.chance(0.6) ? 'leader' : replica(random),
          clients: 'without',
          reset: random.chance(0.5),
        },
        wait(random),
      ];
    case 'medium':
      return [{ do: 'stream', who }, { do: 'big', megabytes: 2 }, wait(random)];
    case 'sync':
      return [command(random, random.pick(['sync async', 'sync any 1', 'sync all'])), wait(random)];
  }
}

function roundOf(
  random: Random,
  count: number,
  sync: boolean,
  { commands, rounds }: GenerateOptions,
): Event[] {
  const able = (...names: string[]): boolean => names.every((name) => commands.has(name));
  const weights: Readonly<Record<Round, number>> = {
    switchover: able('switchover') ? 35 : 0,
    crash: 30,
    partition: 12,
    rewire: 10,
    recopy: 4,
    restart: 5,
    two: able('switchover') ? 6 : 2,
    late: 12,
  };
  const kind = random.weighted(
    rounds === undefined
      ? weights
      : (Object.fromEntries(rounds.map((round) => [round, weights[round]])) as typeof weights),
  );
  const before = trouble(random, sync);
  // What is known to be lost is refused otherwise; sometimes it shall be.
  const accepting = [
    ...(count === 3 ? ['--accept-minority'] : []),
    ...(random.chance(0.7) ? ['--accept-data-loss'] : []),
  ];
  switch (kind) {
    case 'switchover':
      return [
        ...before,
        command(random, 'switchover', [], random.chance(0.6) ? replica(random) : undefined),
        wait(random),
      ];
    case 'crash':
      return [
        ...before,
        { do: 'crash', who: 'leader' },
        random.chance(0.2)
          ? command(random, 'promote', accepting, replica(random))
          : command(random, 'failover', accepting, random.chance(0.2) ? replica(random) : undefined),
        wait(random),
        ...back(random, commands),
      ];
    case 'partition':
      // The operator and the replicas on one side, the leader with whoever reaches it past the proxy on the other.
      return [
        ...before,
        { do: 'cut', who: 'leader', clients: 'with', reset: random.chance(0.5) },
        wait(random, 0, 400),
        command(random, 'failover', [...accepting, '--leader-is-dead']),
        wait(random),
        { do: 'heal' },
        ...back(random, commands),
      ];
    case 'rewire':
      return [...before, wait(random), command(random, 'rewire', [], replica(random)), wait(random)];
    case 'recopy':
      return [...before, command(random, 'rewire', ['--recopy'], replica(random)), wait(random)];
    case 'restart':
      return [{ do: 'crash', who: 'leader' }, wait(random), { do: 'start' }, ...before, wait(random)];
    case 'two': {
      const first = able('switchover') ? 'switchover' : 'rewire';
      return [
        ...before,
        {
          ...command(random, first, [], replica(random)),
          beside: { command: random.pick([first, 'rewire']), who: replica(random), flags: [] },
        },
        wait(random),
      ];
    }
    case 'late':
      // A replica misses the change of the leader and is attached later.
      return [
        { do: random.pick(['stop', 'crash']), who: { replica: 0 } },
        wait(random),
        ...(able('switchover') && random.chance(0.3)
          ? [command(random, 'switchover', ['--without', 'absent'])]
          : [{ do: 'crash', who: 'leader' } as const, command(random, 'failover', accepting)]),
        wait(random),
        { do: 'start' },
        command(random, 'rewire', [], 'absent'),
        ...back(random, commands),
      ];
  }
}

/** The old leader comes back: at once, or not before everything is healed. */
function back(random: Random, commands: ReadonlySet<string>): Event[] {
  if (random.chance(0.35)) return [];
  return [
    { do: 'start' },
    wait(random),
    ...(commands.has('rejoin') && random.chance(0.7)
      ? [command(random, 'rejoin', [], 'former leader'), wait(random)]
      : []),
  ];
}
