/** Does what parts.ts planned. */
import type { Fleet } from '../cluster/fleet.js';
import type { Runners } from '../plan/execute.js';
import { dropSlot, dropStandbyBaseSql } from '../replication/slots.js';
import { runUpkeep } from '../replication/upkeep.js';
import type { PartAction } from './parts.js';

export const partRunners = (fleet: Fleet): Runners<PartAction> => ({
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
