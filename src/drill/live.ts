/** Figures of the last seconds, for whoever watches a drill. No judge reads them. */
import type { Line, LookLine, WriteLine } from './history.js';

const BIN_MS = 250;

export interface LiveView {
  readonly ms: number;
  readonly acknowledged: number;
  readonly failed: number;
  /** Acknowledged writes a second, by quarter of a second, oldest first. */
  readonly writesPerSecond: readonly number[];
  /** By node: how many rows of those acknowledged were not seen at the last looks; null: no answer. */
  readonly behind: Readonly<Record<string, readonly (number | null)[]>>;
  /** What is being done just now. */
  readonly step: string | null;
}

export interface Live {
  add(line: Line): void;
  view(nowMs: number): LiveView;
  /** When the last write was sent that was acknowledged. */
  lastWriteBegan(): number;
  /** Every node of `nodes` showed all acknowledged rows at a look that began after `since`. */
  caughtUp(nodes: readonly string[], since: number): boolean;
}

export function openLive(): Live {
  const bins = new Map<number, number>();
  const tops = new Map<string, number>();
  const behind = new Map<string, (number | null)[]>();
  const lastLook = new Map<string, { begin: number; missing: number | null }>();
  let acknowledged = 0;
  let failed = 0;
  let lastBegan = -1;
  let step: string | null = null;

  const addWrite = (line: WriteLine): void => {
    if (line.outcome !== 'ok') {
      failed += 1;
      return;
    }
    acknowledged += 1;
    const bin = Math.floor(line.end / BIN_MS);
    bins.set(bin, (bins.get(bin) ?? 0) + 1);
    if (line.client.startsWith('s')) return;
    lastBegan = Math.max(lastBegan, line.begin);
    if (line.op === 'insert') tops.set(line.client, Math.max(tops.get(line.client) ?? 0, line.n));
  };
  const addLook = (line: LookLine): void => {
    const { seen } = line;
    const missing =
      seen === null
        ? null
        : [...tops].reduce((sum, [client, top]) => sum + Math.max(0, top - (seen[client]?.[0] ?? 0)), 0);
    lastLook.set(line.node, { begin: line.begin, missing });
    behind.set(line.node, [...(behind.get(line.node) ?? []), missing].slice(-200));
  };
  return {
    add(line) {
      if (line.kind === 'write') addWrite(line);
      else if (line.kind === 'look') addLook(line);
      else if (line.kind === 'step') step = line.phase === 'began' ? line.title : null;
    },
    view(ms) {
      const now = Math.floor(ms / BIN_MS);
      const from = Math.max(0, now - 60);
      return {
        ms,
        acknowledged,
        failed,
        writesPerSecond: Array.from(
          { length: now - from },
          (_, index) => ((bins.get(from + index) ?? 0) * 1000) / BIN_MS,
        ),
        behind: Object.fromEntries(behind),
        step,
      };
    },
    lastWriteBegan: () => lastBegan,
    caughtUp: (nodes, since) =>
      nodes.every((node) => {
        const last = lastLook.get(node);
        return last !== undefined && last.begin >= since && last.missing === 0;
      }),
  };
}
