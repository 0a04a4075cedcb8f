/** Whoever shows a drill. */
import type { StepLine } from './history.js';
import type { Live } from './live.js';
import type { Schedule } from './plan.js';
import type { Scenario } from './scenario.js';

export interface DrillWatch {
  /** Before the servers are started. */
  begin(run: string, scenario: Scenario, schedule: Schedule): void;
  say(text: string): void;
  /** What must be heard, whatever form results have: somebody is waited for. */
  tell(text: string): void;
  /**
   * The workload runs from now on; `now` gives milliseconds since it began. `operate` is a file of variables for a
   * shell that is to work on the sandbox, if there is one.
   */
  playing(live: Live, now: () => number, operate: string | null): void;
  step(line: StepLine): void;
  /** The workload has ended. */
  judging(): void;
}
