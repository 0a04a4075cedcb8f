/** Who is at work on the cluster. Pure. */
import { describeHolder } from '../lock-sql.js';
import type { Finding } from '../model.js';
import { seconds } from '../words.js';
import type { View } from './view.js';

/** One finding for the operation, however many nodes it holds; a warning when it has been at work for long. */
export function lockFindings({ snapshot, limits }: View): readonly Finding[] {
  const [holder] = snapshot.holders ?? [];
  if (holder === undefined) return [];
  const node = snapshot.nodes.find((one) => one.name === holder.node);
  // Both are that server's clock.
  const now = Date.parse(node?.reachable === true ? node.serverTime : snapshot.takenAt);
  const ms = Math.max(0, now - Date.parse(holder.since));
  const stuck = ms > limits.operationMs;
  const command = (holder.operation ?? 'COMMAND').replaceAll('-', ' ');
  return [
    {
      code: 'operation-in-progress',
      severity: stuck ? 'warning' : 'info',
      message: `an operation is under way: ${describeHolder(holder)}${stuck ? `, for ${seconds(ms)} now` : ''}`,
      ...(stuck
        ? { fix: `If nobody works on it any more: repctl ${command} --break-lock ends it and goes on` }
        : {}),
    },
  ];
}
