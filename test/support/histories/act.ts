/** Lets the events of a history happen. What is resolved at that moment (who leads, who is down) goes to the log. */
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { ident } from '../../../src/postgres/quote.js';
import {
  heal,
  isolate,
  killNode,
  nodeOf,
  nodeState,
  pauseNode,
  resumeNode,
  startNode,
  stopNode,
} from '../../../src/sandbox/sandbox.js';
import type { Event, History, Who } from './generate.js';
import type { Program, Run } from './program.js';
import { type Stage, connect } from './stage.js';
import { type Watcher, within } from './watcher.js';
import type { Writer } from './writer.js';
import { signalAll } from '../signal.js';
import { until } from '../wait.js';

export interface World {
  readonly stage: Stage;
  readonly program: Program;
  readonly history: History;
  /** The program's HOME: configuration, state, audit. */
  readonly home: string;
  readonly watcher: Watcher;
  readonly writers: readonly Writer[];
  /** What happened, one line each. */
  readonly log: (line: string) => void;
  readonly violations: string[];
  /** How long the cluster may take to become healthy, milliseconds. */
  readonly patienceMs: number;
  /** How often what happened; commands by their name, killed ones and those that ended well once more. */
  readonly counts: Map<string, number>;
  /** Undoes what still holds, in any order. */
  readonly undo: Set<() => Promise<void>>;
  readonly crashes: { readonly node: string; readonly at: number }[];
  /** Nodes that were taken down, the last one first. */
  readonly down: string[];
  /** Nodes whose own writes were thrown away with --accept-data-loss. */
  readonly discarded: Set<string>;
  /** Epochs that began by a failover which said that no acknowledged write of the former leader can be lost. */
  readonly promised: Set<number>;
}

export const count = ({ counts }: World, kind: string): void =>
  void counts.set(kind, (counts.get(kind) ?? 0) + 1);

export async function act(world: World, event: Event): Promise<void> {
  const { stage, log } = world;
  const { sandbox } = stage;
  if (event.do !== 'run') count(world, event.do === 'hold' ? `hold by ${event.how}` : event.do);
  switch (event.do) {
    case 'wait':
      return delay(event.ms);
    case 'hold':
      return hold(world, who(world, event.who), event.how, event.ms);
    case 'disable': {
      const name = who(world, event.who);
      log(`disable the subscription of ${name}`);
      return alterSubscription(world, name, () => 'disable');
    }
    case 'stream': {
      const name = who(world, event.who);
      log(`streaming=parallel on ${name}`);
      return alterSubscription(world, name, (version) =>
        version >= 160_000 ? 'set (streaming = parallel)' : 'set (streaming = on)',
      );
    }
    case 'crash':
    case 'stop': {
      const name = who(world, event.who);
      log(`${event.do} ${name}`);
      if (event.do === 'crash') {
        world.crashes.push({ node: name, at: Date.now() });
        await killNode(sandbox, name);
      } else await stopNode(sandbox, name);
      world.down.unshift(name);
      return;
    }
    case 'start':
      for (const name of world.history.nodes) {
        const state = await nodeState(sandbox, name);
        if (state !== 'stopped' && state !== 'crashed') continue;
        log(`start ${name}`);
        await startNode(sandbox, name);
      }
      return;
    case 'freeze': {
      const name = who(world, event.who);
      log(`freeze ${name} for ${String(event.ms)} ms`);
      await pauseNode(sandbox, name);
      later(world, event.ms, async () => {
        await resumeNode(sandbox, name);
      });
      return;
    }
    case 'cut': {
      const name = who(world, event.who);
      const other = event.from === undefined ? undefined : who(world, event.from);
      if (other === name) return;
      log(
        `cut ${name} from ${other ?? 'all'}, clients: ${event.clients}, ${event.reset ? 'reset' : 'silent'}`,
      );
      await isolate(sandbox, name, {
        reset: event.reset,
        ...(other === undefined ? {} : { from: [other] }),
        ...(event.clients === 'without' ? {} : { clients: event.clients }),
      });
      return;
    }
    case 'heal':
      log('heal all links');
      await heal(sandbox);
      return;
    case 'sql': {
      const name = who(world, event.who);
      log(`on ${name}: ${event.text}`);
      const { directUrl, superuserUrl } = nodeOf(sandbox, name);
      const client = await connect(event.superuser === true ? superuserUrl : directUrl);
      await client.query(event.text).finally(() => client.end());
      return;
    }
    case 'skip':
      return skip(world, who(world, event.who));
    case 'big': {
      log(`a transaction of ${String(event.megabytes)} MB`);
      const answered = world.writers[0]?.big(event.megabytes);
      if (event.answered !== true) return;
      await answered;
      log('it is answered');
      return;
    }
    case 'run':
      return command(world, event);
  }
}

export function who(world: World, wanted: Who): string {
  const { nodes } = world.history;
  const leader = world.watcher.leader() ?? nodes[0] ?? '';
  const others = nodes.filter((name) => name !== leader);
  if (wanted === 'leader') return leader;
  const former = world.watcher.formerLeader() ?? others[0] ?? leader;
  if (wanted === 'former leader') return former;
  if (wanted === 'absent')
    return world.down.find((name) => name !== leader && name !== former) ?? others[0] ?? leader;
  return others[wanted.replica % others.length] ?? leader;
}

/** Where the transaction ends is said only in the server's log. */
async function skip({ stage, log }: World, name: string): Promise<void> {
  const { logFile, superuserUrl } = nodeOf(stage.sandbox, name);
  const before = readFileSync(logFile, 'utf8').length;
  const [, lsn = ''] =
    (await until(
      async () => /finished at ([0-9A-F]+\/[0-9A-F]+)/u.exec((await readFile(logFile, 'utf8')).slice(before)),
      (found) => found !== null,
    )) ?? [];
  log(`skip the transaction at ${lsn} on ${name}`);
  const client = await connect(superuserUrl);
  try {
    const { rows } = await client.query<{ subname: string }>(
      `select subname from pg_subscription where subenabled and subname like 'repctl%'`,
    );
    const subscription = ident(rows[0]?.subname ?? '');
    await client.query(`alter subscription ${subscription} skip (lsn = '${lsn}')`);
    await until(
      async () => (await client.query(`select 1 from pg_subscription where subskiplsn <> '0/0'`)).rowCount,
      (waiting) => waiting === 0,
    );
  } finally {
    await client.end();
  }
}

async function command(world: World, event: Extract<Event, { do: 'run' }>): Promise<void> {
  const argsOf = (one: { command: string; who?: Who; flags: readonly string[] }): string[] => [
    ...one.command.split(' '),
    ...(one.who === undefined ? [] : [who(world, one.who)]),
    ...one.flags.map((flag) => (flag === 'absent' ? who(world, 'absent') : flag)),
  ];
  const args = argsOf(event);
  const { beside } = event;
  const besideArgs = beside === undefined ? undefined : argsOf(beside);
  const [first] = await Promise.all([
    repctl(world, args, event.kill),
    ...(besideArgs === undefined ? [] : [repctl(world, besideArgs)]),
  ]);
  if (first.code === null && event.again) await repctl(world, args);
}

/** Runs the program and judges how it ended: never a bug, never for ever. */
export async function repctl(
  world: World,
  args: readonly string[],
  kill?: Parameters<Program['run']>[2],
): Promise<Run> {
  const { program, log } = world;
  const known = [...program.commands].filter((name) => args.join(' ').startsWith(name));
  const name = known.sort((a, b) => b.length - a.length)[0] ?? '';
  const all = [...args, ...(program.hasFlag(name, 'yes') ? ['--yes'] : [])];
  const run = await program.run(all, world.home, kill);
  const shown = `repctl ${args.join(' ')}`;
  const ended = run.code === null ? (run.hung ? 'HUNG' : 'killed') : `exit ${String(run.code)}`;
  log(`$ ${shown}  → ${ended} in ${String(run.ms)} ms`);
  if (process.env['REPCTL_TEST_SHOW'] !== undefined) log(`${run.stderr}${run.stdout}`);
  count(world, `repctl ${name}`);
  if (run.code === 0 || (run.code === null && !run.hung))
    count(world, `repctl ${name} ${run.code === 0 ? 'done' : 'killed'}`);
  if (run.code !== 0)
    for (const line of run.stderr
      .split('\n')
      .filter((text) => /^[✓✗] |^ {2}(?!✓)/u.test(text))
      .slice(-14))
      log(`    ${line}`);
  const promised = /\(epoch (\d+)\)\s[^]*at risk: nothing/u.exec(run.stderr)?.[1];
  if (promised !== undefined) {
    world.promised.add(Number(promised));
    count(world, 'failover that promises no loss');
  }
  if (name !== 'failover' && name !== 'promote' && args.includes('--accept-data-loss'))
    world.discarded.add(args[1] ?? '');
  if (run.hung) world.violations.push(`hung: ${shown} did not end in two minutes`);
  if (run.code === 1) world.violations.push(`bug: ${shown} ended with exit 1: ${run.stderr.slice(-600)}`);
  if (run.code === 2) throw new Error(`the harness typed nonsense: ${shown}: ${run.stderr}`);
  return run;
}

/** Undoes something after a while, or when everything is healed, whichever comes first. */
function later(world: World, ms: number, body: () => Promise<void>): void {
  const once = async (): Promise<void> => {
    if (!world.undo.delete(once)) return;
    clearTimeout(timer);
    await body();
  };
  const timer = setTimeout(() => void once().catch(() => undefined), ms);
  world.undo.add(once);
}

async function hold(world: World, name: string, how: 'lock' | 'sigstop', ms: number): Promise<void> {
  world.log(`hold the apply worker of ${name} by ${how} for ${String(ms)} ms`);
  const client = await world.stage.superuserClient(name).catch(() => undefined);
  if (client === undefined) return;
  if (how === 'lock') {
    try {
      await within(client.query('begin; lock table journal in share mode'), 1000);
      later(world, ms, async () => {
        await client.end();
      });
    } catch {
      await client.end();
    }
    return;
  }
  try {
    const { rows } = await within(
      client.query<{ pid: number | null }>('select pid from pg_stat_subscription where pid is not null'),
      1000,
    );
    const pids = rows.flatMap(({ pid }) => (pid === null ? [] : [pid]));
    signalAll(pids, 'SIGSTOP');
    later(world, ms, () => {
      signalAll(pids, 'SIGCONT');
      return Promise.resolve();
    });
  } catch {
    // Down: nothing to hold.
  } finally {
    await client.end();
  }
}

async function alterSubscription(
  world: World,
  name: string,
  what: (versionNum: number) => string,
): Promise<void> {
  const client = await world.stage.superuserClient(name).catch(() => undefined);
  if (client === undefined) return;
  try {
    const { rows } = await within(
      client.query<{ name: string; version: number }>(
        `select quote_ident(subname) as name, current_setting('server_version_num')::int as version
           from pg_subscription where subslotname is not null`,
      ),
      1000,
    );
    for (const row of rows)
      await within(client.query(`alter subscription ${row.name} ${what(row.version)}`), 2000);
  } catch {
    // In the middle of a swap, or down.
  } finally {
    void client.end().catch(() => undefined);
  }
}
