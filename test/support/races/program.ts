/**
 * One of two operators: connects, says `ready`, and begins when a line comes on stdin. Argument: JSON RaceRequest.
 * Prints one line of JSON, the outcome.
 */
import { createInterface } from 'node:readline';
import { openFleet } from '../../../src/cluster/fleet.js';
import type { ClusterConfig } from '../../../src/config/schema.js';
import { RepctlError } from '../../../src/errors.js';
import { planNodeRemove } from '../../../src/operations/destroy.js';
import { planFailover } from '../../../src/operations/failover.js';
import { planRejoin } from '../../../src/operations/rejoin.js';
import { planRewire } from '../../../src/operations/rewire.js';
import { type Planner, runOperation } from '../../../src/operations/run.js';
import { planSwitchover } from '../../../src/operations/switchover.js';
import { noJournal } from '../../../src/plan/journal.js';

export interface RaceRequest {
  readonly config: ClusterConfig;
  readonly operation: 'switchover' | 'failover' | 'rewire' | 'recopy' | 'rejoin' | 'node-remove';
  readonly node: string;
  /** Whom a switchover leaves out. */
  readonly without: readonly string[];
  /** Where a rejoin saves what is stranded. */
  readonly directory: string;
}

export interface RaceOutcome {
  readonly ok: boolean;
  /** This machine's clock, milliseconds: the first step, and the end. */
  readonly beganAt: number | null;
  readonly endedAt: number;
  readonly steps: number;
  readonly code: string | null;
  readonly exit: number | null;
  readonly message: string | null;
  readonly holder: Readonly<Record<string, unknown>> | null;
}

const { config, operation, node, without, directory } = JSON.parse(process.argv[2] ?? '') as RaceRequest;

function planner(): Planner {
  switch (operation) {
    case 'switchover':
      return (snapshot) =>
        planSwitchover(snapshot, config, { target: node, without, terminateBlockers: false });
    case 'failover':
      return (snapshot) =>
        planFailover(snapshot, config, { target: node, leaderIsDead: false, acceptMinority: false });
    case 'rewire':
      return (snapshot) => planRewire(snapshot, config, { node, recopy: false, acceptDataLoss: false });
    case 'rejoin':
      return (snapshot) =>
        planRejoin(snapshot, config, {
          ...{ node, directory, replay: false, fenceTimeoutMs: 5000, terminateBlockers: false },
        });
    case 'recopy':
      return (snapshot) => planRewire(snapshot, config, { node, recopy: true, acceptDataLoss: true });
    case 'node-remove':
      return (snapshot) => planNodeRemove(snapshot, config, node);
  }
}

const fleet = openFleet(config);
await Promise.allSettled(config.nodes.map(({ name }) => fleet.session(name)));
process.stdout.write('ready\n');
const input = createInterface({ input: process.stdin });
await new Promise<void>((resolve) => {
  input.once('line', () => {
    resolve();
  });
});
input.close();
let beganAt: number | null = null;
const outcome = await runOperation(planner(), {
  fleet,
  journal: noJournal,
  operation,
  onEvent(event) {
    if (event.type === 'start') beganAt ??= Date.now();
  },
}).then(
  (steps) => ({ ok: true, steps: steps.length, code: null, exit: null, message: null, holder: null }),
  (error: unknown) => {
    if (!(error instanceof RepctlError)) throw error;
    const { code, exit, message, details } = error;
    return { ok: false, steps: 0, code, exit, message, holder: details['holder'] ?? null };
  },
);
process.stdout.write(`${JSON.stringify({ ...outcome, beganAt, endedAt: Date.now() })}\n`);
await fleet.close();
