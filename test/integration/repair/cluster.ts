/** `repair` as the command runs it, without a terminal. */
import type { Fleet } from '../../../src/cluster/fleet.js';
import { observe } from '../../../src/cluster/observe.js';
import { planRepair } from '../../../src/operations/repair/plan.js';
import { type PrepareRequest, prepareRepair } from '../../../src/operations/repair/prepare.js';
import type { RepairContext } from '../../../src/operations/repair/context.js';
import { repairRunners } from '../../../src/operations/repair/run.js';
import type { SetRightResult } from '../../../src/operations/repair/model.js';
import { orRefuse } from '../../../src/operations/run.js';
import { execute } from '../../../src/plan/execute.js';
import { noJournal } from '../../../src/plan/journal.js';
import type { Plan } from '../../../src/plan/plan.js';
import type { Session } from '../../../src/postgres/session.js';

export interface Repaired {
  readonly plan: Plan;
  readonly results: ReadonlyMap<string, SetRightResult>;
  readonly steps: Awaited<ReturnType<typeof execute>>;
}

export async function repairing(
  fleet: Fleet,
  stateDir: string,
  request: Partial<PrepareRequest> & Partial<Pick<RepairContext, 'writersMs'>> = {},
): Promise<Repaired> {
  const { writersMs, ...rest } = request;
  const prepared = await prepareRepair(fleet, await observe(fleet), {
    ...{ tables: [], nodes: [], only: undefined, maxRows: 10_000, sql: false, concurrency: 2 },
    ...{ blockRows: 50_000, waitMs: 20_000 },
    ...rest,
  });
  const plan = orRefuse(planRepair(await observe(fleet), fleet.config, { ...prepared, shown: [] }));
  const context: RepairContext = {
    ...{ fleet, operator: 'test', reason: null, stateDir, waitMs: request.waitMs ?? 20_000 },
    ...(writersMs === undefined ? {} : { writersMs }),
  };
  const steps = await execute(plan, repairRunners(context), { journal: noJournal });
  const results = new Map(
    steps
      .filter(({ id }) => id.startsWith('set-right:'))
      .map(({ node, result }) => [node, result as unknown as SetRightResult] as const),
  );
  return { plan, results, steps };
}

/** Past the fence and every trigger, as a superuser. */
export const asIntruder = (session: Session, sql: string): Promise<unknown> =>
  session.simple(`set session_replication_role = replica; ${sql}; reset session_replication_role`);
