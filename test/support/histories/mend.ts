/** After the last event: everything is undone, then what repctl names is typed, until the cluster is healthy. */
import { setTimeout as delay } from 'node:timers/promises';
import { heal, nodeState, resumeNode, startNode } from '../../../src/sandbox/sandbox.js';
import { type World, repctl } from './act.js';

interface Status {
  readonly state: string;
  readonly findings: readonly {
    readonly code: string;
    readonly severity: string;
    readonly node?: string;
    readonly message: string;
    readonly fix?: string;
  }[];
}

/** What an operator may follow blindly. Rows are thrown away only where the command itself was named in full. */
const COMMANDS = [
  'failover',
  'switchover',
  'promote',
  'rejoin',
  'rewire',
  'fence',
  'unfence',
  'cluster create',
  'subscription enable',
  'subscription refresh',
  'slot advance',
  'slot drop',
  'sequence sync',
  // Not `sync async`: it gives up what was asked for.
  'sync any',
  'sync all',
] as const;

/** The commands in a text such as `repctl rewire n3, then repctl slot drop repctl_n2 --node n3`. Pure. */
export function commandsIn(text: string): string[][] {
  return [...text.matchAll(/repctl ([^\n]*?)(?=repctl |\n|$)/gu)].flatMap(([, rest = '']) => {
    const name = COMMANDS.find(
      (one) => rest === one || rest.startsWith(`${one} `) || rest.startsWith(`${one},`),
    );
    if (name === undefined) return [];
    const args: string[] = [];
    for (const word of rest.slice(name.length).trim().split(/\s+/u)) {
      const bare = word.replace(/[.,;:]+$/u, '');
      if (!/^(?:n\d|\d|repctl_n\d|--[a-z-]+)$/u.test(bare)) break;
      args.push(bare);
      if (bare !== word) break;
    }
    return [[...name.split(' '), ...args]];
  });
}

const COMMANDS_MAX = 30;
/** How long trouble that passes by itself (a worker that connects again) may take before something is typed. */
const SETTLE_MS = 1500;

/** Whether the cluster became healthy; if not, why goes to the violations. */
export async function mend(world: World): Promise<boolean> {
  const { stage, log } = world;
  for (const undo of [...world.undo]) await undo().catch(() => undefined);
  await heal(stage.sandbox);
  for (const name of world.history.nodes) {
    if ((await nodeState(stage.sandbox, name)) === 'paused') await resumeNode(stage.sandbox, name);
    await startNode(stage.sandbox, name);
  }
  log('everything is healed; now what repctl names');
  // Servers that share a busy machine with their clients may never catch up with them.
  for (const writer of world.writers) writer.slow();
  const start = Date.now();
  const typed: string[] = [];
  let status: Status | undefined;
  let changedAt = Date.now();
  while (Date.now() - start < world.patienceMs && typed.length < COMMANDS_MAX) {
    status = await look(world);
    // Warnings too: what they name leaves the cluster as it is meant to be.
    const named = (status?.findings ?? [])
      .flatMap((finding) => commandsIn(finding.fix ?? ''))
      .filter((args) => isThere(world, args));
    if (status?.state === 'healthy' && (named.length === 0 || healthyTwice(named, typed))) {
      log(`healthy after ${String(typed.length)} commands, ${String(Date.now() - start)} ms`);
      return true;
    }
    const next = fewestTimes(named, typed);
    if (next === undefined || (Date.now() - changedAt < SETTLE_MS && typed.length === 0)) {
      await delay(60);
      continue;
    }
    await follow(world, next, typed, 3);
    changedAt = Date.now();
  }
  world.violations.push(
    `not healthy after ${String(typed.length)} commands in ${String(Date.now() - start)} ms (${typed.join('; ')}): ${JSON.stringify(status?.findings)}`,
  );
  return false;
}

/** What repctl names but does not have yet is passed over. */
const isThere = ({ program }: World, args: readonly string[]): boolean =>
  [1, 2].some((words) => program.commands.has(args.slice(0, words).join(' ')));

const text = (args: readonly string[]): string => args.join(' ');

/** A warning that stays although its command was typed is no reason to go on. */
const healthyTwice = (named: readonly string[][], typed: readonly string[]): boolean =>
  named.every((args) => typed.filter((one) => one === text(args)).length >= 2);

function fewestTimes(named: readonly string[][], typed: readonly string[]): string[] | undefined {
  const times = (args: readonly string[]): number => typed.filter((one) => one === text(args)).length;
  return named.toSorted((a, b) => times(a) - times(b))[0];
}

/** Types a command; where it refuses or stops half-way it names the next one. */
async function follow(world: World, args: readonly string[], typed: string[], depth: number): Promise<void> {
  typed.push(text(args));
  const run = await repctl(world, args);
  if (run.code === 0 || depth === 0) return;
  const failure = run.stderr.slice(Math.max(0, run.stderr.lastIndexOf('✗')));
  const next = commandsIn(failure).find((one) => text(one) !== text(args) && isThere(world, one));
  if (next !== undefined) await follow(world, next, typed, depth - 1);
}

async function look(world: World): Promise<Status | undefined> {
  const run = await world.program.run(['status', '--json'], world.home);
  if (run.code === 1 || run.hung) world.violations.push(`bug: repctl status: ${run.stderr}${run.stdout}`);
  try {
    const status = JSON.parse(run.stdout) as Status;
    // Nobody but the leader writes to a replica: an apply worker that fails got something it should not get.
    for (const { code, node, message } of status.findings)
      if (
        code === 'apply-error' &&
        !world.violations.some((one) => one.startsWith(`apply error on ${node ?? ''}`))
      )
        world.violations.push(`apply error on ${node ?? ''}: ${message}`);
    return status;
  } catch {
    return undefined;
  }
}
