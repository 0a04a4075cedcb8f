/** One thing of that name, wherever it is. Pure. */
import type { ReachableNode, Snapshot } from '../../cluster/model.js';
import { EXIT, RepctlError } from '../../errors.js';
import { unseenNodes } from './answers.js';

export interface Found<T> {
  readonly node: ReachableNode;
  readonly item: T;
}

export function onlyOne<T>(
  snapshot: Snapshot,
  kind: string,
  what: string,
  found: readonly Found<T>[],
  on: string | undefined,
): Found<T> {
  const [first] = found;
  if (first !== undefined && found.length === 1) return first;
  if (first !== undefined) {
    throw new RepctlError(
      'ambiguous',
      `There is a ${kind} ${what} on ${found.map((one) => one.node.name).join(', ')}.`,
      { hint: 'Say which with --node.' },
    );
  }
  const unseen = unseenNodes(snapshot).filter((one) => on === undefined || one.node === on);
  const silent = unseen.find((one) => one.node === what || one.node === on);
  if (silent !== undefined) {
    throw new RepctlError('node-unreachable', silent.message, {
      exit: EXIT.unreachable,
      hint: 'repctl status',
    });
  }
  throw new RepctlError(
    `unknown-${kind}`,
    `There is no ${kind} ${what}${on === undefined ? '' : ` on ${on}`}${unseen.length > 0 ? ` (${unseen.map((one) => one.node).join(', ')} did not answer)` : ''}.`,
    { hint: `repctl ${kind} list` },
  );
}
