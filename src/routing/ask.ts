/** Asks nodes who leads: a majority first, the rest only when an answer fails or takes long. */
import type { Fleet } from '../cluster/fleet.js';
import { EXIT, RepctlError } from '../errors.js';
import { leadership, majority } from './route.js';
import type { NodeView } from './token.js';
import { viewNode } from './view.js';

/** Longer than any healthy node takes to answer; far shorter than a connect timeout. */
const HEDGE_MS = 250;

export interface Answers {
  readonly views: readonly NodeView[];
  readonly failures: ReadonlyMap<string, RepctlError>;
}

/**
 * Asks `order` one after the other, `width` at a time, and one more whenever one fails or HEDGE_MS pass without
 * news, until `enough` says so or all have answered or failed.
 */
export async function askUntil(
  order: readonly string[],
  width: number,
  ask: (name: string) => Promise<NodeView>,
  enough: (answers: Answers) => boolean,
): Promise<Answers> {
  const views: NodeView[] = [];
  const failures = new Map<string, RepctlError>();
  const waiting = new Map<string, Promise<void>>();
  const queue = [...order];
  let over = false;
  const start = (): void => {
    // A late failure must not open sessions that nobody waits for and nobody closes.
    const name = over ? undefined : queue.shift();
    if (name === undefined) return;
    const asking = ask(name)
      .then(
        (view) => void views.push(view),
        (error: unknown) => {
          if (!(error instanceof RepctlError)) throw error;
          failures.set(name, error);
          start();
        },
      )
      .finally(() => waiting.delete(name));
    waiting.set(name, asking);
  };
  for (let count = 0; count < width; count += 1) start();
  while (waiting.size > 0 && !enough({ views, failures })) {
    let timer: NodeJS.Timeout | undefined;
    const hedge = new Promise<'hedge'>((resolve) => {
      timer = setTimeout(resolve, HEDGE_MS, 'hedge');
    });
    const winner = await Promise.race([...waiting.values(), ...(queue.length > 0 ? [hedge] : [])]);
    clearTimeout(timer);
    if (winner === 'hedge' || waiting.size === 0) start();
  }
  over = true;
  // What still hangs must not become an unhandled rejection.
  for (const asking of waiting.values()) asking.catch(() => undefined);
  return { views: [...views], failures: new Map(failures) };
}

export interface Leader {
  readonly name: string;
  readonly epoch: number;
  readonly view: NodeView;
}

/**
 * The leader named by a majority, having answered itself. Throws RepctlError: `no-majority` (exit 6),
 * `no-cluster` (exit 6), `leader-unreachable` (exit 3).
 */
export async function findLeader(
  fleet: Fleet,
  supposed: string | undefined,
  ask: (name: string) => Promise<NodeView> = async (name) => viewNode(await fleet.session(name), false),
): Promise<Leader> {
  const names = fleet.config.nodes.map((node) => node.name);
  const order = [...names.filter((name) => name === supposed), ...names.filter((name) => name !== supposed)];
  const answered = (views: readonly NodeView[]): Leader | undefined => {
    const led = leadership(views, names.length);
    if (led.kind !== 'leader') return undefined;
    const view = views.find((one) => one.name === led.node);
    return view && { name: led.node, epoch: led.epoch, view };
  };
  const { views, failures } = await askUntil(order, majority(names.length), ask, (answers) => {
    if (answered(answers.views) !== undefined) return true;
    // A majority names a leader that cannot answer: asking on would not change that.
    const led = leadership(answers.views, names.length);
    return led.kind === 'leader' && answers.failures.has(led.node);
  });
  const found = answered(views);
  if (found) return found;
  const led = leadership(views, names.length);
  const reasons = [...failures.values()].map((failure) => failure.message);
  switch (led.kind) {
    case 'no-majority':
      throw new RepctlError(
        'no-majority',
        `Only ${String(led.answered)} of ${String(names.length)} nodes answer, ${String(led.needed)} are needed to know the leader: nothing was written.`,
        { exit: EXIT.refused, hint: ['repctl status', ...reasons].join('\n'), details: { ...led, reasons } },
      );
    case 'no-cluster':
      throw new RepctlError('no-cluster', 'These nodes are no cluster yet: no epoch has begun.', {
        exit: EXIT.refused,
        hint: 'repctl cluster create',
      });
    case 'leader':
      throw new RepctlError(
        'leader-unreachable',
        `The leader ${led.node} (epoch ${String(led.epoch)}) cannot be reached: nothing was written.`,
        {
          exit: EXIT.unreachable,
          hint: 'repctl status, then repctl failover',
          details: { leader: led.node, epoch: led.epoch, reasons },
        },
      );
  }
}
