/** A step in words, and its command as one would type it. Pure. */
import { formatMs } from './format.js';
import { OPERATIONS, type Step } from './scenario.js';

const list = (refs: string | readonly string[]): string =>
  typeof refs === 'string' ? refs : refs.join(', ');

export const isOperation = (action: string): boolean =>
  (OPERATIONS as readonly string[]).includes(action) || action === 'sync' || action === 'repctl';

/** The arguments of repctl; `name` gives the node that a reference means. Undefined for a step that is none of repctl's. */
export function commandOf(step: Step, name: (ref: string) => string): string[] | undefined {
  const more = 'args' in step ? (step.args ?? []) : [];
  const changing = (target: string | boolean | null | undefined): string[] => [
    step.action,
    ...(typeof target === 'string' ? [name(target)] : []),
    ...more,
    '--yes',
  ];
  switch (step.action) {
    case 'switchover':
      return changing(step.switchover);
    case 'failover':
      return changing(step.failover);
    case 'promote':
      return changing(step.promote);
    case 'rejoin':
      return changing(step.rejoin);
    case 'rewire':
      return changing(step.rewire);
    case 'repair':
      return changing(step.repair);
    case 'check':
      return ['check', ...(typeof step.check === 'string' ? ['--node', name(step.check)] : []), ...more];
    case 'sync':
      return ['sync', ...step.sync.split(' '), ...more, '--yes'];
    case 'repctl':
      return [
        ...step.repctl.map((word) => word.replace(/\{([a-z0-9-]+)\}/gu, (_, ref: string) => name(ref))),
        ...more,
      ];
    default:
      return undefined;
  }
}

/** What a step does, its nodes as the scenario names them or as `name` does. */
export function stepTitle(step: Step, name: (ref: string) => string = (ref) => ref): string {
  const named = (refs: string | readonly string[]): string =>
    list(typeof refs === 'string' ? name(refs) : refs.map(name));
  switch (step.action) {
    case 'kill':
      return `kill -9 ${named(step.kill)}`;
    case 'stop':
      return `stop ${named(step.stop)}`;
    case 'start':
      return `start ${named(step.start)}`;
    case 'pause':
      return `freeze ${named(step.pause)}`;
    case 'resume':
      return `wake ${named(step.resume)}`;
    case 'heal':
      return `heal ${named(step.heal)}`;
    case 'fill':
      return `fill the disk of ${named(step.fill)}`;
    case 'free':
      return `room on the disk of ${named(step.free)}`;
    case 'killWeb':
      return `kill -9 web service ${String(step.killWeb)}`;
    case 'isolate': {
      const cut = typeof step.isolate === 'string' ? { node: step.isolate } : step.isolate;
      const clients = 'clients' in cut ? cut.clients : undefined;
      const from = 'from' in cut && cut.from ? ` from ${named(cut.from)}` : '';
      return clients === 'only'
        ? `cut the clients of ${named(cut.node)} off`
        : `isolate ${named(cut.node)}${from}${clients === 'with' ? ' and its clients' : ''}`;
    }
    case 'delay':
      return step.delay.each === 0
        ? `no delay on the links of ${named(step.delay.node)}`
        : `delay the links of ${named(step.delay.node)} by ${formatMs(step.delay.each)} each way`;
    case 'sql':
      return `sql on ${named(step.sql.node)}: ${step.sql.run.replaceAll(/\s+/gu, ' ').trim().slice(0, 60)}`;
    case 'operator':
      return `an operator mends it, within ${formatMs(step.operator)}`;
    case 'wait':
      return `wait ${formatMs(step.wait)}`;
    default:
      return `repctl ${(commandOf(step, name) ?? []).filter((word) => word !== '--yes').join(' ')}`;
  }
}
