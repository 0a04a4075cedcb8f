/**
 * Runs one operation in a process of its own and kills itself (SIGKILL) after or in the middle of a given step.
 * Argument: JSON { config, operation, node, kill: { step, delayMs | null } }. Ends with 0 when the operation
 * was shorter than that.
 */
import { openFleet } from '../../src/cluster/fleet.js';
import type { ClusterConfig } from '../../src/config/schema.js';
import { planFailover } from '../../src/operations/failover.js';
import { planRewire } from '../../src/operations/rewire.js';
import { type Planner, runOperation } from '../../src/operations/run.js';
import { noJournal } from '../../src/plan/journal.js';

export interface CrashRequest {
  readonly config: ClusterConfig;
  readonly operation: 'failover' | 'rewire' | 'recopy';
  readonly node: string;
  /** Counted from 1. With a delay the kill comes that many milliseconds into the step, else right after it. */
  readonly kill: { readonly step: number; readonly delayMs: number | null };
}

const request = JSON.parse(process.argv[2] ?? '') as CrashRequest;
const { config, node, kill } = request;
const planner: Planner = (snapshot) =>
  request.operation === 'failover'
    ? planFailover(snapshot, config, { leaderIsDead: false, acceptMinority: false })
    : planRewire(snapshot, config, { node, recopy: request.operation === 'recopy', acceptDataLoss: true });

const die = (): void => {
  process.kill(process.pid, 'SIGKILL');
};
let started = 0;
let done = 0;
const fleet = openFleet(config);
await runOperation(planner, {
  fleet,
  journal: noJournal,
  onEvent(event) {
    if (event.type === 'start' && (started += 1) === kill.step && kill.delayMs !== null)
      setTimeout(die, kill.delayMs);
    if (event.type === 'done' && (done += 1) === kill.step && kill.delayMs === null) die();
  },
});
await fleet.close();
