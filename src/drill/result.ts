/** result.json of a run; frozen and described in docs/drill.md. */
import type { Grade } from './judge/grade.js';
import type { Measurements } from './judge/measure.js';
import type { Verdict } from './judge/verdicts.js';
import type { ClusterPart, ExpectPart, WorkloadPart } from './scenario.js';

export interface Environment {
  readonly repctl: string;
  readonly node: string;
  readonly platform: string;
  readonly cpus: number;
  readonly cpu: string;
  readonly memoryBytes: number;
  /** By node. */
  readonly postgres: Readonly<Record<string, string>>;
}

export interface StepResult {
  readonly index: number;
  readonly title: string;
  readonly action: string;
  readonly nodes: readonly string[];
  /** Milliseconds since the workload began; null for a step that was not begun, or not done. */
  readonly beganAt: number | null;
  readonly endedAt: number | null;
  readonly ok: boolean | null;
  readonly exit: number | null;
  readonly detail: string | null;
}

export interface DrillResult {
  readonly format: 1;
  readonly run: string;
  readonly scenario: string;
  readonly variant: string | null;
  readonly title: string;
  readonly about: string | null;
  readonly seed: number;
  /** `met` and `violated` are verdicts; `interrupted` and `failed` runs have figures, but no verdicts. */
  readonly status: 'met' | 'violated' | 'interrupted' | 'failed';
  readonly startedAt: string;
  readonly ms: number;
  /** What repeats this very run. */
  readonly command: string;
  readonly environment: Environment;
  readonly cluster: ClusterPart;
  readonly workload: WorkloadPart;
  readonly expect: ExpectPart;
  /** What the seed drew: when each step was due. */
  readonly schedule: readonly {
    readonly title: string;
    readonly atMs: number | null;
    readonly afterMs: number;
  }[];
  readonly order: readonly string[];
  readonly steps: readonly StepResult[];
  readonly measurements: Measurements | null;
  readonly verdicts: readonly Verdict[];
  /** Of a game day. */
  readonly grade: Grade | null;
  /** Why it is `failed`. */
  readonly error: { readonly code: string; readonly message: string } | null;
}
