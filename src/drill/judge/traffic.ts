/** Bytes that servers sent each other. Pure. */
import type { TrafficLine } from '../history.js';

/** By sending node, between the first look at the links and the last; null where they were not looked at twice. */
export function judgeTraffic(looks: readonly TrafficLine[]): Readonly<Record<string, number>> | null {
  const [first, ...more] = looks;
  const last = more.at(-1);
  if (first === undefined || last === undefined) return null;
  return Object.fromEntries(
    Object.entries(last.sent).map(([node, bytes]) => [node, Math.max(0, bytes - (first.sent[node] ?? 0))]),
  );
}
