/**
 * Runs one operation in a process of its own and kills itself (SIGKILL) after or in the middle of a given step.
 * Argument: JSON { config, operation, node, kill: { step, delayMs | null } }. Ends with 0 when the operation
 * was shorter than that.
 */
import { openFleet } from '../../src/cluster/fleet.js';
import type { ClusterConfig } from '../../src/config/schema.js';
import { planCreate } from '../../src/operations/create.js';
import { planDestroy } from '../../src/operations/destroy.js';
import { planFailover } from '../../src/operations/failover.js';
import { planNodeAdd } from '../../src/operations/node-add.js';
import { planRewire } from '../../src/operations/rewire.js';
import { type Planner, runOperation } from '../../src/operations/run.js';
import { planSwitchover } from '../../src/operations/switchover.js';
import { nodesWithRows, tablesToPublish } from '../../src/operations/targets.js';
import { noJournal } from '../../src/plan/journal.js';

export interface CrashRequest {
  readonly config: ClusterConfig;
  readonly operation:
    'create' | 'destroy' | 'failover' | 'switchover' | 'node-add' | 'rewire' | 'recopy' | 'reconcile';
  /** The node that it is about; for `create` the leader. */
  readonly node: string;
  /** Counted from 1. With a delay the kill comes that many milliseconds into the step, else right after it. */
  readonly kill: { readonly step: number; readonly delayMs: number | null };
}

const request = JSON.parse(process.argv[2] ?? '') as CrashRequest;
const { config, node, kill } = request;
const fleet = openFleet(config);

async function plannerOf(): Promise<Planner> {
  switch (request.operation) {
    case 'create': {
      const tables = await tablesToPublish(fleet, node, true);
      const others = config.nodes.map((one) => one.name).filter((name) => name !== node);
      const prefilled = await nodesWithRows(fleet, others, tables);
      return (snapshot) => planCreate(snapshot, config, { tables, products: true, prefilled });
    }
    case 'destroy':
      return (snapshot) => planDestroy(snapshot, config, { withoutUnreachable: false });
    case 'failover':
      return (snapshot) => planFailover(snapshot, config, { leaderIsDead: false, acceptMinority: true });
    case 'switchover':
      return (snapshot) =>
        planSwitchover(snapshot, config, { target: node, without: [], terminateBlockers: false });
    case 'node-add':
      return (snapshot) => planNodeAdd(snapshot, config, { name: node, prefilled: false });
    case 'rewire':
    case 'reconcile':
    case 'recopy': {
      const recopy = request.operation === 'recopy';
      const reconcile = request.operation === 'reconcile';
      return (snapshot) => planRewire(snapshot, config, { node, recopy, reconcile, acceptDataLoss: true });
    }
  }
}

const die = (): void => {
  process.kill(process.pid, 'SIGKILL');
};
let started = 0;
let done = 0;
await runOperation(await plannerOf(), {
  fleet,
  journal: noJournal,
  onEvent(event) {
    if (event.type === 'start' && (started += 1) === kill.step && kill.delayMs !== null)
      setTimeout(die, kill.delayMs);
    if (event.type === 'done' && (done += 1) === kill.step && kill.delayMs === null) die();
  },
});
await fleet.close();
