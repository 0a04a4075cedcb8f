/** `--max-rate`: how fast each node may be read. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Pace } from './compare/run.js';
import type { TableShape } from './shape.js';

/** Per second and node. */
export type Rate = { readonly rows: number } | { readonly bytes: number };

const UNITS: Readonly<Record<string, number>> = { kb: 1e3, mb: 1e6, gb: 1e9 };

/** `50000rows`, `20MB`, `1.5GB/s`; undefined for anything else. */
export function parseRate(text: string): Rate | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*(k?rows?|kb|mb|gb)(?:\/s)?$/iu.exec(text.trim());
  const unit = match?.[2]?.toLowerCase() ?? '';
  const value = Number(match?.[1]);
  if (!match || !(value > 0)) return undefined;
  if (unit.includes('row')) return { rows: unit.startsWith('k') ? value * 1000 : value };
  return { bytes: value * (UNITS[unit] ?? 1) };
}

/** Rows are read in portions of about a quarter of a second, never fewer. */
const LEAST_ROWS = 10;

/** A node that has read its share waits until the second is over; nodes are bounded each for itself. */
export function paceOf(rate: Rate, shape: TableShape, signal?: AbortSignal): Pace {
  const perRow = Math.max(1, shape.bytes / Math.max(1, shape.estimatedRows));
  const perSecond = 'rows' in rate ? rate.rows : rate.bytes / perRow;
  const next = new Map<string, number>();
  return {
    portion: Math.max(LEAST_ROWS, Math.floor(perSecond / 4)),
    ready: async (node) => {
      const wait = (next.get(node) ?? 0) - performance.now();
      if (wait > 0) await sleep(wait, undefined, signal ? { signal } : {});
    },
    read: (node, rows) => {
      next.set(node, Math.max(performance.now(), next.get(node) ?? 0) + (rows / perSecond) * 1000);
    },
  };
}
