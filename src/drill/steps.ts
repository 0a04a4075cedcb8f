/** Does one step: a fault through the sandbox, a command of repctl as one would type it, a statement. */
import { setTimeout as delay } from 'node:timers/promises';
import { connectionOf } from '../config/connection.js';
import { EXIT, RepctlError, messageOf } from '../errors.js';
import { type Session, openSession } from '../postgres/session.js';
import { type NodeAction, actOn } from '../sandbox/actions.js';
import {
  type Sandbox,
  delayLinks,
  fillNode,
  freeNode,
  heal,
  isolate,
  nodeOf as nodeAt,
} from '../sandbox/sandbox.js';
import type { Children, Ran } from './children.js';
import { type Roles, resolve } from './roles.js';
import type { Step } from './scenario.js';
import type { Services } from './service/start.js';
import { commandOf } from './step-text.js';

export interface StepWorld {
  /** null: nothing here may be broken. */
  readonly sandbox: Sandbox | null;
  readonly children: Children;
  readonly direct: Readonly<Record<string, string>>;
  /** Where clients go through any. */
  readonly services: Services | null;
  readonly signal: AbortSignal;
  /** Sessions of statements that run on in the background. */
  readonly background: Session[];
}

export interface StepOutcome {
  readonly ok: boolean;
  readonly exit?: number;
  readonly detail?: string;
}

/** Scenarios that break something are refused before they get where they must not. */
function servers({ sandbox }: StepWorld): Sandbox {
  if (sandbox !== null) return sandbox;
  throw new RepctlError('drill-not-safe', 'The servers of a configured cluster are not broken.', {
    exit: EXIT.refused,
  });
}

const AGAIN = [3, 6, 8];
const RETRY_MS = 300;

/** The nodes that a step is done to. */
export function nodesOf(step: Step, roles: Roles): string[] {
  const refs = refsOf(step);
  return refs === undefined ? [] : resolve(refs, roles);
}

function refsOf(step: Step): string | readonly string[] | undefined {
  switch (step.action) {
    case 'kill':
      return step.kill;
    case 'stop':
      return step.stop;
    case 'start':
      return step.start;
    case 'pause':
      return step.pause;
    case 'resume':
      return step.resume;
    case 'heal':
      return step.heal;
    case 'fill':
      return step.fill;
    case 'free':
      return step.free;
    case 'isolate':
      return typeof step.isolate === 'string' ? step.isolate : step.isolate.node;
    case 'delay':
      return step.delay.node;
    case 'sql':
      return step.sql.node;
    case 'switchover':
      return asRef(step.switchover);
    case 'failover':
      return asRef(step.failover);
    case 'promote':
      return asRef(step.promote);
    case 'rejoin':
      return asRef(step.rejoin);
    case 'rewire':
      return asRef(step.rewire);
    default:
      return undefined;
  }
}

const asRef = (target: string | boolean | null | undefined): string | undefined =>
  typeof target === 'string' ? target : undefined;

/** Never throws for what a step finds: that is its outcome. */
export async function perform(world: StepWorld, step: Step, roles: Roles): Promise<StepOutcome> {
  try {
    return await attempt(world, step, roles);
  } catch (error) {
    if (world.signal.aborted) throw error;
    return {
      ok: false,
      detail: error instanceof RepctlError ? `${error.code}: ${error.message}` : messageOf(error),
    };
  }
}

async function attempt(world: StepWorld, step: Step, roles: Roles): Promise<StepOutcome> {
  const nodes = nodesOf(step, roles);
  const name = (ref: string): string => resolve(ref, roles)[0] ?? ref;
  const args = commandOf(step, name);
  if (args !== undefined) return command(world, step, args);
  switch (step.action) {
    case 'kill':
    case 'stop':
    case 'start':
    case 'pause':
    case 'resume':
      await actOn(servers(world), nodes, step.action satisfies NodeAction);
      return { ok: true };
    case 'isolate': {
      const { from, clients, reset } =
        typeof step.isolate === 'string'
          ? { from: undefined, clients: undefined, reset: false }
          : step.isolate;
      for (const node of nodes)
        await isolate(servers(world), node, {
          reset,
          ...(from ? { from: resolve(from, roles) } : {}),
          ...(clients ? { clients } : {}),
        });
      return { ok: true };
    }
    case 'heal':
      for (const node of nodes) await heal(servers(world), node);
      return { ok: true };
    case 'fill':
      await Promise.all(nodes.map((node) => fillNode(servers(world), node)));
      return { ok: true };
    case 'free':
      await Promise.all(nodes.map((node) => freeNode(servers(world), node)));
      return { ok: true };
    case 'killWeb':
      await world.services?.kill(step.killWeb);
      return { ok: true };
    case 'delay':
      if (step.delay.node === 'all') await delayLinks(servers(world), step.delay.each);
      else for (const node of nodes) await delayLinks(servers(world), step.delay.each, node);
      return { ok: true };
    case 'sql':
      return statement(world, nodes, step.sql);
    case 'wait':
      await delay(step.wait, undefined, { signal: world.signal });
      return { ok: true };
    default:
      throw new RepctlError('bug', `${step.action} is no step that can be done here.`);
  }
}

async function command(world: StepWorld, step: Step, args: readonly string[]): Promise<StepOutcome> {
  const right = 'exit' in step ? (typeof step.exit === 'number' ? [step.exit] : (step.exit ?? [0])) : [0];
  const within = 'within' in step ? (step.within ?? 0) : 0;
  const deadline = performance.now() + within;
  for (;;) {
    const ran = await world.children.repctl(args);
    world.signal.throwIfAborted();
    const code = ran.code ?? -1;
    if (right.includes(code)) return { ok: true, exit: code };
    if (!AGAIN.includes(code) || performance.now() > deadline)
      return { ok: false, exit: code, detail: lastWords(ran) };
    await delay(RETRY_MS, undefined, { signal: world.signal });
  }
}

const lastWords = ({ stderr, stdout }: Ran): string => {
  const lines = `${stderr}\n${stdout}`.split('\n').filter((line) => line.trim() !== '');
  return (lines.findLast((line) => /^✗ \S/u.test(line)) ?? lines.at(-1) ?? 'it said nothing')
    .trim()
    .slice(0, 300);
};

/** As the servers' everyday role unless told otherwise, past the proxy. */
async function statement(
  world: StepWorld,
  nodes: readonly string[],
  { run, background, superuser }: { run: string; background: boolean; superuser: boolean },
): Promise<StepOutcome> {
  for (const node of nodes) {
    const session = await openSession({
      node,
      connection: connectionOf(
        superuser ? nodeAt(servers(world), node).superuserUrl : (world.direct[node] ?? ''),
      ),
      applicationName: 'drill step',
      connectTimeoutMs: 2000,
      statementTimeoutMs: 60_000,
    });
    if (background) {
      world.background.push(session);
      // It is to be cut off in the middle.
      session.simple(run).catch(() => undefined);
    } else {
      try {
        await session.simple(run);
      } finally {
        await session.close();
      }
    }
  }
  return { ok: true };
}
