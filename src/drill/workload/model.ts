/** What the runner tells the workload process: one line of JSON on its stdin, then `stop`. */
import type { ClusterConfig } from '../../config/schema.js';
import type { WorkloadPart } from '../scenario.js';

export interface Task {
  readonly seed: number;
  /** When the workload begins, on the clock of performance.timeOrigin + performance.now(). */
  readonly originMs: number;
  readonly config: ClusterConfig;
  readonly table: { readonly schema: string; readonly name: string };
  readonly workload: WorkloadPart;
  /** Of web services that clients go through in turn; `sticky`: each session at one of them. */
  readonly http?: { readonly urls: readonly string[]; readonly sticky: boolean };
  /** URLs past the proxy, for observers and strays. */
  readonly direct: Readonly<Record<string, string>>;
  /** Milliseconds between two looks at each node. */
  readonly lookMs: number;
}

/** Milliseconds since 1970 with fractions, the same in all processes of this machine. */
export const clock = (): number => performance.timeOrigin + performance.now();

export const clientNames = (letter: string, count: number): string[] =>
  Array.from({ length: count }, (_, index) => `${letter}${String(index + 1)}`);
