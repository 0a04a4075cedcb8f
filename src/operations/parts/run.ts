/** Does what the plans of parts say. */
import type { Fleet } from '../../cluster/fleet.js';
import { execute, type FinishedStep, type Runners } from '../../plan/execute.js';
import type { Plan } from '../../plan/plan.js';
import { dropSlot, dropStandbyBaseSql } from '../../replication/slots.js';
import { runUpkeep } from '../../replication/upkeep.js';
import type { RunOptions } from '../run.js';
import type { PartAction } from './actions.js';

const partRunners = (fleet: Fleet): Runners<PartAction> => ({
  async sql(action) {
    const session = await fleet.session(action.node);
    for (const statement of action.sql) await session.query(statement);
    return undefined;
  },
  async 'drop-slot'(action) {
    const session = await fleet.session(action.node);
    const dropped = await dropSlot(session, action.slot);
    if (action.sibling !== null) await session.query(dropStandbyBaseSql(action.sibling));
    return { dropped };
  },
  async 'advance-slot'(action) {
    return { ...(await runUpkeep(fleet, action.move)) };
  },
});

export const runParts = (plan: Plan<PartAction>, options: RunOptions): Promise<FinishedStep[]> =>
  execute(plan, partRunners(options.fleet), options);
